"""All SQL of the register."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as insert_or_keep

from tallystick.liabilities.models import liability
from tallystick.liabilities.register import Liability


def insert_unless_present(connection: Connection, new: Liability) -> None:
    connection.execute(
        insert_or_keep(liability)
        .values({name: getattr(new, name) for name in new.__slots__})
        .on_conflict_do_nothing(index_elements=["issuer_id", "token_class_id", "holder_id"])
    )


def read_liability(connection: Connection, issuer_id: str, liability_id: str) -> Liability | None:
    row = connection.execute(
        select(liability).where(liability.c.issuer_id == issuer_id, liability.c.id == liability_id)
    ).one_or_none()
    return None if row is None else Liability(**row._mapping)


def read_liabilities(
    connection: Connection,
    issuer_id: str,
    *,
    holder_ids: list[str] | None,
    token_class_id: str | None,
    after: str,
    limit: int,
) -> list[Liability]:
    query = select(liability).where(liability.c.issuer_id == issuer_id, liability.c.id > after)
    if holder_ids is not None:
        query = query.where(liability.c.holder_id.in_(holder_ids))
    if token_class_id is not None:
        query = query.where(liability.c.token_class_id == token_class_id)
    return [
        Liability(**row._mapping) for row in connection.execute(query.order_by(liability.c.id).limit(limit))
    ]
