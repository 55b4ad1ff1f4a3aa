"""`tallystick keys …`: the keys that sign an issuer's log. For whoever runs the machine; no API key opens this."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import AsJson, IssuerId, Reason
from tallystick.cli.report import CommandRefusedError, ExitCode, Report, reported

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tallystick.signing import KeyDirectory, KeyUse, SigningKey

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="The keys that sign an issuer's events and checkpoints.")

# A thumbprint may begin with a hyphen, and must not be taken for an option then.
_ANY_KEY_ID = {"ignore_unknown_options": True}
Use = Annotated[
    str,
    typer.Option("--use", metavar="USE", help="What the keys sign: event, or checkpoint (the log's tree)."),
]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's id: its RFC 7638 thumbprint.")]


@application.command("list")
def list_keys(issuer: IssuerId = None, use: Use = "event", as_json: AsJson = False) -> None:
    """List every key of one use that an issuer has or had."""
    with reported(as_json=as_json) as report:
        from tallystick import signing
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database

        with opened_database(load_settings()) as database, database.read() as connection:
            found = signing.list_keys(connection, chosen_issuer(connection, issuer), use=_use(use))
        report.document({"object": "list", "data": [_show(one) for one in found]})
        _table(report, found)


@application.command("create")
def create_key(issuer: IssuerId = None, use: Use = "event", as_json: AsJson = False) -> None:
    """Make a key where none is active, such as after a revocation."""
    with reported(as_json=as_json) as report:
        from tallystick import signing
        from tallystick.core.clock import SystemClock

        _change(
            report,
            issuer,
            lambda connection, issuer_id, directory: signing.create_key(
                connection, SystemClock(), issuer_id, directory, use=_use(use)
            ),
        )


@application.command("rotate")
def rotate_key(
    expected: Annotated[
        str | None, typer.Option("--expected", metavar="KEY", help="Refuse if another key is active.")
    ] = None,
    issuer: IssuerId = None,
    use: Use = "event",
    as_json: AsJson = False,
) -> None:
    """Replace the active key by a new one, while the service runs; what the old one signed stays trusted."""
    with reported(as_json=as_json) as report:
        from tallystick import signing
        from tallystick.core.clock import SystemClock

        _change(
            report,
            issuer,
            lambda connection, issuer_id, directory: signing.rotate(
                connection, SystemClock(), issuer_id, directory, use=_use(use), expected_key_id=expected
            ),
        )


@application.command("retire", context_settings=_ANY_KEY_ID)
def retire_key(key: KeyId, issuer: IssuerId = None, as_json: AsJson = False) -> None:
    """Let the active key sign no more, without a successor: nothing settles until `keys create`."""
    with reported(as_json=as_json) as report:
        from tallystick import signing
        from tallystick.core.clock import SystemClock

        _change(
            report,
            issuer,
            lambda connection, issuer_id, _directory: signing.retire(
                connection, SystemClock(), issuer_id, key
            ),
        )


@application.command("revoke", context_settings=_ANY_KEY_ID)
def revoke_key(
    key: KeyId,
    reason: Reason,
    compromised_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Since when it may be in other hands (RFC 3339); not known if left out."
        ),
    ] = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Trust a key no more: from a moment on, or not at all where that moment is not known."""
    with reported(as_json=as_json) as report:
        from tallystick import signing
        from tallystick.core.clock import SystemClock, parse_time

        try:
            since = None if compromised_at is None else parse_time(compromised_at)
        except ValueError:
            raise CommandRefusedError(
                "time_malformed", "A moment is written like 2026-11-20T09:30:00Z.", ExitCode.USAGE
            ) from None
        _change(
            report,
            issuer,
            lambda connection, issuer_id, _directory: signing.revoke(
                connection, SystemClock(), issuer_id, key, reason=reason, compromised_at=since
            ),
        )


def _use(asked: str) -> "KeyUse":
    from tallystick.signing import KeyUse

    try:
        return KeyUse(asked)
    except ValueError:
        raise CommandRefusedError(
            "key_use_unknown", "A key is for `event` or for `checkpoint`.", ExitCode.USAGE
        ) from None


def _change(
    report: Report,
    issuer: str | None,
    change: "Callable[[Connection, str, KeyDirectory], SigningKey]",
) -> None:
    from tallystick.cli.running import chosen_issuer, load_settings, opened_database
    from tallystick.signing import KeyDirectory

    settings = load_settings()
    directory = KeyDirectory(settings.key_directory, settings.key_passphrase)
    with opened_database(settings) as database:
        changed = database.run(
            lambda connection: change(connection, chosen_issuer(connection, issuer), directory)
        )
    report.document(_show(changed))
    _table(report, [changed])


def _table(report: Report, found: "list[SigningKey]") -> None:
    shown = [_show(one) for one in found]
    report.table(
        ["key", "use", "state", "activated", "retired", "revoked"],
        [
            [
                one["id"],
                one["key_use"],
                one["state"],
                one["activated_at"],
                one.get("retired_at"),
                one.get("revoked_at"),
            ]
            for one in shown
        ],
    )


def _show(one: "SigningKey") -> dict[str, Any]:
    members = one.jwk()
    return {"id": one.id, "object": "signing_key", **members}
