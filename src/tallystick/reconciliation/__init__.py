"""Reconciliation: log, balances, books, register and bank, compared to the minor unit, and each break by its name.

Nothing is ever adjusted: a break is for people to look into, and a later run shows whether it is gone.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from tallystick import events, participants
from tallystick.core.clock import Clock
from tallystick.core.ids import new_id
from tallystick.participants import Principal
from tallystick.reconciliation import store
from tallystick.reconciliation.breaks import BreakDraft, Money
from tallystick.reconciliation.comparing import gather
from tallystick.reconciliation.records import (
    EXPLAINED_TYPES,
    AsOfInFutureError,
    Break,
    BreakState,
    BreakType,
    Evidence,
    Figures,
    Reconciliation,
    ReconciliationNotAllowedError,
    ReconciliationNotFoundError,
    Verdict,
)
from tallystick.reconciliation.tie_out import tie_out

__all__ = [
    "EXPLAINED_TYPES",
    "AsOfInFutureError",
    "Break",
    "BreakState",
    "BreakType",
    "Evidence",
    "Figures",
    "Reconciliation",
    "ReconciliationNotAllowedError",
    "ReconciliationNotFoundError",
    "Verdict",
    "breaks",
    "reconcile",
    "reconciliation",
    "reconciliations",
]


def reconcile(
    connection: Connection,
    clock: Clock,
    actor: Principal,
    token_class_id: str,
    *,
    as_of: datetime | None = None,
) -> Reconciliation:
    """Reconcile a token class, keep the run with its breaks, and return it; the caller commits.

    Looks at everything up to `as_of`: events booked and statements imported until then, or all there are without it.
    The same state gives the same figures, verdict and breaks. Raises ReconciliationNotAllowedError,
    AsOfInFutureError and TokenClassNotFoundError.
    """
    if not actor.sees_whole_issuer:
        raise ReconciliationNotAllowedError
    now = clock.now()
    if as_of is not None and as_of > now:
        raise AsOfInFutureError
    issuer_id = actor.issuer_id
    of_class = participants.token_class(connection, issuer_id, token_class_id)
    money = Money(of_class.currency, of_class.scale)
    # Statements are read after the index is fixed: a deposit is never seen without the statement it came from.
    if as_of is None:
        last_index = events.last_index(connection, issuer_id)
    else:
        last_index = events.index_as_of(connection, issuer_id, as_of)
    compared = gather(connection, actor, of_class, money, last_index=last_index, imported_until=as_of)
    result = tie_out(token_class_id, money, compared.books, compared.bank)
    run = Reconciliation(
        issuer_id=issuer_id,
        id=new_id("reconciliation"),
        token_class_id=token_class_id,
        event_index=last_index,
        ledger_as_of=as_of or now,
        statement_id=compared.statement_id,
        verdict=result.verdict.value,
        figures=result.figures,
        run_by=actor.id,
        created_at=now,
    )
    store.add(connection, run, _breaks(run, result.breaks))
    return run


def reconciliation(connection: Connection, issuer_id: str, reconciliation_id: str) -> Reconciliation:
    """Return one run or raise ReconciliationNotFoundError."""
    found = store.read_reconciliation(connection, issuer_id, reconciliation_id)
    if found is None:
        raise ReconciliationNotFoundError
    return found


def reconciliations(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Reconciliation]:
    """Return a page of runs, oldest first."""
    return store.read_reconciliations(connection, issuer_id, token_class_id, after, limit)


def breaks(
    connection: Connection,
    issuer_id: str,
    *,
    reconciliation_id: str | None = None,
    state: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Break]:
    """Return a page of breaks in the order in which they were found, of one run or of all."""
    return store.read_breaks(
        connection, issuer_id, reconciliation_id=reconciliation_id, state=state, after=after, limit=limit
    )


def _breaks(run: Reconciliation, drafts: Sequence[BreakDraft]) -> list[Break]:
    return [
        Break(
            issuer_id=run.issuer_id,
            id=new_id("break"),
            reconciliation_id=run.id,
            token_class_id=run.token_class_id,
            type=draft.type.value,
            state=(BreakState.EXPLAINED if draft.type in EXPLAINED_TYPES else BreakState.OPEN).value,
            difference_minor=draft.difference_minor,
            explanation=draft.explanation,
            evidence=draft.evidence,
            created_at=run.created_at,
        )
        for draft in drafts
    ]
