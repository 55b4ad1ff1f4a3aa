"""`tallystick api-keys …`: the bearer keys of principals.

Once a bank has two people who can act, a key is asked for with an operator's API key: its secret is made here and shown
once, only its SHA-256 is asked for, and it opens what it opens when another person has approved.
"""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import ApiKey as PresentedKey
from tallystick.cli.options import AsJson, IssuerId, ReasonToAsk
from tallystick.cli.report import CommandRefusedError, Report, reported

if TYPE_CHECKING:
    from tallystick.participants import ApiKey

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="The bearer keys that principals call the API with.")


@application.command("list")
def list_api_keys(issuer: IssuerId = None, as_json: AsJson = False) -> None:
    """List keys, without their secrets, which nobody knows but their bearers."""
    with reported(as_json=as_json) as report:
        from tallystick import participants
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database

        with opened_database(load_settings()) as database, database.read() as connection:
            issuer_id = chosen_issuer(connection, issuer)
            found = participants.api_keys(connection, issuer_id)
            names = {one.id: one.name for one in participants.principals(connection, issuer_id)}
        shown = [_show(one) for one in found]
        report.document({"object": "list", "data": shown})
        report.table(
            ["key", "prefix", "principal", "name", "created", "expires", "revoked", "used"],
            [
                [
                    one["id"],
                    one["key_prefix"],
                    one["principal_id"],
                    names.get(one["principal_id"]),
                    one["created_at"],
                    one["expires_at"],
                    one["revoked_at"],
                    one["last_used_at"],
                ]
                for one in shown
            ],
        )


@application.command("issue")
def issue_api_key(
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Whose key it is.")],
    *,
    lifetime_days: Annotated[
        int | None,
        typer.Option(min=1, max=3_650, help="It expires after so many days; the longest if not said."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="A network that it opens from, such as 203.0.113.0/24; may be repeated."),
    ] = None,
    reason: ReasonToAsk = None,
    key: PresentedKey = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import participants
        from tallystick.cli.asking import found
        from tallystick.cli.running import load_settings
        from tallystick.core.clock import SystemClock

        settings = load_settings()
        days = lifetime_days or settings.api_key_lifetime_days_max
        if key:
            path = f"/v1/principals/{principal}/api-keys"
            body = {"lifetime_days": days, "ip_allow_list": network or []}
            _ask(report, key, path, body, reason, issuer)
            return

        def work(connection: Connection, issuer_id: str) -> "tuple[ApiKey, str]":
            participants.principal(connection, issuer_id, principal)
            participants.check_lifetime(days, settings.api_key_lifetime_days_max)
            return participants.issue_api_key(
                connection,
                SystemClock(),
                issuer_id,
                principal,
                lifetime_days=days,
                ip_allow_list=network or (),
            )

        made, text = found(settings, issuer, "api_key_registration", work, lambda one: one[0].id)
        report.document({**_show(made), "key": text})
        report.say(text)
        report.note(f"This is {made.id}. It is shown this once: keep it now.")


@application.command("rotate")
def rotate_api_key(
    replaced: Annotated[str, typer.Argument(metavar="KEY", help="The id of the key to replace, `key_…`.")],
    *,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=720, help="The old key opens for so many hours more.")
    ] = 24,
    lifetime_days: Annotated[
        int | None, typer.Option(min=1, max=3_650, help="The new key expires after so many days.")
    ] = None,
    reason: ReasonToAsk = None,
    key: PresentedKey = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one for the same networks, and print that, once."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import participants
        from tallystick.cli.asking import found
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database
        from tallystick.core.clock import SystemClock

        settings = load_settings()
        days_max = settings.api_key_lifetime_days_max
        days = lifetime_days or days_max
        with opened_database(settings) as database, database.read() as reading:
            present = participants.api_key(reading, chosen_issuer(reading, issuer), replaced)
        if present is None:
            raise CommandRefusedError("api_key_not_found", "The issuer has no such key.")
        if key:
            path = f"/v1/principals/{present.principal_id}/api-keys/rotate"
            body = {"key_id": replaced, "lifetime_days": days, "overlap_hours": overlap_hours}
            _ask(report, key, path, body, reason, issuer)
            return

        def work(connection: Connection, issuer_id: str) -> "tuple[ApiKey, str | None]":
            return participants.rotate_api_key(
                connection,
                SystemClock(),
                issuer_id,
                present.principal_id,
                replaced,
                overlap_hours=overlap_hours,
                lifetime_days=days,
                lifetime_days_max=days_max,
            )

        new, text = found(settings, issuer, "api_key_rotation", work, lambda one: one[0].id)
        report.document({**_show(new), "key": text})
        report.say(text or "")
        report.note(
            f"This is {new.id}. It is shown this once; {replaced} opens for {overlap_hours} hours more."
        )


@application.command("revoke")
def revoke_api_key(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, `key_…`.")],
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key for ever; a running service refuses it within two seconds."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import participants
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database
        from tallystick.core.clock import SystemClock

        def work(connection: Connection) -> None:
            issuer_id = chosen_issuer(connection, issuer)
            if not participants.revoke_api_key(connection, SystemClock(), issuer_id, key):
                raise CommandRefusedError(
                    "api_key_not_found", "There is no such key, or it was revoked before."
                )

        with opened_database(load_settings()) as database:
            database.run(work)
        report.document({"object": "api_key", "id": key, "revoked": True})
        report.say(f"{key} opens nothing any more.")


def _ask(
    report: Report, presented: str, path: str, body: dict[str, Any], reason: str | None, issuer: str | None
) -> None:
    from tallystick import participants
    from tallystick.cli.asking import ask, required_reason, tell_change
    from tallystick.cli.running import load_settings

    secret = participants.generate_secret()
    asked = {
        **body,
        "secret_sha256": participants.secret_hash(secret).hex(),
        "reason": required_reason(reason),
    }
    change = ask(load_settings(), presented, path, asked, issuer_id=issuer)
    tell_change(report, change)
    report.document({**change, "secret": secret})
    report.say(secret)
    report.note(
        "This secret is shown this once. When the change is approved, the key is the `key_prefix` that "
        "`tallystick api-keys list` shows for it, and this behind it."
    )


def _show(one: "ApiKey") -> dict[str, Any]:
    from tallystick import participants
    from tallystick.core.clock import format_time

    return {
        "id": one.id,
        "object": "api_key",
        "created_at": format_time(one.created_at),
        "issuer_id": one.issuer_id,
        "principal_id": one.principal_id,
        "key_prefix": participants.key_prefix(one.issuer_id, one.id),
        "expires_at": None if one.expires_at is None else format_time(one.expires_at),
        "revoked_at": None if one.revoked_at is None else format_time(one.revoked_at),
        "ip_allow_list": list(one.ip_allow_list),
        "last_used_at": None if one.last_used_at is None else format_time(one.last_used_at),
    }
