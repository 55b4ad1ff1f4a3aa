"""`tallystick principals …`: who may act on an issuer.

Once a bank has two people who can act, what gives power is asked for with an operator's API key, like over HTTP.
"""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import ApiKey, AsJson, IssuerId, Reason, ReasonToAsk
from tallystick.cli.report import CommandRefusedError, ExitCode, reported

if TYPE_CHECKING:
    from tallystick.participants import Principal, Role, Scope

__all__ = ["application"]

application = typer.Typer(no_args_is_help=True, help="Who may act on an issuer, and as what.")


@application.command("list")
def list_principals(issuer: IssuerId = None, as_json: AsJson = False) -> None:
    """List people and machines with their roles."""
    with reported(as_json=as_json) as report:
        from tallystick import participants
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database

        with opened_database(load_settings()) as database, database.read() as connection:
            found = participants.principals(connection, chosen_issuer(connection, issuer))
        report.document({"object": "list", "data": [_show(one) for one in found]})
        report.table(
            ["principal", "name", "person", "roles", "holder", "status"],
            [
                [one.id, one.name, one.person, " ".join(sorted(one.roles)), one.holder_id, one.status]
                for one in found
            ],
        )


@application.command("add")
def add_principal(
    *,
    name: Annotated[str, typer.Option(help="How it is called in lists.")],
    role: Annotated[
        list[str],
        typer.Option(
            help="treasury_maker, treasury_checker, operator, auditor, platform or holder; may be repeated."
        ),
    ],
    person: Annotated[
        str | None, typer.Option(help="The human behind it: four-eyes counts people, not logins.")
    ] = None,
    holder: Annotated[
        str | None, typer.Option(metavar="ID", help="The holder that a platform or holder acts for.")
    ] = None,
    access_until: Annotated[
        str | None, typer.Option(metavar="TIME", help="When its access ends; an auditor's must.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="read, payments, treasury or administration; all if not said; may be repeated."),
    ] = None,
    key: ApiKey = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Take up somebody who acts; `api-keys issue` then gives them a key."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import participants
        from tallystick.cli.acting import moment
        from tallystick.cli.asking import ask, found
        from tallystick.cli.running import load_settings
        from tallystick.core.clock import SystemClock, format_time

        roles = frozenset(_role(one) for one in role)
        scopes = frozenset(_scope(one) for one in scope) if scope else None
        until = moment("--access-until", access_until)

        def work(connection: Connection, issuer_id: str) -> "Principal":
            return participants.register_principal(
                connection,
                SystemClock(),
                issuer_id,
                name=name,
                roles=roles,
                person=person,
                holder_id=holder,
                scopes=scopes,
                access_until=until,
            )

        if key:
            body = _said(
                name=name,
                roles=sorted(roles),
                person=person,
                holder_id=holder,
                scopes=None if scopes is None else sorted(scopes),
                access_until=None if until is None else format_time(until),
            )
            shown = ask(load_settings(), key, "/v1/principals", body, issuer_id=issuer)
        else:
            shown = _show(found(load_settings(), issuer, "principal_add", work, lambda one: one.id))
        report.document(shown)
        report.say(f"{shown['name']} is {shown['id']}. Next: tallystick api-keys issue {shown['id']}")


@application.command("change")
def change_principal(
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Who, `principal_…`.")],
    *,
    login: Annotated[
        str | None, typer.Option(help="Who it is at the bank's identity provider; '' for nobody.")
    ] = None,
    access_until: Annotated[str | None, typer.Option(metavar="TIME", help="When its access ends.")] = None,
    calls_per_minute: Annotated[
        int | None, typer.Option(min=0, help="How often it may call; 0 is as often as it likes.")
    ] = None,
    signature_from_minor: Annotated[
        int | None, typer.Option(min=0, help="From which amount on, in minor units, its payments are signed.")
    ] = None,
    reason: ReasonToAsk = None,
    key: ApiKey = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Change a principal's login, term or limits; what isn't said stays."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import participants
        from tallystick.cli.acting import moment
        from tallystick.cli.asking import ask, found, required_reason, tell_change
        from tallystick.cli.running import load_settings
        from tallystick.core.clock import SystemClock, format_time

        until = moment("--access-until", access_until)

        if key:
            body = _said(
                access_until=None if until is None else format_time(until),
                calls_per_minute_max=calls_per_minute,
                signature_required_from_minor=signature_from_minor,
            )
            if login is not None:
                body["oidc_subject"] = login or None
            body["reason"] = required_reason(reason)
            path = f"/v1/principals/{principal}/terms"
            tell_change(report, ask(load_settings(), key, path, body, issuer_id=issuer))
            return

        def work(connection: Connection, issuer_id: str) -> "Principal":
            changed = participants.principal(connection, issuer_id, principal)
            if login is not None:
                changed = participants.bind_login(connection, issuer_id, principal, login or None)
            if until is not None:
                changed = participants.set_term(connection, SystemClock(), issuer_id, principal, until)
            if calls_per_minute is not None:
                changed = participants.set_call_limit(connection, issuer_id, principal, calls_per_minute)
            if signature_from_minor is not None:
                changed = participants.set_signature_threshold(
                    connection, issuer_id, principal, signature_from_minor
                )
            return changed

        shown = _show(found(load_settings(), issuer, "principal_terms", work, lambda one: one.id))
        report.document(shown)
        report.say(f"{shown['name']} is changed.")


@application.command("suspend")
def suspend_principal(
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Who, `principal_…`.")],
    reason: Reason,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Close every way in for a principal; a running service refuses it within two seconds."""
    with reported(as_json=as_json) as report:
        from tallystick import participants
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database

        with opened_database(load_settings()) as database:
            changed = database.run(
                lambda connection: participants.suspend(
                    connection, chosen_issuer(connection, issuer), principal, reason
                )
            )
        report.document(_show(changed))
        report.say(f"{changed.name} is {changed.status}.")


@application.command("reactivate")
def reactivate_principal(
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="Who, `principal_…`.")],
    reason: Reason,
    key: ApiKey = None,
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Let a suspended principal in again."""
    with reported(as_json=as_json) as report:
        from tallystick import participants
        from tallystick.cli.asking import ask, found, tell_change
        from tallystick.cli.running import load_settings

        if key:
            path = f"/v1/principals/{principal}/reactivate"
            tell_change(report, ask(load_settings(), key, path, {"reason": reason}, issuer_id=issuer))
            return
        changed = found(
            load_settings(),
            issuer,
            "principal_reactivation",
            lambda connection, issuer_id: participants.reactivate(connection, issuer_id, principal, reason),
            lambda one: one.id,
        )
        report.document(_show(changed))
        report.say(f"{changed.name} is {changed.status}.")


def _said(**options: Any) -> dict[str, Any]:
    """Return the members of a request's body that were said."""
    return {name: value for name, value in options.items() if value is not None}


def _scope(text: str) -> "Scope":
    from tallystick.participants import Scope

    try:
        return Scope(text)
    except ValueError:
        known = ", ".join(Scope)
        raise CommandRefusedError("scope_unknown", f"The scopes are {known}.", ExitCode.USAGE) from None


def _role(text: str) -> "Role":
    from tallystick.participants import Role

    try:
        return Role(text)
    except ValueError:
        known = ", ".join(Role)
        raise CommandRefusedError("role_unknown", f"The roles are {known}.", ExitCode.USAGE) from None


def _show(one: "Principal") -> dict[str, Any]:
    from tallystick.core.clock import format_time

    return {
        "id": one.id,
        "object": "principal",
        "created_at": format_time(one.created_at),
        "issuer_id": one.issuer_id,
        "name": one.name,
        "person": one.person,
        "roles": sorted(one.roles),
        "holder_id": one.holder_id,
        "status": one.status,
        "status_reason": one.status_reason,
        "scopes": None if one.scopes is None else sorted(one.scopes),
        "access_until": None if one.access_until is None else format_time(one.access_until),
        "oidc_subject": one.oidc_subject,
        "calls_per_minute_max": one.calls_per_minute_max,
        "signature_required_from_minor": one.signature_required_from_minor,
    }
