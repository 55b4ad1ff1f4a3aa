"""What an export tells, read a page at a time.

Everything is told as of one index of the log, and only what the log and the journal had touched by then is told at
all: accounts that were opened since, or were never posted to, would make a later repetition differ. The columns read
here never change once they are written; statuses and names of people are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import events, ledger, liabilities, participants
from tallystick.core.errors import InvariantError
from tallystick.events import Event
from tallystick.exports.records import ExportFormat, Pinned
from tallystick.ledger import HOLDER_CODES, EntryLine, LedgerAccount, ledger_account_id
from tallystick.liabilities import Claim
from tallystick.participants import Account, Principal, TokenClass

__all__ = [
    "Entry",
    "Scope",
    "Standing",
    "booked_on",
    "claims",
    "dated_entries",
    "entries",
    "holder_accounts",
    "rows_to_write",
    "scope_of",
    "standings",
    "told_at",
]

_EVENTS_PER_PAGE: Final = 1_000
_LEDGER_ACCOUNTS_PER_PAGE: Final = 1_000
_HOLDER_ACCOUNTS_PER_PAGE: Final = 200
_TOKEN_CLASSES_MAX: Final = 1_000
# What an empty log is told as of. Nothing older fits into a ZIP archive.
_BEFORE_ALL: Final = datetime(1980, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose books are told, of which token classes (in the order of currencies), and which part of the log.

    With `holder_id` only what stands in that holder's accounts is.
    """

    viewer: Principal
    classes: tuple[TokenClass, ...]
    whole_issuer: bool
    first_index: int
    last_index: int
    holder_id: str | None = None

    @property
    def issuer_id(self) -> str:
        return self.viewer.issuer_id


class Entry(NamedTuple):
    """An event and the journal lines that it posted; an event such as a freeze posts none."""

    event: Event
    lines: list[EntryLine]


class Standing(NamedTuple):
    """A ledger account with its balance before the period and at its end, in its normal sense."""

    account: LedgerAccount
    opening_minor: int
    balance_minor: int
    last_event_index: int


def scope_of(connection: Connection, viewer: Principal, pinned: Pinned) -> Scope:
    """Return what pinned arguments cover; raises TokenClassNotFoundError."""
    token_class_id = pinned.arguments.token_class_id
    if token_class_id is None:
        classes = participants.token_classes(connection, viewer.issuer_id, limit=_TOKEN_CLASSES_MAX)
    else:
        classes = [participants.token_class(connection, viewer.issuer_id, token_class_id)]
    return Scope(
        viewer,
        tuple(sorted(classes, key=lambda one: one.currency)),
        token_class_id is None,
        pinned.first_event_index,
        pinned.last_event_index,
        pinned.arguments.options.holder_id,
    )


def rows_to_write(connection: Connection, issuer_id: str, pinned: Pinned) -> int:
    """Return about how many rows an export will have: its events and journal lines, of whatever class."""
    if pinned.arguments.options.handed_off is not None:
        return pinned.arguments.options.handed_off.line_count
    first_index = pinned.first_event_index if pinned.evidence is None else 0
    lines = ledger.count_lines(connection, issuer_id, first_index, pinned.last_event_index)
    if pinned.arguments.format in {ExportFormat.HLEDGER, ExportFormat.BEANCOUNT}:
        return pinned.last_event_index + 1 - first_index
    return pinned.last_event_index + 1 - first_index + lines


def entries(connection: Connection, scope: Scope) -> Iterator[Entry]:
    """Yield the period's entries in the order of the log.

    Of an entry that moves several currencies only the lines of the scope's classes are told; they balance on their
    own. Raises InvariantError where the log has a gap.
    """
    currencies = {one.currency for one in scope.classes}
    class_ids = {one.id for one in scope.classes}
    for first in range(scope.first_index, scope.last_index + 1, _EVENTS_PER_PAGE):
        last = min(first + _EVENTS_PER_PAGE - 1, scope.last_index)
        found = events.events(connection, scope.issuer_id, after_index=first - 1, limit=last - first + 1)
        if [one.event_index for one in found] != list(range(first, last + 1)):
            raise InvariantError(f"the log has a gap between {first} and {last}")
        lines: dict[int, list[EntryLine]] = {}
        for line in ledger.entry_lines(connection, scope.issuer_id, first, last):
            if line.currency in currencies:
                lines.setdefault(line.event_index, []).append(line)
        for one in found:
            posted = lines.get(one.event_index, [])
            if posted or scope.whole_issuer or one.token_class_id in class_ids:
                yield Entry(one, posted)


def dated_entries(connection: Connection, scope: Scope, first_day: date, last_day: date) -> Iterator[Entry]:
    """Yield entries with the lines whose value date lies between two days, both included, in the order of the log."""
    currencies = {one.currency for one in scope.classes}
    by_event = groupby(
        (
            one
            for one in ledger.lines_dated(connection, scope.issuer_id, first_day, last_day, scope.last_index)
            if one.currency in currencies
        ),
        key=lambda line: line.event_index,
    )
    page: list[list[EntryLine]] = []
    for _, lines in by_event:
        page.append(list(lines))
        if len(page) == _EVENTS_PER_PAGE:
            yield from _with_events(connection, scope, page)
            page = []
    yield from _with_events(connection, scope, page)


def _with_events(connection: Connection, scope: Scope, page: list[list[EntryLine]]) -> Iterator[Entry]:
    found = events.events_at(connection, scope.issuer_id, [lines[0].event_index for lines in page])
    by_index = {one.event_index: one for one in found}
    for lines in page:
        event = by_index.get(lines[0].event_index)
        if event is None:
            raise InvariantError(f"the log has no event {lines[0].event_index}, which was posted")
        yield Entry(event, lines)


def standings(connection: Connection, scope: Scope, of_class: TokenClass) -> Iterator[Standing]:
    """Yield a class's ledger accounts that were posted to by the end of the period, in the order of their ids."""
    for page in _ledger_accounts(connection, scope, of_class):
        closing = ledger.positions(connection, scope.issuer_id, [one.id for one in page], scope.last_index)
        opening = {}
        if scope.first_index > 0 and closing:
            opening = ledger.positions(connection, scope.issuer_id, list(closing), scope.first_index - 1)
        for one in page:
            position = closing.get(one.id)
            if position is not None:
                before = opening.get(one.id)
                yield Standing(
                    one,
                    0 if before is None else before.balance_minor,
                    position.balance_minor,
                    position.last_event_index,
                )


def _ledger_accounts(
    connection: Connection, scope: Scope, of_class: TokenClass
) -> Iterator[list[LedgerAccount]]:
    """Yield the ledger accounts that a scope covers, a page at a time, in the order of their ids."""
    if scope.holder_id is not None:
        found = [
            one
            for account in holder_accounts(connection, scope, of_class)
            for one in ledger.accounts(connection, scope.issuer_id, account_id=account.id)
        ]
        if found:
            yield sorted(found, key=lambda one: one.id)
        return
    after = ""
    while page := ledger.accounts(
        connection,
        scope.issuer_id,
        token_class_id=of_class.id,
        after=after,
        limit=_LEDGER_ACCOUNTS_PER_PAGE,
    ):
        after = page[-1].id
        yield page


def holder_accounts(connection: Connection, scope: Scope, of_class: TokenClass) -> Iterator[Account]:
    """Yield the holders' accounts in a class that were posted to by the end of the period."""
    after = ""
    while page := participants.accounts(
        connection,
        scope.viewer,
        holder_id=scope.holder_id,
        token_class_id=of_class.id,
        after=after,
        limit=_HOLDER_ACCOUNTS_PER_PAGE,
    ):
        after = page[-1].id
        touched = ledger.positions(
            connection,
            scope.issuer_id,
            [ledger_account_id(code, one.id) for one in page for code in HOLDER_CODES],
            scope.last_index,
        )
        owners = {one.partition(".")[2] for one in touched}
        yield from (one for one in page if one.id in owners)


def claims(connection: Connection, scope: Scope, of_class: TokenClass) -> Iterator[Claim]:
    """Yield what was owed to each holder in a class at the end of the period; records without a claim yet left out."""
    after = ""
    while page := liabilities.liabilities(
        connection,
        scope.issuer_id,
        holder_ids=None if scope.holder_id is None else [scope.holder_id],
        token_class_id=of_class.id,
        after=after,
        limit=_HOLDER_ACCOUNTS_PER_PAGE,
    ):
        after = page[-1].id
        for one in liabilities.claims(connection, scope.viewer, page, scope.last_index):
            if one.last_event_index is not None:
                yield one


def booked_on(connection: Connection, scope: Scope, event_index: int) -> date:
    """Return the UTC date that an event was booked on."""
    return events.event_by_index(connection, scope.issuer_id, event_index).booked_at.date()


def told_at(connection: Connection, scope: Scope, pinned: Pinned) -> datetime:
    """Return the moment that an export is dated with: the period's end, or the booking of its last event.

    It takes the place of the clock, which would differ when the files are made again.
    """
    until = pinned.arguments.booked_until
    if until is not None:
        return max(until, _BEFORE_ALL)
    if scope.last_index < 0:
        return _BEFORE_ALL
    return events.event_by_index(connection, scope.issuer_id, scope.last_index).booked_at
