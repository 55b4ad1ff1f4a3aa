"""All SQL of orders. Every statement leads with the issuer's id; nothing here commits."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from tallystick import participants
from tallystick.core.arrays import TextArray
from tallystick.core.pipeline import Asked, Pipeline, RowValues
from tallystick.orders.models import restriction, restriction_action
from tallystick.orders.records import Action, Blocks, Order

# As `rules.blocks_of`. An order for the whole account has no amount, and so always less than that.
_BLOCKS: Final = """
SELECT account_id,
       bool_or(scope <> 'credit' AND (amount_minor IS NULL OR restricted_minor < amount_minor)),
       bool_or(scope <> 'debit')
FROM restriction
WHERE issuer_id = %s AND account_id = ANY(%s) AND state = 'active' AND (expires_at IS NULL OR expires_at > %s)
GROUP BY account_id
"""
_COLUMNS: Final = tuple(one.name for one in fields(Order))
_LOCK: Final = f"""
SELECT {", ".join(_COLUMNS)} FROM restriction
WHERE issuer_id = %s AND (account_id = ANY(%s) AND state = 'active' OR id = ANY(%s))
ORDER BY id FOR UPDATE
"""


def insert_order(connection: Connection, new: Order) -> None:
    connection.execute(insert(restriction).values({name: getattr(new, name) for name in new.__slots__}))
    participants.raise_facts_version(connection, new.issuer_id)


def update_order(connection: Connection, changed: Order) -> None:
    connection.execute(
        update(restriction)
        .where(restriction.c.issuer_id == changed.issuer_id, restriction.c.id == changed.id)
        .values(
            restricted_minor=changed.restricted_minor,
            seized_minor=changed.seized_minor,
            state=changed.state,
            ended_at=changed.ended_at,
        )
    )
    participants.raise_facts_version(connection, changed.issuer_id)


def lock_orders(
    pipeline: Pipeline, issuer_id: str, account_ids: Iterable[str], order_ids: Iterable[str]
) -> Asked[dict[str, dict[str, Order]]]:
    return pipeline.ask(
        _LOCK, (issuer_id, TextArray(list(account_ids)), TextArray(list(order_ids))), _read_by_account
    )


def read_order(connection: Connection, issuer_id: str, order_id: str) -> Order | None:
    row = connection.execute(
        select(restriction).where(restriction.c.issuer_id == issuer_id, restriction.c.id == order_id)
    ).one_or_none()
    return None if row is None else Order(**row._mapping)


def read_orders(
    connection: Connection,
    issuer_id: str,
    *,
    account_id: str | None,
    state: str | None,
    after: str,
    limit: int,
) -> list[Order]:
    query = select(restriction).where(restriction.c.issuer_id == issuer_id, restriction.c.id > after)
    if account_id is not None:
        query = query.where(restriction.c.account_id == account_id)
    if state is not None:
        query = query.where(restriction.c.state == state)
    rows = connection.execute(query.order_by(restriction.c.id).limit(limit))
    return [Order(**row._mapping) for row in rows]


def read_expired_orders(connection: Connection, issuer_id: str, at: datetime, limit: int) -> list[Order]:
    of = restriction.c
    rows = connection.execute(
        select(restriction)
        .where(of.issuer_id == issuer_id, of.state == "active", of.expires_at <= at)
        .order_by(of.expires_at)
        .limit(limit)
    )
    return [Order(**row._mapping) for row in rows]


def insert_action(
    connection: Connection,
    order: Order,
    action: str,
    amount_minor: int,
    *,
    reason: str,
    done_by: str,
    approvals: Sequence[str],
    done_at: datetime,
) -> None:
    """Append to what was done under an order, whose account's orders are locked, which makes the number its own."""
    of = restriction_action.c
    last = connection.execute(
        select(func.coalesce(func.max(of.number), 0)).where(
            of.issuer_id == order.issuer_id, of.restriction_id == order.id
        )
    ).scalar_one()
    connection.execute(
        insert(restriction_action).values(
            issuer_id=order.issuer_id,
            restriction_id=order.id,
            number=last + 1,
            action=action,
            amount_minor=amount_minor,
            reason=reason,
            done_by=done_by,
            approvals=list(approvals),
            done_at=done_at,
        )
    )


def read_actions(connection: Connection, issuer_id: str, order_id: str) -> list[Action]:
    of = restriction_action.c
    rows = connection.execute(
        select(restriction_action)
        .where(of.issuer_id == issuer_id, of.restriction_id == order_id)
        .order_by(of.number)
    )
    return [Action(**{**row._mapping, "approvals": tuple(row.approvals)}) for row in rows]


def ask_blocks(
    pipeline: Pipeline, issuer_id: str, account_ids: Iterable[str], now: datetime
) -> Asked[dict[str, Blocks]]:
    return pipeline.ask(_BLOCKS, (issuer_id, TextArray(list(account_ids)), now), _read_blocks)


def _read_blocks(rows: list[RowValues]) -> dict[str, Blocks]:
    return {account_id: Blocks(debit, credit) for account_id, debit, credit in rows}


def _read_by_account(rows: list[RowValues]) -> dict[str, dict[str, Order]]:
    found: dict[str, dict[str, Order]] = {}
    for row in rows:
        one = Order(**dict(zip(_COLUMNS, row, strict=True)))
        found.setdefault(one.account_id, {})[one.id] = one
    return found
