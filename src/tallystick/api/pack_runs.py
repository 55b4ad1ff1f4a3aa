"""Reconciliations as evidence packs tell them: rooms that don't know each other are put together here."""

from typing import Any

from sqlalchemy import Connection

from tallystick import attestations, reconciliation
from tallystick.core.clock import format_time

__all__ = ["read_runs"]


def read_runs(connection: Connection, issuer_id: str, after: str, limit: int) -> list[dict[str, Any]]:
    """Return a page of runs as JSON objects, oldest first, without what may still be changed about their findings.

    `attested_index` is not for the pack: where the log has a run's attestation, if it has one.
    """
    # In the order of their runs, so that those of a page are among as many.
    found = attestations.attestations(connection, issuer_id, behind=after, limit=limit)
    attested = {one.reconciliation_id: one.event_index for one in found}
    return [
        {
            "id": run.id,
            "token_class_id": run.token_class_id,
            "event_index": run.event_index,
            "ledger_as_of": format_time(run.ledger_as_of),
            "bank_as_of": None if run.bank_as_of is None else format_time(run.bank_as_of),
            "statement_id": run.statement_id,
            "verdict": run.verdict,
            "backing": run.backing,
            "figures": run.figures,
            "run_by": run.run_by,
            "created_at": format_time(run.created_at),
            "attested_index": attested.get(run.id),
        }
        for run in reconciliation.reconciliations(connection, issuer_id, after=after, limit=limit)
    ]
