"""`tallystick api-keys …`: the bearer keys of principals. For whoever runs the machine; no API key opens this."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import AsJson, IssuerId
from tallystick.cli.report import CommandRefusedError, reported

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
            ["key", "principal", "name", "created", "expires", "revoked", "used"],
            [
                [
                    one["id"],
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
    lifetime_days: Annotated[
        int | None,
        typer.Option(min=1, max=3_650, help="It expires after so many days; the longest if not said."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="A network that it opens from, such as 203.0.113.0/24; may be repeated."),
    ] = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import participants
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database
        from tallystick.core.clock import SystemClock

        def work(connection: Connection) -> "tuple[ApiKey, str]":
            issuer_id = chosen_issuer(connection, issuer)
            participants.principal(connection, issuer_id, principal)
            days_max = settings.api_key_lifetime_days_max
            participants.check_lifetime(lifetime_days or days_max, days_max)
            return participants.issue_api_key(
                connection,
                SystemClock(),
                issuer_id,
                principal,
                lifetime_days=lifetime_days or days_max,
                ip_allow_list=network or (),
            )

        settings = load_settings()
        with opened_database(settings) as database:
            key, text = database.run(work)
        report.document({**_show(key), "key": text})
        report.say(text)
        report.note(f"This is {key.id}. It is shown this once: keep it now.")


@application.command("rotate")
def rotate_api_key(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The id of the key to replace, `key_…`.")],
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=720, help="The old key opens for so many hours more.")
    ] = 24,
    lifetime_days: Annotated[
        int | None, typer.Option(min=1, max=3_650, help="The new key expires after so many days.")
    ] = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one for the same networks, and print that, once."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import participants
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database
        from tallystick.core.clock import SystemClock

        def work(connection: Connection) -> "tuple[ApiKey, str | None]":
            issuer_id = chosen_issuer(connection, issuer)
            replaced = participants.api_key(connection, issuer_id, key)
            if replaced is None:
                raise CommandRefusedError("api_key_not_found", "The issuer has no such key.")
            days_max = settings.api_key_lifetime_days_max
            return participants.rotate_api_key(
                connection,
                SystemClock(),
                issuer_id,
                replaced.principal_id,
                key,
                overlap_hours=overlap_hours,
                lifetime_days=lifetime_days or days_max,
                lifetime_days_max=days_max,
            )

        settings = load_settings()
        with opened_database(settings) as database:
            new, text = database.run(work)
        report.document({**_show(new), "key": text})
        report.say(text or "")
        report.note(f"This is {new.id}. It is shown this once; {key} opens for {overlap_hours} hours more.")


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


def _show(one: "ApiKey") -> dict[str, Any]:
    from tallystick.core.clock import format_time

    return {
        "id": one.id,
        "object": "api_key",
        "created_at": format_time(one.created_at),
        "issuer_id": one.issuer_id,
        "principal_id": one.principal_id,
        "expires_at": None if one.expires_at is None else format_time(one.expires_at),
        "revoked_at": None if one.revoked_at is None else format_time(one.revoked_at),
        "ip_allow_list": list(one.ip_allow_list),
        "last_used_at": None if one.last_used_at is None else format_time(one.last_used_at),
    }
