"""Giving up on a statement that came in half: what came of it stands, and a corrected one may take its place.

Its deposits were confirmed from what the bank said, and stay. They are kept like those of a notification, so that the
statement that comes in its stead is linked to them, and nothing is confirmed twice.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from tallystick import participants, tokens
from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError, DeniedError
from tallystick.participants import Principal
from tallystick.statements import notified_store, store
from tallystick.statements.drafts import NO_REFERENCE
from tallystick.statements.notified import bounded
from tallystick.statements.notified_store import NotifiedDeposit
from tallystick.statements.records import Statement, StatementEntry, StatementNotFoundError
from tallystick.statements.taking_up import lock_control_accounts

__all__ = [
    "StatementAbandonedError",
    "StatementCompleteError",
    "StatementImportNotAllowedError",
    "abandon_statement",
    "refuse_abandoned",
]

_ENTRIES_AT_ONCE: Final = 1_000


class StatementImportNotAllowedError(DeniedError):
    """Only the issuer's own people confirm deposits."""

    code = "statement_import_not_allowed"
    title = "Not allowed to import statements"


class StatementAbandonedError(ConflictError):
    """The statement was abandoned: nothing more comes of it."""

    code = "statement_abandoned"
    title = "The statement was abandoned"


class StatementCompleteError(ConflictError):
    """All of the statement is in: it can't be abandoned any more."""

    code = "statement_complete"
    title = "The statement is complete"


def abandon_statement(
    connection: Connection, clock: Clock, actor: Principal, statement_id: str, reason: str
) -> Statement:
    """Give up on a statement whose import was cut short, and return it; the caller commits.

    An import of it that is under way stops with StatementAbandonedError. Raises StatementImportNotAllowedError,
    StatementNotFoundError, StatementCompleteError, StatementAbandonedError.
    """
    if not actor.sees_whole_issuer:
        raise StatementImportNotAllowedError
    issuer_id = actor.issuer_id
    found = _existing(connection, issuer_id, statement_id)
    of_class = participants.token_class(connection, issuer_id, found.token_class_id)
    # Whoever imports a part of it, or marks it as whole, holds this lock.
    lock_control_accounts(connection, issuer_id, [of_class])
    found = _existing(connection, issuer_id, statement_id)
    if found.abandoned_at is not None:
        raise StatementAbandonedError
    if found.completed_at is not None:
        raise StatementCompleteError
    store.add_abandonment(connection, issuer_id, statement_id, actor.id, reason, clock.now())
    after = 0
    while page := store.read_entries(connection, issuer_id, statement_id, after, _ENTRIES_AT_ONCE):
        after = page[-1].entry_number
        if not found.intraday:
            _keep_as_notified(connection, found, [entry for entry in page if entry.deposit_id is not None])
    return _existing(connection, issuer_id, statement_id)


def refuse_abandoned(connection: Connection, statements: Sequence[Statement]) -> None:
    """Raise StatementAbandonedError if one of these was abandoned meanwhile."""
    for one in statements:
        now = store.read_statement(connection, one.issuer_id, one.id)
        if now is not None and now.abandoned_at is not None:
            raise StatementAbandonedError(statement_id=one.id)


def _existing(connection: Connection, issuer_id: str, statement_id: str) -> Statement:
    found = store.read_statement(connection, issuer_id, statement_id)
    if found is None:
        raise StatementNotFoundError
    return found


def _keep_as_notified(connection: Connection, of: Statement, entries: Sequence[StatementEntry]) -> None:
    deposits = tokens.instructions_by_id(
        connection, of.issuer_id, [entry.deposit_id or "" for entry in entries]
    )
    kept, references = [], []
    for entry in entries:
        deposit = deposits.get(entry.deposit_id or "")
        if deposit is None:
            continue
        day = entry.booking_date or entry.value_date or of.closed_on or of.imported_at.date()
        kept.append(
            NotifiedDeposit(
                deposit.id,
                of.token_class_id,
                deposit.payee_account_id,
                entry.amount_minor,
                day,
                entry.uetr,
            )
        )
        references += [(of.token_class_id, one, deposit.id) for one in sorted(_references_of(entry))]
    if kept:
        notified_store.keep_notified(connection, of.issuer_id, kept, references)


def _references_of(entry: StatementEntry) -> set[str]:
    """Return what `references_of` would of the entry as it was read; its row doesn't say which reference it has."""
    found = {f"uetr:{entry.uetr.lower()}"} if entry.uetr else set()
    if entry.bank_reference and entry.bank_reference not in NO_REFERENCE:
        found.add(f"bank:{entry.bank_reference}")
        found.add(f"entry:{entry.booking_date}:{entry.amount_minor}:{entry.bank_reference}")
    return {bounded(one) for one in found}
