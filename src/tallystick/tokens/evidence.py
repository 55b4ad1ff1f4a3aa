"""What the write path is told of the bank's side, so that a mint needs nobody above it.

A reconciliation that finds too much wrong suspends issuance here, in its own transaction; one that finds nothing is
what a reset needs.
"""

from datetime import datetime

from sqlalchemy import Connection

from tallystick.core.pipeline import pipelined
from tallystick.tokens import store
from tallystick.tokens.batch import Batch
from tallystick.tokens.issuance import BankDataKind, Trip
from tallystick.tokens.locking import lock_and_read
from tallystick.tokens.settler import Settler

__all__ = ["bank_data_until", "tell_bank_data", "tell_run"]


def tell_bank_data(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    kind: BankDataKind,
    until: datetime,
    *,
    now: datetime,
) -> None:
    """Note up to which moment the bank's data of a class reach; the caller commits.

    Never goes back, so that data may come in any order; and never beyond `now`, so that a wrong date can't make data
    look fresh for ever.
    """
    store.write_bank_evidence(connection, issuer_id, token_class_id, kind.value, min(until, now))


def bank_data_until(
    connection: Connection, issuer_id: str, token_class_id: str, kind: BankDataKind
) -> datetime | None:
    """Return up to which moment the bank's data of a class reach; None where there are none."""
    return store.read_bank_evidence(connection, issuer_id, token_class_id, kind.value)


def tell_run(
    connection: Connection,
    settler: Settler,
    issuer_id: str,
    token_class_id: str,
    *,
    run_id: str,
    event_index: int,
    clean: bool,
    suspends_because: str | None,
) -> bool:
    """Take note of a reconciliation of the present, up to `event_index`; the caller commits. Locks the log's head.

    With `suspends_because` issuance is suspended by a signed event, and True is returned, unless it is suspended
    already. A `clean` run that looked behind the suspension is what a reset needs; any other takes that away again.
    """
    locked = lock_and_read(connection, settler, issuer_id, ())
    breaker = store.read_breakers(connection, issuer_id).get(token_class_id)
    tripped = breaker is not None and breaker.state == "tripped"
    if suspends_because is not None and not tripped:
        batch = Batch(issuer_id, locked, settler)
        with pipelined(connection) as pipeline:
            batch.pipeline = pipeline
            batch.suspend(Trip(token_class_id, suspends_because))
            batch.write_rest()
        batch.check_written()
        batch.write_people(connection)
        return True
    if breaker is not None:
        proves = clean and suspends_because is None and event_index >= breaker.event_index
        store.write_clean_run(connection, issuer_id, token_class_id, run_id if proves else None)
    return False
