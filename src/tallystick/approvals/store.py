"""All SQL of approvals."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import JSONB

from tallystick.approvals.four_eyes import Approval, Vote
from tallystick.approvals.models import approval, approval_vote

# A batch keeps all of its items: lists tell of it without them, for a page of batches could be as large as a gigabyte.
_LISTED: Final = tuple(
    literal_column("approval.details - ARRAY['body', 'key_digests']", JSONB).label("details")
    if column.name == "details"
    else column
    for column in approval.c
)


def insert_approval(connection: Connection, new: Approval) -> None:
    connection.execute(insert(approval).values({name: getattr(new, name) for name in new.__slots__}))


def insert_vote(connection: Connection, issuer_id: str, vote: Vote) -> None:
    connection.execute(
        insert(approval_vote).values(
            {"issuer_id": issuer_id, **{name: getattr(vote, name) for name in vote.__slots__}}
        )
    )


def update_state(connection: Connection, issuer_id: str, approval_id: str, state: str) -> None:
    connection.execute(
        update(approval)
        .where(approval.c.issuer_id == issuer_id, approval.c.id == approval_id)
        .values(state=state)
    )


def lock_approvals(connection: Connection, issuer_id: str, approval_ids: Iterable[str]) -> list[Approval]:
    rows = connection.execute(
        select(approval)
        .where(approval.c.issuer_id == issuer_id, approval.c.id.in_(list(approval_ids)))
        .order_by(approval.c.id)
        .with_for_update()
    )
    return [Approval(**row._mapping) for row in rows]


def read_approval(connection: Connection, issuer_id: str, approval_id: str) -> Approval | None:
    row = connection.execute(
        select(approval).where(approval.c.issuer_id == issuer_id, approval.c.id == approval_id)
    ).one_or_none()
    return None if row is None else Approval(**row._mapping)


def read_expired_ids(connection: Connection, issuer_id: str, at: datetime, limit: int) -> list[str]:
    return list(
        connection.execute(
            select(approval.c.id)
            .where(
                approval.c.issuer_id == issuer_id,
                approval.c.state == "pending",
                approval.c.expires_at <= at,
            )
            .order_by(approval.c.expires_at)
            .limit(limit)
        ).scalars()
    )


def read_approvals(
    connection: Connection,
    issuer_id: str,
    *,
    state: str | None,
    subject_id: str | None,
    operation: str | None,
    waits_for: str | None,
    after: str,
    limit: int,
) -> list[Approval]:
    query = select(*_LISTED).where(approval.c.issuer_id == issuer_id, approval.c.id > after)
    if state is not None:
        query = query.where(approval.c.state == state)
    if subject_id is not None:
        query = query.where(approval.c.subject_id == subject_id)
    if operation is not None:
        query = query.where(approval.c.operation == operation)
    if waits_for is not None:
        voted = select(approval_vote.c.approval_id).where(
            approval_vote.c.issuer_id == issuer_id,
            approval_vote.c.approval_id == approval.c.id,
            approval_vote.c.person == waits_for,
        )
        query = query.where(
            approval.c.state == "pending", approval.c.maker_person != waits_for, ~voted.exists()
        )
    return [
        Approval(**row._mapping) for row in connection.execute(query.order_by(approval.c.id).limit(limit))
    ]


def read_approvals_by_id(
    connection: Connection, issuer_id: str, approval_ids: Iterable[str]
) -> list[Approval]:
    rows = connection.execute(
        select(*_LISTED)
        .where(approval.c.issuer_id == issuer_id, approval.c.id.in_(list(approval_ids)))
        .order_by(approval.c.id)
    )
    return [Approval(**row._mapping) for row in rows]


def read_votes(connection: Connection, issuer_id: str, approval_ids: Iterable[str]) -> dict[str, list[Vote]]:
    rows = connection.execute(
        select(approval_vote)
        .where(approval_vote.c.issuer_id == issuer_id, approval_vote.c.approval_id.in_(list(approval_ids)))
        .order_by(approval_vote.c.approval_id, approval_vote.c.decided_at, approval_vote.c.person)
    )
    votes: dict[str, list[Vote]] = {}
    for row in rows:
        values = {name: value for name, value in row._mapping.items() if name != "issuer_id"}
        votes.setdefault(row.approval_id, []).append(Vote(**values))
    return votes
