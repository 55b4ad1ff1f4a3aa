"""What `tallystick liabilities …` does: it asks the API's own routes, in this process."""

from typing import Any

from sqlalchemy import Connection

from tallystick import liabilities, participants
from tallystick.api.access import EVERYONE
from tallystick.api.liability_attestations import show_attestation
from tallystick.cli.acting import authorized, moment
from tallystick.cli.asking import ask
from tallystick.cli.report import Report
from tallystick.cli.running import opened_database, require_api_key
from tallystick.core.clock import format_time
from tallystick.core.settings import Settings
from tallystick.participants import Principal, TokenClass, TokenClassNotFoundError

__all__ = ["attest", "list_attestations"]

_ATTESTATIONS_AT_ONCE = 1_000


def attest(
    report: Report,
    settings: Settings,
    presented_key: str | None,
    token_class: str,
    *,
    as_of: str | None,
    idempotency_key: str | None,
) -> None:
    """Attest a class's liabilities and tell the attestation."""
    presented = require_api_key(presented_key)
    at = moment("--as-of", as_of)
    with opened_database(settings) as database:
        caller = authorized(database, presented, EVERYONE, operation="liability_attestation")
        with database.read() as connection:
            of_class = _class(connection, caller, token_class)
    body = {"token_class_id": of_class.id} | ({} if at is None else {"as_of": format_time(at)})
    change = ask(settings, presented, "/v1/liability-attestations", body, idempotency_key=idempotency_key)
    with opened_database(settings) as database, database.read() as connection:
        found = liabilities.attestation(connection, caller.issuer_id, change["subject_id"])
        shown = show_attestation(connection, found)
    report.document(shown)
    report.say(f"Attested {shown['total']} {shown['currency']} as of event {shown['as_of_index']}.")
    report.say(f"{shown['id']}, in the log as event {shown['event_index']}")
    report.say(f"root {shown['root_hash']}")


def list_attestations(
    report: Report, settings: Settings, presented_key: str | None, token_class: str | None
) -> None:
    """Tell every attestation, of one class or all."""
    presented = require_api_key(presented_key)
    with opened_database(settings) as database:
        caller = authorized(database, presented, EVERYONE, operation="liability_attestations")
        with database.read() as connection:
            class_id = None if token_class is None else _class(connection, caller, token_class).id
            shown = list(_all(connection, caller, class_id))
    report.document({"object": "list", "data": shown})
    report.table(
        ["attestation", "as of event", "total", "", "root", "event"],
        [
            [
                one["id"],
                one["as_of_index"],
                one["total"],
                one["currency"],
                one["root_hash"],
                one["event_index"],
            ]
            for one in shown
        ],
    )


def _all(connection: Connection, caller: Principal, class_id: str | None) -> list[dict[str, Any]]:
    shown, after = [], ""
    while page := liabilities.attestations(
        connection, caller.issuer_id, token_class_id=class_id, after=after, limit=_ATTESTATIONS_AT_ONCE
    ):
        after = page[-1].tree.id
        shown += [show_attestation(connection, one) for one in page]
    return shown


def _class(connection: Connection, caller: Principal, chosen: str) -> TokenClass:
    for one in participants.token_classes(connection, caller.issuer_id, limit=1_000):
        if chosen in (one.id, one.currency):
            return one
    raise TokenClassNotFoundError
