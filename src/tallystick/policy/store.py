"""All SQL of policy."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Connection, func, insert, select, update

from tallystick.core.arrays import BigintArray, TextArray
from tallystick.core.pipeline import Asked, Pipeline, RowValues
from tallystick.policy.models import policy_document
from tallystick.policy.usage import Usage, UsageBook, stored
from tallystick.policy.versions import Policy

Result = TypeVar("Result")

_LIFE: Final = ("approved_at", "active_from", "retired_at", "approval_hashes")
# The document of a version that the caller has compiled before is not sent again.
_IN_FORCE: Final = """
SELECT token_class_id, id, version, currency, scale, content_hash,
       CASE WHEN id = ANY(%s) THEN NULL ELSE document END
FROM policy_document
WHERE issuer_id = %s AND active_from <= %s AND (retired_at IS NULL OR retired_at > %s)
"""
_READ_USAGE: Final = """
SELECT key, hour, buckets, total_minor FROM limit_usage WHERE issuer_id = %s AND key = ANY(%s)
"""
# Buckets of each subject come as one array literal: unnest would flatten an array of arrays.
_WRITE_USAGE: Final = """
INSERT INTO limit_usage (issuer_id, key, hour, buckets, total_minor)
SELECT %s, n.key, n.hour, n.buckets::bigint[], n.total_minor
FROM unnest(%s, %s, %s, %s) AS n(key, hour, buckets, total_minor)
ON CONFLICT (issuer_id, key)
DO UPDATE SET hour = excluded.hour, buckets = excluded.buckets, total_minor = excluded.total_minor
"""


class InForce(NamedTuple):
    """A version that is in force; its document is None if the caller has it."""

    token_class_id: str
    id: str
    version: int
    currency: str
    scale: int
    content_hash: bytes
    document: dict[str, Any] | None


def insert_policy(connection: Connection, new: Policy) -> None:
    connection.execute(insert(policy_document).values({name: getattr(new, name) for name in new.__slots__}))


def update_life(connection: Connection, changed: Policy) -> None:
    connection.execute(
        update(policy_document)
        .where(policy_document.c.issuer_id == changed.issuer_id, policy_document.c.id == changed.id)
        .values({name: getattr(changed, name) for name in _LIFE})
    )


def read_last_version(connection: Connection, issuer_id: str, token_class_id: str) -> int:
    found = connection.execute(
        select(func.max(policy_document.c.version)).where(
            policy_document.c.issuer_id == issuer_id, policy_document.c.token_class_id == token_class_id
        )
    ).scalar_one()
    return found or 0


def read_policy(connection: Connection, issuer_id: str, policy_id: str) -> Policy | None:
    row = connection.execute(
        select(policy_document).where(
            policy_document.c.issuer_id == issuer_id, policy_document.c.id == policy_id
        )
    ).one_or_none()
    return None if row is None else Policy(**row._mapping)


def read_policies(
    connection: Connection, issuer_id: str, token_class_id: str | None, after: str, limit: int
) -> list[Policy]:
    query = select(policy_document).where(
        policy_document.c.issuer_id == issuer_id, policy_document.c.id > after
    )
    if token_class_id is not None:
        query = query.where(policy_document.c.token_class_id == token_class_id)
    rows = connection.execute(query.order_by(policy_document.c.id).limit(limit))
    return [Policy(**row._mapping) for row in rows]


def lock_versions(connection: Connection, issuer_id: str, token_class_id: str) -> list[Policy]:
    rows = connection.execute(
        select(policy_document)
        .where(policy_document.c.issuer_id == issuer_id, policy_document.c.token_class_id == token_class_id)
        .order_by(policy_document.c.id)
        .with_for_update()
    )
    return [Policy(**row._mapping) for row in rows]


def read_in_force(
    pipeline: Pipeline,
    issuer_id: str,
    known_ids: Iterable[str],
    at: datetime,
    finish: Callable[[list[InForce]], Result],
) -> Asked[Result]:
    return pipeline.ask(
        _IN_FORCE,
        (TextArray(list(known_ids)), issuer_id, at, at),
        lambda rows: finish([InForce(*row) for row in rows]),
    )


def read_usage(pipeline: Pipeline, issuer_id: str, keys: Sequence[str], hour: int) -> Asked[UsageBook]:
    def read(rows: list[RowValues]) -> UsageBook:
        usages = {key: Usage.none(hour) for key in keys}
        for key, kept_hour, kept, total_minor in rows:
            usages[key] = Usage.as_of(hour, kept_hour, kept, total_minor)
        return UsageBook(hour, usages)

    return pipeline.ask(_READ_USAGE, (issuer_id, TextArray(keys)), read)


def write_usage(pipeline: Pipeline, issuer_id: str, book: UsageBook) -> Asked[int]:
    changed = book.changed()
    rows = changed.values()
    return pipeline.tell(
        _WRITE_USAGE,
        (
            issuer_id,
            TextArray(list(changed)),
            BigintArray([one.hour for one in rows]),
            TextArray(["{" + ",".join(str(stored(minor)) for minor in one.buckets) + "}" for one in rows]),
            BigintArray([stored(one.total_minor) for one in rows]),
        ),
    )
