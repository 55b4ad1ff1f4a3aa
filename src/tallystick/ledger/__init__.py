"""The books: chart of accounts, journal, balances. Every token is a liability of the issuer, to the minor unit."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection

from tallystick.core.errors import InvariantError
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.ledger import store
from tallystick.ledger.book import (
    BalanceOverflowError,
    Book,
    InsufficientFundsError,
    Line,
    Posting,
)
from tallystick.ledger.chart import (
    CHART,
    CLAIM_CODES,
    DEBIT_NORMAL_CODES,
    HOLDER_CODES,
    ISSUER_CODES,
    Code,
    LedgerCode,
    ledger_account_id,
)
from tallystick.ledger.records import EntryLine, LedgerAccount, Position, TrialBalanceRow
from tallystick.ledger.standpoints import Standpoint, standpoint

__all__ = [
    "CHART",
    "CLAIM_CODES",
    "DEBIT_NORMAL_CODES",
    "HOLDER_CODES",
    "INDEX_MAX",
    "ISSUER_CODES",
    "BalanceOverflowError",
    "Book",
    "Code",
    "EntryLine",
    "InsufficientFundsError",
    "LedgerAccount",
    "LedgerCode",
    "Line",
    "Position",
    "Posting",
    "Standpoint",
    "TrialBalanceRow",
    "account_lines",
    "accounts",
    "balances",
    "balances_at",
    "count_lines",
    "entry_lines",
    "first_dated_behind",
    "is_debit_normal",
    "ledger_account_id",
    "lines_dated",
    "lines_of_accounts",
    "lock",
    "moved_between",
    "open_class_accounts",
    "open_holder_accounts",
    "positions",
    "present_book",
    "standpoint",
    "stream_account_lines",
    "stream_claims",
    "stream_lines",
    "stream_movements",
    "stream_trial_balance",
    "supply_at_minor",
    "supply_minor",
    "touching_indexes",
    "trial_balance",
    "trial_sums",
    "write_balances",
    "write_lines",
]

INDEX_MAX: Final = 2**63 - 1


def open_class_accounts(connection: Connection, issuer_id: str, token_class_id: str, currency: str) -> None:
    """Open the ledger accounts that a token class has once."""
    store.open_accounts(
        connection,
        issuer_id,
        [
            (ledger_account_id(code, token_class_id), code, token_class_id, currency, None)
            for code in ISSUER_CODES
        ],
    )


def open_holder_accounts(
    connection: Connection, issuer_id: str, token_class_id: str, currency: str, account_id: str
) -> None:
    """Open the ledger accounts of one holder's account, so that each can be locked before its first posting."""
    store.open_accounts(
        connection,
        issuer_id,
        [
            (ledger_account_id(code, account_id), code, token_class_id, currency, account_id)
            for code in HOLDER_CODES
        ],
    )


def lock(pipeline: Pipeline, issuer_id: str, ledger_account_ids: Iterable[str]) -> Asked[Book]:
    """Lock these balances, in the order of their ids, until the transaction ends; give a book to post to."""
    return store.lock(pipeline, issuer_id, ledger_account_ids)


def write_lines(pipeline: Pipeline, issuer_id: str, book: Book, booked_at: datetime) -> None:
    """Write the lines posted since the last writing. The database refuses an entry that doesn't balance."""
    lines = book.take_lines()
    if lines:
        store.write_lines(pipeline, issuer_id, lines, booked_at)


def is_debit_normal(ledger_account_id: str) -> bool:
    """Tell whether a debit raises this account."""
    return ledger_account_id.partition(".")[0] in DEBIT_NORMAL_CODES


def present_book(connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str]) -> Book:
    """Return the accounts as they stand, not locked: to look at what could be posted, and never to post."""
    return store.read_book(connection, issuer_id, ledger_account_ids)


def supply_minor(connection: Connection, issuer_id: str, token_class_id: str) -> int:
    """Return a class's supply as the books have it: the sum of all its token accounts (2110 to 2140)."""
    return store.read_sum(connection, issuer_id, token_class_id, list(CLAIM_CODES))


def write_balances(pipeline: Pipeline, issuer_id: str, book: Book) -> Callable[[], None]:
    """Write the balances that the written lines led to, and return the check to make when the pipeline has ended.

    The database refuses a balance below its floor; the check raises InvariantError if one was not as it was locked.
    """
    touched = book.touched()
    if not touched:
        return lambda: None
    written = store.write_balances(pipeline, issuer_id, touched)

    def check() -> None:
        if written.result() != len(touched):
            raise InvariantError("a locked balance changed under its lock")

    return check


def accounts(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None = None,
    account_id: str | None = None,
    code: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[LedgerAccount]:
    """Return a page of ledger accounts in the order of their ids."""
    return store.read_accounts(
        connection,
        issuer_id,
        token_class_id=token_class_id,
        account_id=account_id,
        code=code,
        after=after,
        limit=limit,
    )


def balances(connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str]) -> dict[str, int]:
    """Return present balances in minor units, by ledger account id."""
    return store.read_balances(connection, issuer_id, ledger_account_ids)


def positions(
    connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str], event_index: int = INDEX_MAX
) -> dict[str, Position]:
    """Return accounts as they stood when the event at `event_index` had been posted; never touched ones left out."""
    return {
        one.id: one for one in store.read_positions(connection, issuer_id, ledger_account_ids, event_index)
    }


def trial_balance(
    connection: Connection, issuer_id: str, token_class_id: str, event_index: int = INDEX_MAX
) -> list[TrialBalanceRow]:
    """Return every ledger account of a class with its balance as of an index of the log."""
    return store.read_trial_balance(connection, issuer_id, token_class_id, event_index)


def balances_at(
    connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str], at: Standpoint
) -> dict[str, int]:
    """Return balances in minor units as they count from a standpoint; those that were never touched are left out.

    By effect a balance of 2010 or 21xx can lie below zero, where money was moved on before the day it counts from.
    """
    return store.read_balances_at(connection, issuer_id, ledger_account_ids, at)


def supply_at_minor(connection: Connection, issuer_id: str, token_class_id: str, at: Standpoint) -> int:
    """Return a class's supply as it counts from a standpoint; it looks at one row per ledger account."""
    return store.read_sum_at(connection, issuer_id, token_class_id, list(CLAIM_CODES), at)


def stream_trial_balance(
    connection: Connection, issuer_id: str, token_class_id: str, at: Standpoint
) -> Iterator[TrialBalanceRow]:
    """Yield every ledger account of a class as it counts from a standpoint, by code and owner, in constant memory."""
    return store.stream_trial_balance(connection, issuer_id, token_class_id, at)


def stream_claims(
    connection: Connection, issuer_id: str, token_class_id: str, at: Standpoint
) -> Iterator[tuple[str, int]]:
    """Yield each holder's account with what is owed on it (2110 to 2140 together), once it was touched; unordered."""
    return store.stream_claims(connection, issuer_id, token_class_id, list(CLAIM_CODES), at)


def account_lines(
    connection: Connection,
    issuer_id: str,
    ledger_account_ids: Sequence[str],
    *,
    before: tuple[int, int] = (INDEX_MAX, 0),
    limit: int = 100,
) -> list[EntryLine]:
    """Return lines of these accounts, newest first, that precede `before` = (event index, line number)."""
    return store.read_lines_of_accounts(connection, issuer_id, ledger_account_ids, before=before, limit=limit)


def entry_lines(connection: Connection, issuer_id: str, first_index: int, last_index: int) -> list[EntryLine]:
    """Return the lines of the entries from one index of the log to another, both included."""
    return store.read_entry_lines(connection, issuer_id, first_index, last_index)


def lines_of_accounts(
    connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str], indexes: Sequence[int]
) -> list[EntryLine]:
    """Return the lines of these accounts in the entries at these indexes, in the order of the log."""
    return store.read_lines_at(connection, issuer_id, ledger_account_ids, indexes)


def count_lines(connection: Connection, issuer_id: str, first_index: int, last_index: int) -> int:
    """Return how many lines `entry_lines` would return."""
    return store.count_lines(connection, issuer_id, first_index, last_index)


def stream_lines(
    connection: Connection, issuer_id: str, first_index: int, last_index: int
) -> Iterator[EntryLine]:
    """Yield the same as `entry_lines` in constant memory."""
    return store.stream_lines(connection, issuer_id, first_index, last_index)


def stream_account_lines(
    connection: Connection, issuer_id: str, ledger_account_id: str, first_index: int, last_index: int
) -> Iterator[EntryLine]:
    """Yield one ledger account's lines from one index of the log to another, in order, in constant memory."""
    return store.stream_account_lines(connection, issuer_id, ledger_account_id, first_index, last_index)


def moved_between(
    connection: Connection, issuer_id: str, first_index: int, last_index: int
) -> Sequence[tuple[int, str, int, int]]:
    """Return of every line from one index to another what it moved: (index, ledger account, debit, credit), in order.

    How many that may be, the caller says.
    """
    return store.read_moved(connection, issuer_id, first_index, last_index)


def lines_dated(
    connection: Connection, issuer_id: str, first_day: date, last_day: date, last_index: int
) -> Iterator[EntryLine]:
    """Yield the lines whose value date lies between two days, both included, up to an index; in order, streamed."""
    return store.stream_lines_dated(connection, issuer_id, first_day, last_day, last_index)


def first_dated_behind(
    connection: Connection, issuer_id: str, first_day: date, last_day: date, after_index: int
) -> int | None:
    """Return the first event behind `after_index` with a line whose value date lies between two days, or None."""
    return store.read_first_dated_behind(connection, issuer_id, first_day, last_day, after_index)


def trial_sums(connection: Connection, issuer_id: str, token_class_id: str) -> tuple[int, int]:
    """Return a class's debit balances and credit balances, each in all, in minor units: the two are equal."""
    return store.read_trial_sums(connection, issuer_id, token_class_id, sorted(DEBIT_NORMAL_CODES))


def stream_movements(
    connection: Connection, issuer_id: str, ledger_account_id: str, first_index: int, last_index: int
) -> Iterator[list[tuple[int, int, date]]]:
    """Yield pages of (event index, debit less credit in minor units, value date) of one ledger account's lines."""
    while page := store.read_movements(connection, issuer_id, ledger_account_id, first_index, last_index):
        yield page
        first_index = page[-1][0] + 1


def touching_indexes(
    connection: Connection, issuer_id: str, ledger_account_ids: Sequence[str], after_index: int, limit: int
) -> list[int]:
    """Return the indexes behind `after_index` whose entries touch one of these accounts."""
    return store.read_touching_indexes(connection, issuer_id, ledger_account_ids, after_index, limit)
