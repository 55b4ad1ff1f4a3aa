"""`tallystick principals …`: who may act on an issuer. For whoever runs the machine; no API key opens this."""

# ruff: noqa: PLC0415 Each command loads only what it needs.

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tallystick.cli.options import AsJson, IssuerId
from tallystick.cli.report import CommandRefusedError, ExitCode, reported

if TYPE_CHECKING:
    from tallystick.participants import Principal, Role

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
    issuer: IssuerId = None,
    as_json: AsJson = False,
) -> None:
    """Take up somebody who acts; `api-keys issue` then gives them a key."""
    with reported(as_json=as_json) as report:
        from sqlalchemy import Connection

        from tallystick import participants
        from tallystick.cli.running import chosen_issuer, load_settings, opened_database
        from tallystick.core.clock import SystemClock

        roles = frozenset(_role(one) for one in role)

        def work(connection: Connection) -> "Principal":
            return participants.register_principal(
                connection,
                SystemClock(),
                chosen_issuer(connection, issuer),
                name=name,
                roles=roles,
                person=person,
                holder_id=holder,
            )

        with opened_database(load_settings()) as database:
            added = database.run(work)
        report.document(_show(added))
        report.say(f"{added.name} is {added.id}. Next: tallystick api-keys issue {added.id}")


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
    }
