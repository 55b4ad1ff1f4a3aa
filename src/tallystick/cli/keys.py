"""`tallystick keys …`: the keys that sign an issuer's log, and the root that says which may.

To prepare a key, or to put in what roots have signed, gives no power. What does is asked for with an operator's API key
and approved by another person; while a bank is founded, and no key is active, one person acts alone, on record.
"""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli import roots
from tallystick.cli.options import ApiKey, AsJson, IssuerId, Reason, ReasonToAsk
from tallystick.cli.report import CommandRefusedError, ExitCode, Report, reported

if TYPE_CHECKING:
    from tallystick.signing import KeyUse, SigningKey

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="The keys that sign an issuer's events and checkpoints.")
application.add_typer(roots.application, name="root")

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
def create_key(
    public_key: Annotated[
        str | None,
        typer.Option(
            "--public-key",
            metavar="X",
            help="Base64url of a key whose private part is elsewhere, as in an HSM.",
        ),
    ] = None,
    issuer: IssuerId = None,
    use: Use = "event",
    as_json: AsJson = False,
) -> None:
    """Prepare a key. It signs nothing until a root manifest names it and it is activated."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import signing
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database
        from tallystick.core.clock import SystemClock
        from tallystick.signing import KeyDirectory

        settings = load_settings()
        directory = KeyDirectory(settings.key_directory, settings.key_passphrase)
        octets = None if public_key is None else roots.public_key(public_key)

        def work(connection: Connection) -> "SigningKey":
            chosen = chosen_issuer(connection, issuer)
            if octets is None:
                return signing.prepare_key(connection, SystemClock(), chosen, directory, use=_use(use))
            return signing.prepare_public_key(connection, SystemClock(), chosen, octets, use=_use(use))

        with opened_database(settings) as database:
            made = database.run(work)
        report.document(_show(made))
        _table(report, [made])
        report.say(
            f"Next: let the root name it (tallystick keys root draft), then tallystick keys activate {made.id}"
        )


@application.command("activate", context_settings=_ANY_KEY_ID)
def activate_key(
    key_id: KeyId,
    expected: Annotated[
        str | None, typer.Option("--expected", metavar="KEY", help="Refuse if another key is active.")
    ] = None,
    reason: ReasonToAsk = None,
    key: ApiKey = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Let a key sign from its own event on, in the active one's place; what that one signed stays trusted."""
    with reported(as_json=as_json) as report:
        payload = {} if expected is None else {"expected_key_id": expected}
        _change(report, issuer, key_id, "activate", payload, reason, key)


@application.command("retire", context_settings=_ANY_KEY_ID)
def retire_key(
    key_id: KeyId,
    reason: ReasonToAsk = None,
    key: ApiKey = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Let the active key sign no more, without a successor: nothing settles until another one is activated."""
    with reported(as_json=as_json) as report:
        _change(report, issuer, key_id, "retire", {}, reason, key)


@application.command("revoke", context_settings=_ANY_KEY_ID)
def revoke_key(  # noqa: PLR0917 Options of a command.
    key_id: KeyId,
    reason: Reason,
    compromised_from_index: Annotated[
        int | None,
        typer.Option(min=0, metavar="INDEX", help="The first event that its thief may have signed."),
    ] = None,
    compromised_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="The same by its moment (RFC 3339). Not known if both are left out."
        ),
    ] = None,
    key: ApiKey = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Trust a key no more: from an event on, or in nothing where that is not known. The active one: at once."""
    with reported(as_json=as_json) as report:
        since = compromised_from_index
        if compromised_at is not None:
            since = _index_at(issuer, compromised_at)
        _change(
            report,
            issuer,
            key_id,
            "revoke",
            {} if since is None else {"compromised_from_index": since},
            reason,
            key,
        )


def _index_at(issuer: str | None, moment: str) -> int:
    from tallystick import events
    from tallystick.cli.running import chosen_issuer, load_settings, opened_database
    from tallystick.core.clock import SystemClock, parse_time
    from tallystick.signing import RevocationMalformedError

    try:
        at = parse_time(moment)
    except ValueError:
        raise CommandRefusedError(
            "time_malformed", "A moment is written like 2026-11-20T09:30:00Z.", ExitCode.USAGE
        ) from None
    if at > SystemClock().now():
        raise RevocationMalformedError("The moment of compromise is not in the future.")
    with opened_database(load_settings()) as database, database.read() as connection:
        return events.index_as_of(connection, chosen_issuer(connection, issuer), at) + 1


def _use(asked: str) -> "KeyUse":
    from tallystick.signing import KeyUse

    try:
        return KeyUse(asked)
    except ValueError:
        raise CommandRefusedError(
            "key_use_unknown", "A key is for `event` or for `checkpoint`.", ExitCode.USAGE
        ) from None


def _change(  # noqa: PLR0917 One for three commands.
    report: Report,
    issuer: str | None,
    key_id: str,
    action: str,
    payload: dict[str, Any],
    reason: str | None,
    api_key: str | None,
) -> None:
    """Ask for a change of a key; without an API key carry it out, which is possible while a bank is founded."""
    from sqlalchemy import Connection

    from tallystick import signing, tokens
    from tallystick.cli.asking import ask, found, required_reason, settler_of, tell_change
    from tallystick.cli.running import load_settings

    settings = load_settings()
    why = required_reason(reason)
    if api_key:
        path = f"/v1/signing-keys/{key_id}/{action}"
        change = ask(settings, api_key, path, {**payload, "reason": why}, issuer_id=issuer)
        if change["state"] == "pending_approval":
            tell_change(report, change)
        else:
            report.document(change)
            report.say(f"{key_id}: {action} is event {change['event_index']}.")
        return
    operation = _OPERATIONS[action]

    def work(connection: Connection, issuer_id: str) -> "SigningKey":
        asked = {**payload, "reason": why}
        tokens.change_unasked(connection, settler_of(settings), issuer_id, operation, key_id, asked)
        return signing.signing_key(connection, issuer_id, key_id)

    changed = found(settings, issuer, operation, work, lambda one: one.id)
    report.document(_show(changed))
    _table(report, [changed])


_OPERATIONS = {
    "activate": "signing_key_activation",
    "retire": "signing_key_retirement",
    "revoke": "signing_key_revocation",
}


def _table(report: Report, found: "list[SigningKey]") -> None:
    shown = [_show(one) for one in found]
    report.table(
        ["key", "use", "state", "from event", "until event", "activated", "retired", "revoked"],
        [
            [
                one["id"],
                one["key_use"],
                one["state"],
                one["from_index"],
                one["until_index"],
                one.get("activated_at"),
                one.get("retired_at"),
                one.get("revoked_at"),
            ]
            for one in shown
        ],
    )


def _show(one: "SigningKey") -> dict[str, Any]:
    indexes = ("activated_index", "from_index", "until_index", "revoked_index", "compromised_from_index")
    members = one.jwk() | {name: getattr(one, name) for name in indexes}
    return {"id": one.id, "object": "signing_key", **members}
