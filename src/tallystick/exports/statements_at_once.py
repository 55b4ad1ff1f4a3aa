"""A holder's own statement, made while it is waited for: one account, one period, no export and no job.

It says what an export of the same arguments says. What is long is for an export, whose files are kept and hashed.
"""

import tempfile
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.core.errors import InvariantError, MalformedError
from tallystick.exports.account_statement import account_statement, changes, pinned_statement
from tallystick.exports.arguments import checked_arguments
from tallystick.exports.asking import pinned_period
from tallystick.exports.folders import storage
from tallystick.exports.formats import write_format
from tallystick.exports.options import ExportOptions
from tallystick.exports.reading import scope_of
from tallystick.exports.records import ExportArguments, ExportFormat
from tallystick.participants import Principal

__all__ = ["MOVEMENTS_MAX", "AccountStatementTooLongError", "StatementFile", "statement_at_once"]

MOVEMENTS_MAX: Final = 2_000


class AccountStatementTooLongError(MalformedError):
    """More movements than are told at once."""

    code = "account_statement_too_long"
    title = "The statement is too long to be made at once"


class StatementFile(NamedTuple):
    """A statement as a file: what it is, under which name, and its bytes."""

    media_type: str
    name: str
    content: bytes


def statement_at_once(
    connection: Connection,
    clock: Clock,
    viewer: Principal,
    account_id: str,
    export_format: ExportFormat,
    days: tuple[date | None, date | None] = (None, None),
) -> StatementFile:
    """Return the statement of an account that `viewer` may know of; of whole days, first and last, or of all until now.

    Raises AccountNotFoundError, AccountStatementTooLongError, ExportOptionsInvalidError, ExportPeriodInvalidError,
    ExportFormatLimitError, ExportStorageError.
    """
    participants.account(connection, viewer, account_id)
    asked = ExportArguments(
        export_format,
        options=ExportOptions(account_id=account_id, business_date=days[0], business_date_until=days[1]),
    )
    now = clock.now()
    pinned = pinned_statement(
        connection, viewer, pinned_period(connection, viewer.issuer_id, checked_arguments(asked, now), now)
    )
    issuer = participants.issuer(connection, viewer, viewer.issuer_id)
    scope = scope_of(connection, viewer, pinned)
    told = changes(connection, account_statement(connection, issuer, scope, pinned))
    if len(list(islice(told, MOVEMENTS_MAX + 1))) > MOVEMENTS_MAX:
        raise AccountStatementTooLongError(
            f"It has more than {MOVEMENTS_MAX:,} movements: ask for a shorter period, or the bank for an export."
        )
    with storage(), tempfile.TemporaryDirectory(prefix="statement-") as folder:
        files, _ = write_format(connection, issuer, scope, Path(folder), pinned)
        if len(files) != 1:
            raise InvariantError("a short statement has more than one file")
        content = (Path(folder) / files[0].name).read_bytes()
    suffix = Path(files[0].name).suffix
    return StatementFile(files[0].media_type, f"{account_id}{suffix}", content)
