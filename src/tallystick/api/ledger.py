"""`/v1/ledger`: the books themselves, for staff and auditors."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection

from tallystick import events, ledger, participants
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.accounts import EntryLineView, show_line
from tallystick.api.pages import Cursor, IdQuery, IndexCursor, Limit, page
from tallystick.api.views import ListView, View
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.events import Event
from tallystick.ledger import CHART, DEBIT_NORMAL_CODES, INDEX_MAX, EntryLine, LedgerAccount
from tallystick.participants import TokenClass

__all__ = ["router"]

router = APIRouter()


class LedgerAccountView(View):
    """One account of the chart, kept for a token class or for a holder's account."""

    id: str
    object: str
    code: str
    name: str
    normal_balance: str
    token_class_id: str
    currency: str
    account_id: str | None
    balance: str
    version: int
    last_event_index: int | None


class EntryView(View):
    """A journal entry: the lines that one event posted. They balance per currency."""

    object: str
    event_index: int
    event_id: str
    type: str
    instruction_id: str
    booked_at: str
    lines: list[EntryLineView]


@router.get(
    "/v1/ledger/accounts",
    tags=["Ledger"],
    summary="List ledger accounts",
    response_model=ListView[LedgerAccountView],
)
def get_ledger_accounts(
    caller: StaffCaller,
    token_class_id: IdQuery = None,
    account_id: IdQuery = None,
    code: Annotated[str | None, Query(pattern=r"^[0-9]{4}$")] = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return ledger accounts with their balances, in the order of code and owner."""
    with caller.read() as connection:
        found = ledger.accounts(
            connection,
            caller.issuer_id,
            token_class_id=token_class_id,
            account_id=account_id,
            code=code,
            after=cursor,
            limit=limit + 1,
        )
        scales = _scales(connection, caller)
    return page(found, limit, lambda one: _show_account(one, scales[one.token_class_id]), lambda one: one.id)


@router.get(
    "/v1/ledger/entries", tags=["Ledger"], summary="List journal entries", response_model=ListView[EntryView]
)
def get_ledger_entries(caller: StaffCaller, cursor: IndexCursor = -1, limit: Limit = 100) -> Any:
    """Return journal entries in the order of the log."""
    with caller.read() as connection:
        found = events.events(connection, caller.issuer_id, after_index=cursor, limit=limit + 1)
        lines = _lines(connection, caller.issuer_id, found)
        scales = _scales(connection, caller)
    return page(
        found,
        limit,
        lambda one: _show_entry(one, lines.get(one.event_index, []), scales),
        lambda one: str(one.event_index),
    )


@router.get(
    "/v1/ledger/entries/{event_index}",
    tags=["Ledger"],
    summary="Get a journal entry",
    response_model=EntryView,
)
def get_ledger_entry(caller: StaffCaller, event_index: Annotated[int, Path(ge=0, le=INDEX_MAX)]) -> Any:
    """Return the entry that the event at this index posted."""
    with caller.read() as connection:
        found = events.event_by_index(connection, caller.issuer_id, event_index)
        lines = _lines(connection, caller.issuer_id, [found])
        return _show_entry(found, lines.get(event_index, []), _scales(connection, caller))


def _scales(connection: Connection, caller: Caller) -> dict[str, int]:
    return {one.id: one.scale for one in _classes(connection, caller)}


def _classes(connection: Connection, caller: Caller) -> list[TokenClass]:
    return participants.token_classes(connection, caller.issuer_id, limit=1_000)


def _lines(connection: Connection, issuer_id: str, found: list[Event]) -> dict[int, list[EntryLine]]:
    lines: dict[int, list[EntryLine]] = {}
    if found:
        for line in ledger.entry_lines(connection, issuer_id, found[0].event_index, found[-1].event_index):
            lines.setdefault(line.event_index, []).append(line)
    return lines


def _show_account(one: LedgerAccount, scale: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "ledger_account",
        "code": one.code,
        "name": CHART[one.code].name,
        "normal_balance": "debit" if one.code in DEBIT_NORMAL_CODES else "credit",
        "token_class_id": one.token_class_id,
        "currency": one.currency,
        "account_id": one.account_id,
        "balance": format_amount(one.balance_minor, scale),
        "version": one.version,
        "last_event_index": one.last_event_index,
    }


def _show_entry(one: Event, lines: list[EntryLine], scales: dict[str, int]) -> dict[str, Any]:
    return {
        "object": "journal_entry",
        "event_index": one.event_index,
        "event_id": one.id,
        "type": one.type,
        "instruction_id": one.subject_id,
        "booked_at": format_time(one.booked_at),
        "lines": [show_line(line, scales[one.token_class_id or ""]) for line in lines],
    }
