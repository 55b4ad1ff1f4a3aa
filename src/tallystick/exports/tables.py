"""The tables of an export: what their columns are and how a row is made, whatever they are written into."""

from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.events import Event
from tallystick.exports.manifest import Totals
from tallystick.exports.options import NO_OPTIONS, ExportOptions
from tallystick.exports.reading import (
    Entry,
    Scope,
    Standing,
    claims,
    entries,
    holder_accounts,
    standings,
)
from tallystick.exports.records import ExportFormat, FileFacts
from tallystick.exports.sampling import write_sample
from tallystick.exports.writers import (
    CSV,
    JSON_LINES,
    NewFile,
    Row,
    SeparateFiles,
    Table,
    Tables,
    csv_table,
    json_lines_table,
)
from tallystick.ledger import CHART, HOLDER_CODES, Code, EntryLine
from tallystick.liabilities import Claim

__all__ = [
    "COLUMNS",
    "TABLE_FORMATS",
    "ColumnKind",
    "kind_of",
    "line_row",
    "write_all",
    "write_standing_tables",
    "write_tables",
]

TABLE_FORMATS: Final = (ExportFormat.CSV, ExportFormat.JSONL)

# Amounts are decimal strings with the class's scale; balances are in the account's normal sense.
COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "journal": (
        "event_index",
        "line_number",
        "event_id",
        "event_type",
        "instruction_id",
        "booked_at",
        "value_date",
        "ledger_account_id",
        "code",
        "name",
        "account_id",
        "token_class_id",
        "currency",
        "debit",
        "credit",
        "previous_balance",
        "balance",
        "account_version",
    ),
    "events": (
        "event_index",
        "event_id",
        "type",
        "instruction_id",
        "token_class_id",
        "booked_at",
        "key_id",
        "jws",
    ),
    "balances": (
        "ledger_account_id",
        "code",
        "name",
        "account_id",
        "token_class_id",
        "currency",
        "normal_balance",
        "opening_balance",
        "balance",
        "last_event_index",
    ),
    "trial_balance": (
        "token_class_id",
        "currency",
        "code",
        "name",
        "opening_balance",
        "debits",
        "credits",
        "balance",
        "debit_balance",
        "credit_balance",
    ),
    "accounts": ("account_id", "holder_id", "token_class_id", "currency", "opened_at"),
    "liabilities": (
        "liability_id",
        "holder_id",
        "token_class_id",
        "currency",
        "terms_version",
        "opened_at",
        "since",
        "last_event_index",
        "available",
        "held",
        "pledged",
        "restricted",
        "dormant",
        "total",
    ),
    "sample": (
        "draw",
        "event_index",
        "event_id",
        "event_type",
        "booked_at",
        "token_class_id",
        "currency",
        "amount",
        "selected_by",
    ),
}


class ColumnKind(Enum):
    """What the cells of a column are, beside empty, for files that know types."""

    TEXT = "text"
    INTEGER = "integer"
    AMOUNT = "amount"
    MOMENT = "moment"
    DAY = "day"


_KINDS: Final = {
    **dict.fromkeys(
        ("event_index", "line_number", "account_version", "last_event_index", "terms_version", "draw"),
        ColumnKind.INTEGER,
    ),
    **dict.fromkeys(("booked_at", "opened_at", "since"), ColumnKind.MOMENT),
    "value_date": ColumnKind.DAY,
    **dict.fromkeys(
        (
            *("debit", "credit", "previous_balance", "balance", "opening_balance", "debits", "credits"),
            *("debit_balance", "credit_balance", "amount"),
            *("available", "held", "pledged", "restricted", "dormant", "total"),
        ),
        ColumnKind.AMOUNT,
    ),
}


def kind_of(column: str) -> ColumnKind:
    """Return what the cells of a column are."""
    return _KINDS.get(column, ColumnKind.TEXT)


class _Style(NamedTuple):
    extension: str
    media_type: str
    table: Callable[[NewFile, tuple[str, ...]], Table]


_STYLES: Final = {
    ExportFormat.CSV: _Style("csv", CSV, csv_table),
    ExportFormat.JSONL: _Style("jsonl", JSON_LINES, json_lines_table),
}


def write_tables(
    connection: Connection,
    scope: Scope,
    folder: Path,
    export_format: ExportFormat,
    options: ExportOptions = NO_OPTIONS,
) -> tuple[list[FileFacts], Totals]:
    """Write every table into a file of its own, add up the totals on the way, and return the files' facts."""
    totals = Totals(scope)
    with _files(folder, export_format) as tables:
        write_all(connection, scope, tables, totals, options)
        return tables.files, totals


def write_all(
    connection: Connection, scope: Scope, tables: Tables, totals: Totals, options: ExportOptions
) -> None:
    """Write every table of an export, and the sample that was asked for, adding up the totals on the way."""
    _write_log(connection, scope, tables, totals)
    _write_standing(connection, scope, tables, totals)
    if options.sample_size is not None:
        write_row = tables.open("sample", COLUMNS["sample"])
        write_sample(connection, scope, options, totals, write_row)
        tables.close("sample")


def write_standing_tables(
    connection: Connection, scope: Scope, folder: Path, export_format: ExportFormat, totals: Totals
) -> list[FileFacts]:
    """Write what stands at the end of the period, once `totals` have seen its entries; return the files' facts."""
    with _files(folder, export_format) as tables:
        _write_standing(connection, scope, tables, totals)
        return tables.files


def _files(folder: Path, export_format: ExportFormat) -> SeparateFiles:
    return SeparateFiles(folder, *_STYLES[export_format])


def _write_standing(connection: Connection, scope: Scope, tables: Tables, totals: Totals) -> None:
    def write(name: str, rows: Iterator[Row]) -> None:
        write_row = tables.open(name, COLUMNS[name])
        for row in rows:
            write_row(row)
        tables.close(name)

    write("balances", _balances(connection, scope, totals))
    if scope.holder_id is None:
        write("trial_balance", _trial_balance(totals))
    write("accounts", _accounts(connection, scope))
    write("liabilities", _liabilities(connection, scope))


def _write_log(connection: Connection, scope: Scope, tables: Tables, totals: Totals) -> None:
    # Events are long: journal and log are written together so that each is read once.
    classes = {one.currency: one for one in scope.classes}
    write_line = tables.open("journal", COLUMNS["journal"])
    write_event = tables.open("events", COLUMNS["events"])
    for entry in entries(connection, scope):
        totals.add_entry(entry)
        write_event(_event_row(entry.event))
        for line in entry.lines:
            of_class = classes[line.currency]
            write_line(line_row(entry, line, of_class.id, of_class.scale))
    tables.close("journal")
    tables.close("events")


def line_row(entry: Entry, line: EntryLine, token_class_id: str, scale: int) -> Row:
    """Return a journal line as a row of `journal`."""
    event = entry.event
    code, _, owner_id = line.ledger_account_id.partition(".")
    return (
        event.event_index,
        line.line_number,
        event.id,
        event.type,
        event.subject_id,
        format_time(line.booked_at),
        line.value_date.isoformat(),
        line.ledger_account_id,
        code,
        CHART[code].name,
        owner_id if code in HOLDER_CODES else None,
        token_class_id,
        line.currency,
        format_amount(line.debit_minor, scale) if line.debit_minor else None,
        format_amount(line.credit_minor, scale) if line.credit_minor else None,
        format_amount(line.previous_balance_minor, scale),
        format_amount(line.balance_minor, scale),
        line.account_version,
    )


def _event_row(event: Event) -> Row:
    return (
        event.event_index,
        event.id,
        event.type,
        event.subject_id,
        event.token_class_id,
        format_time(event.booked_at),
        event.key_id,
        event.jws,
    )


def _balances(connection: Connection, scope: Scope, totals: Totals) -> Iterator[Row]:
    for of_class in scope.classes:
        for standing in standings(connection, scope, of_class):
            totals.add_standing(standing)
            yield _balance_row(standing, of_class.scale)


def _balance_row(standing: Standing, scale: int) -> Row:
    account = standing.account
    return (
        account.id,
        account.code,
        CHART[account.code].name,
        account.account_id,
        account.token_class_id,
        account.currency,
        "debit" if CHART[account.code].debit_normal else "credit",
        format_amount(standing.opening_minor, scale),
        format_amount(standing.balance_minor, scale),
        standing.last_event_index,
    )


def _trial_balance(totals: Totals) -> Iterator[Row]:
    for of_class, code, sums in totals.trial_balance():
        on_debit_side = CHART[code].debit_normal == (sums.balance_minor >= 0)
        on_its_side = format_amount(abs(sums.balance_minor), of_class.scale)
        yield (
            of_class.id,
            of_class.currency,
            code,
            CHART[code].name,
            format_amount(sums.opening_minor, of_class.scale),
            format_amount(sums.debits_minor, of_class.scale),
            format_amount(sums.credits_minor, of_class.scale),
            format_amount(sums.balance_minor, of_class.scale),
            on_its_side if on_debit_side else None,
            None if on_debit_side else on_its_side,
        )


def _accounts(connection: Connection, scope: Scope) -> Iterator[Row]:
    for of_class in scope.classes:
        for account in holder_accounts(connection, scope, of_class):
            yield (
                account.id,
                account.holder_id,
                of_class.id,
                of_class.currency,
                format_time(account.opened_at),
            )


def _liabilities(connection: Connection, scope: Scope) -> Iterator[Row]:
    for of_class in scope.classes:
        for claim in claims(connection, scope, of_class):
            yield _liability_row(claim, of_class.currency, of_class.scale)


def _liability_row(claim: Claim, currency: str, scale: int) -> Row:
    record = claim.liability

    def amount(code: Code) -> str:
        return format_amount(claim.by_code_minor[code.value], scale)

    return (
        record.id,
        record.holder_id,
        record.token_class_id,
        currency,
        record.terms_version,
        format_time(record.opened_at),
        None if claim.since is None else format_time(claim.since),
        claim.last_event_index,
        amount(Code.TOKENS_AVAILABLE),
        amount(Code.TOKENS_HELD),
        amount(Code.TOKENS_PLEDGED),
        amount(Code.TOKENS_RESTRICTED),
        amount(Code.TOKENS_DORMANT),
        format_amount(claim.total_minor, scale),
    )
