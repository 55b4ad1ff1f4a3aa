"""All SQL of reconciliation."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, insert, select

from tallystick.reconciliation.models import reconciliation, reconciliation_break
from tallystick.reconciliation.records import Break, Reconciliation

_ROWS_AT_ONCE: Final = 1_000


def add(connection: Connection, new: Reconciliation, breaks: Sequence[Break]) -> None:
    connection.execute(insert(reconciliation).values({name: getattr(new, name) for name in new.__slots__}))
    for start in range(0, len(breaks), _ROWS_AT_ONCE):
        connection.execute(
            insert(reconciliation_break),
            [
                {name: getattr(one, name) for name in one.__slots__}
                for one in breaks[start : start + _ROWS_AT_ONCE]
            ],
        )


def read_reconciliation(
    connection: Connection, issuer_id: str, reconciliation_id: str
) -> Reconciliation | None:
    row = connection.execute(
        select(reconciliation).where(
            reconciliation.c.issuer_id == issuer_id, reconciliation.c.id == reconciliation_id
        )
    ).one_or_none()
    return None if row is None else Reconciliation(**row._mapping)


def read_reconciliations(
    connection: Connection, issuer_id: str, token_class_id: str | None, after: str, limit: int
) -> list[Reconciliation]:
    query = select(reconciliation).where(reconciliation.c.issuer_id == issuer_id, reconciliation.c.id > after)
    if token_class_id is not None:
        query = query.where(reconciliation.c.token_class_id == token_class_id)
    rows = connection.execute(query.order_by(reconciliation.c.id).limit(limit))
    return [Reconciliation(**row._mapping) for row in rows]


def read_breaks(
    connection: Connection,
    issuer_id: str,
    *,
    reconciliation_id: str | None,
    state: str | None,
    after: str,
    limit: int,
) -> list[Break]:
    query = select(reconciliation_break).where(
        reconciliation_break.c.issuer_id == issuer_id, reconciliation_break.c.id > after
    )
    if reconciliation_id is not None:
        query = query.where(reconciliation_break.c.reconciliation_id == reconciliation_id)
    if state is not None:
        query = query.where(reconciliation_break.c.state == state)
    rows = connection.execute(query.order_by(reconciliation_break.c.id).limit(limit))
    return [Break(**row._mapping) for row in rows]
