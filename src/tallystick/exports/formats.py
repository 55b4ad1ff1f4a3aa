"""Which writer makes the files of which format; an evidence pack has one of its own."""

# ruff: noqa: PLC0415 Parquet's library may be absent, and nobody should wait for what is not asked for.

from pathlib import Path

from sqlalchemy import Connection

from tallystick.exports.account_statement import account_statement
from tallystick.exports.camt053 import write_camt053
from tallystick.exports.general_ledger import LEDGER_FORMATS, write_general_ledger
from tallystick.exports.manifest import ControlTotals
from tallystick.exports.plain_text import write_plain_text
from tallystick.exports.reading import Scope
from tallystick.exports.records import ExportFormat, FileFacts, Pinned
from tallystick.exports.tables import TABLE_FORMATS, write_tables
from tallystick.participants import Issuer

__all__ = ["write_format"]


def write_format(
    connection: Connection, issuer: Issuer, scope: Scope, folder: Path, pinned: Pinned
) -> tuple[list[FileFacts], ControlTotals]:
    """Write an export's files into `folder`, in constant memory, and return their facts with the totals.

    Raises ExportFormatLimitError. Libraries are loaded by the formats that need them.
    """
    export_format, options = pinned.arguments.format, pinned.arguments.options
    if export_format in TABLE_FORMATS:
        return write_tables(connection, scope, folder, export_format, options)
    if export_format == ExportFormat.PARQUET:
        from tallystick.exports.parquet import write_parquet

        return write_parquet(connection, scope, folder, options)
    if export_format == ExportFormat.XLSX:
        from tallystick.exports.workbook import write_workbook

        return write_workbook(connection, issuer, scope, folder, pinned)
    if export_format in LEDGER_FORMATS:
        return write_general_ledger(connection, scope, folder, pinned)
    if export_format == ExportFormat.CAMT053:
        return write_camt053(connection, account_statement(connection, issuer, scope, pinned), folder)
    if export_format == ExportFormat.PDF:
        from tallystick.exports.statement_pdf import write_statement_pdf

        return write_statement_pdf(connection, account_statement(connection, issuer, scope, pinned), folder)
    return write_plain_text(connection, scope, folder, export_format)
