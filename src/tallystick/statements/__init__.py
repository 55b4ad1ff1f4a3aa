"""Bank statements that confirm deposits: read, checked, imported once."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection

from tallystick.statements import notified_store, store
from tallystick.statements.abandoning import (
    StatementAbandonedError,
    StatementCompleteError,
    StatementImportNotAllowedError,
    abandon_statement,
)
from tallystick.statements.camt import parse_camt
from tallystick.statements.content import StatementAmountInexactError
from tallystick.statements.csv_mapping import (
    MAPPING_SIZE_MAX_BYTES,
    CsvMapping,
    StatementMappingInvalidError,
    read_mapping,
    understood_mapping,
)
from tallystick.statements.deposit_balances import (
    DepositBalanceConflictError,
    DepositBalanceInFutureError,
    DepositBalanceKind,
    DepositBalanceNotFoundError,
    NewDepositBalance,
    record_deposit_balance,
)
from tallystick.statements.files import StatementFile, read_file
from tallystick.statements.importing import (
    PART_SIZE_MAX,
    import_ahead,
    import_statement,
)
from tallystick.statements.matching import MatchedBy
from tallystick.statements.open_items import (
    booked_sums,
    entries_numbered,
    entries_of_amounts,
    first_told,
    latest_holds,
    links_of_deposits,
    payout_returns,
)
from tallystick.statements.records import (
    DepositBalance,
    EntryLink,
    ImportedStatement,
    PartLink,
    Statement,
    StatementEntry,
    StatementFinding,
    StatementImport,
    StatementNotFoundError,
    statement_entry_id,
)
from tallystick.statements.returned_payouts import payouts_named
from tallystick.statements.taking_up import (
    StatementAccountUnknownError,
    StatementConflictError,
    StatementCurrencyMismatchError,
)
from tallystick.statements.xml_guard import guard_xml
from tallystick.statements.xml_levels import Children, read_root_tag, stream_levels

__all__ = [
    "MAPPING_SIZE_MAX_BYTES",
    "PART_SIZE_MAX",
    "Children",
    "CsvMapping",
    "DepositBalance",
    "DepositBalanceConflictError",
    "DepositBalanceInFutureError",
    "DepositBalanceKind",
    "DepositBalanceNotFoundError",
    "EntryLink",
    "ImportedStatement",
    "MatchedBy",
    "NewDepositBalance",
    "PartLink",
    "Statement",
    "StatementAbandonedError",
    "StatementAccountUnknownError",
    "StatementAmountInexactError",
    "StatementCompleteError",
    "StatementConflictError",
    "StatementCurrencyMismatchError",
    "StatementEntry",
    "StatementFile",
    "StatementFinding",
    "StatementImport",
    "StatementImportNotAllowedError",
    "StatementMappingInvalidError",
    "StatementNotFoundError",
    "abandon_statement",
    "booked_sums",
    "completed_since",
    "deposit_balance",
    "deposit_balances",
    "entries",
    "entries_by_id",
    "entries_confirmed_by_hand",
    "entries_numbered",
    "entries_of_amounts",
    "figures_came_at",
    "findings",
    "first_told",
    "guard_xml",
    "holds",
    "holds_of_account",
    "import_ahead",
    "import_statement",
    "latest_deposit_balance",
    "latest_holds",
    "latest_statement",
    "links_of_deposits",
    "links_of_parts",
    "parse_camt",
    "payout_returns",
    "payouts_named",
    "read_file",
    "read_mapping",
    "read_root_tag",
    "record_deposit_balance",
    "statement",
    "statement_entry_id",
    "statements",
    "statements_in_order",
    "stream_entries",
    "stream_levels",
    "understood_mapping",
]

_PAGE = 1_000


def statements(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Statement]:
    """Return a page of imported statements in the order of their ids, which is that of their import."""
    return store.read_statements(connection, issuer_id, token_class_id, after, limit)


def statement(connection: Connection, issuer_id: str, statement_id: str) -> Statement:
    """Return one statement or raise StatementNotFoundError."""
    found = store.read_statement(connection, issuer_id, statement_id)
    if found is None:
        raise StatementNotFoundError
    return found


def entries(
    connection: Connection, issuer_id: str, statement_id: str, *, after: int = 0, limit: int = 100
) -> list[StatementEntry]:
    """Return a page of a statement's entries behind the entry numbered `after`: credits, debits, booked or not.

    Of a statement that is not complete, those that are in.
    """
    return store.read_entries(connection, issuer_id, statement_id, after, limit)


def stream_entries(connection: Connection, issuer_id: str, statement_id: str) -> Iterator[StatementEntry]:
    """Yield a statement's entries in order and in constant memory."""
    after = 0
    while page := store.read_entries(connection, issuer_id, statement_id, after, _PAGE):
        yield from page
        after = page[-1].entry_number


def entries_by_id(connection: Connection, issuer_id: str, ids: Sequence[str]) -> dict[str, StatementEntry]:
    """Return the statements' entries that bear out deposits, by the ids that the deposits name as their evidence.

    A report or notification proves no balance, nor does a statement that was abandoned. Where a deposit names an entry
    of one, the statement's entry that was linked to it stands here, and nothing until the statement has come. Ids of no
    entry are left out.
    """
    places = []
    for entry_id in ids:
        statement_id, _, number = entry_id.rpartition(".")
        if statement_id and number.isascii() and number.isdigit() and len(number) < 19:
            places.append((statement_id, int(number)))
    found = store.read_entries_at(connection, issuer_id, places)
    told_early = [entry.deposit_id or "" for entry, intraday in found if intraday]
    linked = {
        entry.deposit_id: entry
        for entry in (notified_store.read_notified(connection, issuer_id, told_early) if told_early else ())
    }
    borne_out = {entry.id: entry for entry, intraday in found if not intraday}
    return borne_out | {
        entry.id: linked[entry.deposit_id]
        for entry, intraday in found
        if intraday and entry.deposit_id in linked
    }


def entries_confirmed_by_hand(
    connection: Connection, issuer_id: str, deposit_ids: Sequence[str]
) -> dict[str, StatementEntry]:
    """Return, by deposit, the entries that deposits confirmed by hand were linked to; a deposit has one at most."""
    return {
        entry.deposit_id or "": entry
        for entry in notified_store.read_confirmed_by_hand(connection, issuer_id, deposit_ids)
    }


def links_of_parts(connection: Connection, issuer_id: str, statement_id: str) -> list[PartLink]:
    """Return what ties a statement's entries that are `notified_in_parts` to deposits, in the order of the file."""
    return [
        PartLink(statement_entry_id(statement_id, number), deposit_id)
        for number, deposit_id in notified_store.read_part_links_of_statement(
            connection, issuer_id, statement_id
        )
    ]


def findings(
    connection: Connection, issuer_id: str, statement_id: str, *, after: int = 0, limit: int = 100
) -> list[StatementFinding]:
    """Return a page of what was found odd in a statement, behind the finding numbered `after`."""
    return store.read_findings(connection, issuer_id, statement_id, after, limit)


def statements_in_order(
    connection: Connection, issuer_id: str, token_class_id: str, *, imported_until: datetime | None = None
) -> list[Statement]:
    """Return the end-of-day statements of a class's backing account in the order of the days they tell of.

    One whose import was cut short is not among them, for it proves nothing until it is whole. `imported_until` leaves
    out what became whole later, so that a past moment can be looked at again.
    """
    return store.read_in_order(connection, issuer_id, token_class_id, imported_until)


def latest_statement(
    connection: Connection, issuer_id: str, token_class_id: str, *, imported_until: datetime | None = None
) -> Statement | None:
    """Return the last of `statements_in_order` that has a closing balance, or None."""
    return store.read_latest_closed(connection, issuer_id, token_class_id, imported_until)


def completed_since(connection: Connection, issuer_id: str, since: datetime) -> list[Statement]:
    """Return the statements, reports and notifications that became whole since a moment, in the order of their ids."""
    return store.read_completed_since(connection, issuer_id, since)


def deposit_balances(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None = None,
    account_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[DepositBalance]:
    """Return a page of the figures that cores pushed, in the order in which they came."""
    return store.read_deposit_balances(connection, issuer_id, token_class_id, account_id, after, limit)


def holds(
    connection: Connection, issuer_id: str, token_class_id: str, *, after: str = "", limit: int = 1_000
) -> list[DepositBalance]:
    """Return a page of what was told of holds on customers' own accounts, behind the figure `after`."""
    return store.read_holds(connection, issuer_id, token_class_id, after, limit)


def holds_of_account(
    connection: Connection, issuer_id: str, token_class_id: str, account_id: str
) -> list[DepositBalance]:
    """Return all that was told of the holds on one account, in the order of the moments that it was told of."""
    return store.read_holds_of_account(connection, issuer_id, token_class_id, account_id)


def deposit_balance(connection: Connection, issuer_id: str, deposit_balance_id: str) -> DepositBalance:
    """Return one figure or raise DepositBalanceNotFoundError."""
    found = store.read_deposit_balance(connection, issuer_id, deposit_balance_id)
    if found is None:
        raise DepositBalanceNotFoundError
    return found


def figures_came_at(connection: Connection, issuer_id: str) -> dict[str, datetime]:
    """Return by token class when the last figure came that reconciliation compares: the backing account's balance, or a
    customer's hold.
    """
    return store.read_last_recorded(connection, issuer_id)


def latest_deposit_balance(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    kind: DepositBalanceKind,
    *,
    until: datetime,
    recorded_until: datetime,
) -> DepositBalance | None:
    """Return the last figure of a kind of the class's backing account itself, of those that tell of a moment up to
    `until` and had come by `recorded_until`; None without.
    """
    return store.read_latest_deposit_balance(
        connection, issuer_id, token_class_id, kind.value, until, recorded_until
    )
