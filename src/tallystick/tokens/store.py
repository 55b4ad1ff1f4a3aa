"""All SQL of the write path's own tables."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import Connection

from tallystick.core.arrays import BigintArray, BytesArray, IdArray, TextArray
from tallystick.core.clock import format_time
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.tokens.instructions import ConfirmedByHand, Instruction

_COLUMNS: Final = ", ".join(Instruction._fields)
_INSERT: Final = """
INSERT INTO instruction (issuer_id, created_at, settled_at, id, kind, state, principal_id, token_class_id,
                         amount_minor, remaining_minor, payer_account_id, payee_account_id, related_id, reference,
                         reason, request_hash, value_date, expires_at, event_index)
SELECT %s, %s, CASE WHEN n.event_index IS NOT NULL THEN %s::timestamptz END, n.id, n.kind, n.state, n.principal_id,
       n.token_class_id, n.amount_minor, n.remaining_minor, n.payer_account_id, n.payee_account_id, n.related_id,
       n.reference, n.reason, n.request_hash, n.value_date::date, n.expires_at::timestamptz, n.event_index
FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
     AS n(id, kind, state, principal_id, token_class_id, amount_minor, remaining_minor, payer_account_id,
          payee_account_id, related_id, reference, reason, request_hash, value_date, expires_at, event_index)
"""
_INSERT_ANSWERS: Final = """
INSERT INTO answer (issuer_id, answered_at, key_digest, request_hash, resource_id, status, body, event_index)
SELECT %s, %s, n.key_digest, n.request_hash, n.resource_id, n.status, n.body, n.event_index
FROM unnest(%s, %s, %s, %s, %s, %s) AS n(key_digest, request_hash, resource_id, status, body, event_index)
"""
_UPDATE: Final = """
UPDATE instruction SET state = %s, remaining_minor = %s, payee_account_id = %s, reason = %s, settled_at = %s,
                       event_index = %s
WHERE issuer_id = %s AND id = %s
"""


class Answer(NamedTuple):
    """What was answered to a key, without the signed event, which the log keeps."""

    key_digest: bytes
    request_hash: bytes
    resource_id: str
    status: int
    body: str
    event_index: int | None


def lock_instructions(connection: Connection, issuer_id: str, ids: Iterable[str]) -> dict[str, Instruction]:
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM instruction WHERE issuer_id = %s AND id = ANY(%s) ORDER BY id FOR UPDATE",
        (issuer_id, list(ids)),
    )
    return {row[0]: Instruction._make(row) for row in rows}


def read_instruction(connection: Connection, issuer_id: str, instruction_id: str) -> Instruction | None:
    row = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM instruction WHERE issuer_id = %s AND id = %s", (issuer_id, instruction_id)
    ).one_or_none()
    return None if row is None else Instruction._make(row)


def read_instructions(
    connection: Connection,
    issuer_id: str,
    *,
    kind: str,
    state: str | None,
    account_ids: Sequence[str] | None,
    after: str,
    limit: int,
) -> list[Instruction]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_COLUMNS} FROM instruction
            WHERE issuer_id = %s AND kind = %s AND id > %s AND (%s::text IS NULL OR state = %s)
              AND (%s::text[] IS NULL OR payer_account_id = ANY(%s) OR payee_account_id = ANY(%s))
            ORDER BY id LIMIT %s""",
        (issuer_id, kind, after, state, state, account_ids, account_ids, account_ids, limit),
    )
    return [Instruction._make(row) for row in rows]


def read_instructions_by_id(
    connection: Connection, issuer_id: str, ids: Sequence[str]
) -> dict[str, Instruction]:
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM instruction WHERE issuer_id = %s AND id = ANY(%s)",
        (issuer_id, list(ids)),
    )
    return {row[0]: Instruction._make(row) for row in rows}


def read_confirmed_by_hand(
    connection: Connection, issuer_id: str, account_ids: Sequence[str], since: date, until: date
) -> list[ConfirmedByHand]:
    # Without a value date of its own a deposit was signed with the day that it was booked on.
    rows = connection.exec_driver_sql(
        """SELECT id, payee_account_id, amount_minor, signed.value_date
           FROM instruction,
                LATERAL (SELECT coalesce(value_date, (settled_at AT TIME ZONE 'UTC')::date)) AS signed(value_date)
           WHERE issuer_id = %s AND payee_account_id = ANY(%s) AND kind = 'deposit' AND related_id IS NULL
             AND state = 'settled' AND signed.value_date BETWEEN %s AND %s
           ORDER BY event_index""",
        (issuer_id, list(account_ids), since, until),
    )
    return [ConfirmedByHand._make(row) for row in rows]


def insert_instructions(
    pipeline: Pipeline, issuer_id: str, rows: Sequence[Instruction], settled_at: datetime
) -> None:
    """Write new instructions of one batch: they were all taken up at once, and those with an event settled at once."""
    if not rows:
        return
    columns = dict(zip(Instruction._fields, zip(*rows, strict=True), strict=True))
    pipeline.tell(
        _INSERT,
        (
            issuer_id,
            rows[0].created_at,
            settled_at,
            IdArray(columns["id"]),
            IdArray([str(kind) for kind in columns["kind"]]),
            IdArray(columns["state"]),
            IdArray(columns["principal_id"]),
            IdArray(columns["token_class_id"]),
            BigintArray(columns["amount_minor"]),
            BigintArray(columns["remaining_minor"]),
            IdArray(columns["payer_account_id"]),
            IdArray(columns["payee_account_id"]),
            IdArray(columns["related_id"]),
            TextArray(columns["reference"]),
            TextArray(columns["reason"]),
            BytesArray(columns["request_hash"]),
            IdArray([None if day is None else day.isoformat() for day in columns["value_date"]]),
            IdArray([None if at is None else format_time(at) for at in columns["expires_at"]]),
            BigintArray(columns["event_index"]),
        ),
    )


def update_instructions(pipeline: Pipeline, issuer_id: str, rows: Sequence[Instruction]) -> None:
    for row in rows:
        pipeline.tell(
            _UPDATE,
            (
                row.state,
                row.remaining_minor,
                row.payee_account_id,
                row.reason,
                row.settled_at,
                row.event_index,
                issuer_id,
                row.id,
            ),
        )


def read_answers(
    pipeline: Pipeline, issuer_id: str, key_digests: Sequence[bytes]
) -> Asked[dict[bytes, Answer]]:
    return pipeline.ask(
        """SELECT key_digest, request_hash, resource_id, status, body, event_index FROM answer
           WHERE issuer_id = %s AND key_digest = ANY(%s)""",
        (issuer_id, BytesArray(key_digests)),
        _read_answers,
    )


def read_settled_keys(
    connection: Connection, issuer_id: str, after: bytes, last_index: int, limit: int
) -> list[tuple[bytes, int]]:
    rows = connection.exec_driver_sql(
        """SELECT key_digest, event_index FROM answer
           WHERE issuer_id = %s AND key_digest > %s AND event_index <= %s ORDER BY key_digest LIMIT %s""",
        (issuer_id, after, last_index, limit),
    )
    return [(bytes(row[0]), row[1]) for row in rows]


def insert_answers(pipeline: Pipeline, issuer_id: str, rows: Sequence[Answer], answered_at: datetime) -> None:
    digests, hashes, resource_ids, statuses, bodies, event_indexes = zip(*rows, strict=True)
    pipeline.tell(
        _INSERT_ANSWERS,
        (
            issuer_id,
            answered_at,
            BytesArray(digests),
            BytesArray(hashes),
            IdArray(resource_ids),
            BigintArray(statuses),
            TextArray(bodies),
            BigintArray(event_indexes),
        ),
    )


def _read_answers(cursor: psycopg.Cursor[Any]) -> dict[bytes, Answer]:
    return {bytes(row[0]): Answer(bytes(row[0]), bytes(row[1]), *row[2:]) for row in cursor.fetchall()}
