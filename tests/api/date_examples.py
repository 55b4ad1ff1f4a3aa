"""Examples of what is asked of business dates: each prepares a date that can be closed, or one that is."""

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from tallystick import attestations, business_dates, closing, participants, statements
from tallystick.core.ids import new_suffix
from tallystick.core.money import format_amount
from tallystick.participants import Role, TokenClass
from tests import camt_writer
from tests.bank import Bank
from tests.closing.days import CALENDAR, set_calendar
from tests.database import connect

__all__ = ["DATE_EXAMPLES"]

_Made = tuple[Role, str, dict[str, Any], dict[str, Any]]


def _calendar(_bank: Bank, path: str) -> _Made:
    body = CALENDAR | {"reason": "As the board decided."}
    return Role.OPERATOR, path, body, body | {"cut_off": "18:00"}


def _hand_off(bank: Bank, path: str) -> _Made:
    filled = path.replace("{business_date}", _date(bank).isoformat())
    return Role.TREASURY_MAKER, filled, {}, {"reason": "Once more."}


def _close(bank: Bank, path: str) -> _Made:
    day = _date(bank)
    body = _closable(bank, day)
    filled = path.replace("{business_date}", day.isoformat())
    return Role.TREASURY_MAKER, filled, body, body | {"reason": "Looks right."}


def _reopen(bank: Bank, path: str) -> _Made:
    with bank.database.read() as connection:
        closed = business_dates.days(connection, bank.issuer_id).closed_until
    if closed is None:
        closed = _date(bank)
        payload = _closable(bank, closed) | {"reason": None}
        asked = bank.change("business_date_close", closed.isoformat(), payload, principal=bank.maker)
        bank.approve(asked.resource_id)
    body = {"reason": "A credit came late."}
    filled = path.replace("{business_date}", closed.isoformat())
    return Role.TREASURY_MAKER, filled, body, body | {"reason": "Another one did."}


def _date(bank: Bank) -> date:
    """Return the date that is next to be closed; the bank has a calendar from then on."""
    with bank.database.read() as connection:
        known = business_dates.days(connection, bank.issuer_id)
    if known.calendar is None:
        set_calendar(bank)
        return _date(bank)
    return known.next_to_close().last


def _closable(bank: Bank, day: date) -> dict[str, Any]:
    """Bring the statements and make the runs that a date's checklist asks for; return what closes it."""
    with bank.database.read() as connection:
        classes = participants.token_classes(connection, bank.issuer_id, limit=1_000)
        used = closing.checking.used_classes(connection, bank.issuer_id, classes)
    for of_class in used:
        _bring_statement(bank, of_class, day)
        bank.database.run(
            lambda connection, class_id=of_class.id: attestations.reconcile(  # type: ignore[misc]
                connection, bank.settler, bank.auditor, class_id
            )
        )
    _let_issuance_go_on(bank)
    made = bank.database.run(lambda connection: closing.hand_off(connection, bank.clock, bank.maker, day))
    with bank.database.read() as connection:
        found = closing.business_date(connection, bank.clock, bank.issuer_id, day)
    return {"hand_off_id": made.id, "accepted_break_ids": list(found.checklist.open_break_ids)}


def _let_issuance_go_on(bank: Bank) -> None:
    """Take back what runs suspended: no bank bears out what the examples deposit, and others still want to mint.

    Past every guard, which only the database's own administrator can.
    """
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE breaker SET state = 'closed' WHERE issuer_id = %s", (bank.issuer_id,))
        connection.commit()


def _bring_statement(bank: Bank, of_class: TokenClass, day: date) -> None:
    with bank.database.read() as connection:
        before = statements.latest_statement(connection, bank.issuer_id, of_class.id)
    opening_minor = 0 if before is None else before.closing_minor or 0
    bank.import_statement(
        camt_writer.message(
            camt_writer.Stated(
                (),
                opening=format_amount(opening_minor, of_class.scale),
                day=day.isoformat(),
                account=of_class.backing_iban or of_class.backing_account_number or "",
                currency=of_class.currency,
                statement_id=new_suffix(),
            ),
            message_id=new_suffix(),
        )
    )


DATE_EXAMPLES: Final[dict[str, Callable[[Bank, str], _Made]]] = {
    # In this order: what is reopened must have been closed, and what is closed next must not be closed by that.
    "/v1/business-calendar": _calendar,
    "/v1/business-dates/{business_date}/reopen": _reopen,
    "/v1/business-dates/{business_date}/close": _close,
    "/v1/business-dates/{business_date}/hand-off": _hand_off,
}
