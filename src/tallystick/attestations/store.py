"""All SQL of attestations."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select

from tallystick.attestations.models import attestation
from tallystick.attestations.records import Attestation


def add(connection: Connection, new: Attestation) -> None:
    connection.execute(insert(attestation).values({name: getattr(new, name) for name in new.__slots__}))


def read(connection: Connection, issuer_ids: Sequence[str], reconciliation_id: str) -> Attestation | None:
    row = connection.execute(
        select(attestation).where(
            attestation.c.issuer_id.in_(issuer_ids), attestation.c.reconciliation_id == reconciliation_id
        )
    ).one_or_none()
    return None if row is None else Attestation(**row._mapping)


def read_indexes(connection: Connection, issuer_id: str, ledger_index_max: int, limit: int) -> list[int]:
    """Return where attestations are in the log that tell of no more of it than this, those of the most first."""
    return list(
        connection.execute(
            select(attestation.c.event_index)
            .where(attestation.c.issuer_id == issuer_id, attestation.c.ledger_index <= ledger_index_max)
            .order_by(attestation.c.ledger_index.desc(), attestation.c.event_index.desc())
            .limit(limit)
        ).scalars()
    )


def read_latest(connection: Connection, issuer_id: str, token_class_id: str) -> Attestation | None:
    row = connection.execute(
        select(attestation)
        .where(
            attestation.c.issuer_id == issuer_id,
            attestation.c.token_class_id == token_class_id,
            attestation.c.current,
        )
        .order_by(attestation.c.event_index.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Attestation(**row._mapping)


def read_page(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None,
    verdict: str | None,
    after: datetime | None,
    until: datetime | None,
    behind: str,
    limit: int,
) -> list[Attestation]:
    query = select(attestation).where(
        attestation.c.issuer_id == issuer_id, attestation.c.reconciliation_id > behind
    )
    if token_class_id is not None:
        query = query.where(attestation.c.token_class_id == token_class_id)
    if verdict is not None:
        query = query.where(attestation.c.verdict == verdict)
    if after is not None:
        query = query.where(attestation.c.ledger_as_of > after)
    if until is not None:
        query = query.where(attestation.c.ledger_as_of <= until)
    rows = connection.execute(query.order_by(attestation.c.reconciliation_id).limit(limit))
    return [Attestation(**row._mapping) for row in rows]
