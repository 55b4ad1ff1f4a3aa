"""`tallystick clients …`: public keys that get tokens or sign messages.

Once a bank has two people who can act, one is asked for with an operator's API key, like over HTTP.
"""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import ApiKey, AsJson, IssuerId, ReasonToAsk
from tallystick.cli.report import CommandRefusedError, ExitCode, reported

if TYPE_CHECKING:
    from tallystick.core.strict_json import JsonValue
    from tallystick.identity import Client, ClientUse

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="Public keys that get tokens or sign messages.")

Principal = Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Whose it is, `principal_…`.")]


@application.command("register")
def register_client(
    principal: Principal,
    *,
    use: Annotated[str, typer.Option(help="token or signature; a key has one use.")],
    algorithm: Annotated[str, typer.Option(help="EdDSA, ES256, PS256 (tokens only) or RS256.")],
    jwk: Annotated[Path, typer.Option(metavar="FILE", help="The public key as a JWK.")],
    lifetime_days: Annotated[
        int | None,
        typer.Option(min=1, max=3_650, help="It expires after so many days; the longest if not said."),
    ] = None,
    reason: ReasonToAsk = None,
    key: ApiKey = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Take up a principal's public key; the private one stays with its owner."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import identity
        from tallystick.cli.asking import ask, found, required_reason, tell_change
        from tallystick.cli.running import load_settings
        from tallystick.core.clock import SystemClock

        members, for_use = _read(jwk), _use(use)
        settings = load_settings()
        days = lifetime_days or settings.api_key_lifetime_days_max
        if key:
            body = {
                "use": for_use,
                "jwk": members,
                "algorithm": algorithm,
                "lifetime_days": days,
                "reason": required_reason(reason),
            }
            path = f"/v1/principals/{principal}/clients"
            tell_change(report, ask(settings, key, path, body, issuer_id=issuer))
            return

        def work(connection: Connection, issuer_id: str) -> "Client":
            return identity.register_client(
                connection,
                SystemClock(),
                issuer_id,
                principal,
                use=for_use,
                jwk=members,
                algorithm=algorithm,
                lifetime_days=days,
                lifetime_days_max=settings.api_key_lifetime_days_max,
            )

        shown = _show(found(settings, issuer, "client_registration", work, lambda one: one.id))
        report.document(shown)
        report.say(f"{shown['id']} calls itself {shown['client_id']}.")


@application.command("list")
def list_clients(principal: Principal, issuer: IssuerId = None, as_json: AsJson = False) -> None:
    """List a principal's clients."""
    with reported(as_json=as_json) as report:
        from tallystick import identity
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database

        with opened_database(load_settings()) as database, database.read() as connection:
            found = identity.clients(
                connection, chosen_issuer(connection, issuer), principal, limit=_LISTED_MAX
            )
        shown = [_show(one) for one in found]
        report.document({"object": "list", "data": shown})
        names = ["id", "client_id", "use", "algorithm", "expires_at", "revoked_at"]
        report.table(names, [[one[name] for name in names] for one in shown])


@application.command("revoke")
def revoke_client(
    principal: Principal,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="The client's id, `client_…`.")],
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a client for ever, and the tokens it got; a running service refuses them within two seconds."""
    with reported(as_json=as_json) as report:
        from tallystick import identity
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database
        from tallystick.core.clock import SystemClock

        with opened_database(load_settings()) as database:
            revoked = database.run(
                lambda connection: identity.revoke_client(
                    connection, SystemClock(), chosen_issuer(connection, issuer), principal, client
                )
            )
        report.document(_show(revoked))
        report.say(f"{client} proves nobody any more.")


_LISTED_MAX = 1_000
_JWK_SIZE_MAX_BYTES = 16_384


def _use(text: str) -> "ClientUse":
    from tallystick.identity import ClientUse

    try:
        return ClientUse(text)
    except ValueError:
        known = ", ".join(ClientUse)
        raise CommandRefusedError("use_unknown", f"The uses are {known}.", ExitCode.USAGE) from None


def _read(path: Path) -> "dict[str, JsonValue]":
    from tallystick.core.strict_json import parse_json
    from tallystick.identity import JwkRefusedError

    try:
        with path.open("rb") as file:
            content = file.read(_JWK_SIZE_MAX_BYTES + 1)
    except OSError as error:
        raise CommandRefusedError("file_unusable", f"{path}: {error.strerror}.", ExitCode.USAGE) from error
    members = parse_json(content, size_max_bytes=_JWK_SIZE_MAX_BYTES)
    if not isinstance(members, dict):
        raise JwkRefusedError("The file holds no JWK.")
    return members


def _show(one: "Client") -> dict[str, Any]:
    from tallystick import identity
    from tallystick.core.clock import format_time

    return {
        "id": one.id,
        "object": "client",
        "created_at": format_time(one.created_at),
        "issuer_id": one.issuer_id,
        "principal_id": one.principal_id,
        "client_id": identity.client_text(one.issuer_id, one.id),
        "use": one.use,
        "algorithm": one.algorithm,
        "jwk": identity.public_members(one),
        "thumbprint": one.thumbprint,
        "expires_at": format_time(one.expires_at),
        "revoked_at": None if one.revoked_at is None else format_time(one.revoked_at),
    }
