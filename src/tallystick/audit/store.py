"""All SQL of the audit trail."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from tallystick.audit.records import FIRST_PREVIOUS_HASH, Draft, Entry, Filters, Head
from tallystick.core.arrays import BigintArray, BytesArray, TextArray
from tallystick.core.pipeline import Asked, Pipeline

_COLUMNS: Final = f"issuer_id, id, recorded_at, entry_number, hash, {', '.join(Draft._fields)}"
_DRAFT_BEGINS: Final = 5
_INSERT: Final = """
INSERT INTO audit_entry (issuer_id, recorded_at, entry_number, id, operation, method, decision, status, principal_id,
                         person, key_id, subject_id, source, request_id, request_hash, code, event_index, reasons, hash)
SELECT %s, %s, n.entry_number, n.id, n.operation, n.method, n.decision, n.status, n.principal_id, n.person, n.key_id,
       n.subject_id, n.source, n.request_id, decode(n.request_hash, 'hex'), n.code, n.event_index, n.reasons::jsonb,
       n.hash
FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
     AS n(entry_number, id, operation, method, decision, status, principal_id, person, key_id, subject_id, source,
          request_id, request_hash, code, event_index, reasons, hash)
"""


def lock_head(connection: Connection, issuer_id: str, opened_at: datetime) -> Head:
    """Take the issuer's head until the transaction ends; the first entry makes one."""
    found = _lock_head(connection, issuer_id)
    if found is None:
        # Of two first entries at once the later waits here, and then finds the other's.
        connection.exec_driver_sql(
            """INSERT INTO audit_head (issuer_id, next_number, last_recorded_at, last_hash) VALUES (%s, 0, %s, %s)
               ON CONFLICT DO NOTHING""",
            (issuer_id, opened_at, FIRST_PREVIOUS_HASH),
        )
        found = _lock_head(connection, issuer_id)
        assert found is not None
    return found


def _lock_head(connection: Connection, issuer_id: str) -> Head | None:
    row = connection.exec_driver_sql(
        "SELECT next_number, last_recorded_at, last_hash FROM audit_head WHERE issuer_id = %s FOR UPDATE",
        (issuer_id,),
    ).one_or_none()
    return None if row is None else Head(row[0], row[1], bytes(row[2]))


def move_head(pipeline: Pipeline, issuer_id: str, before: Head, last: Entry) -> Asked[int]:
    assert last.number is not None
    return pipeline.tell(
        """UPDATE audit_head SET next_number = %s, last_recorded_at = %s, last_hash = %s
           WHERE issuer_id = %s AND next_number = %s""",
        (last.number + 1, last.recorded_at, last.hash, issuer_id, before.next_number),
    )


def insert_entries(pipeline: Pipeline, issuer_id: str, entries: Sequence[Entry]) -> None:
    drafts = [entry.draft for entry in entries]
    pipeline.tell(
        _INSERT,
        (
            issuer_id,
            entries[0].recorded_at,
            BigintArray([entry.number for entry in entries]),
            TextArray([entry.id for entry in entries]),
            TextArray([draft.operation for draft in drafts]),
            TextArray([draft.method for draft in drafts]),
            TextArray([str(draft.decision) for draft in drafts]),
            BigintArray([draft.status for draft in drafts]),
            TextArray([draft.principal_id for draft in drafts]),
            TextArray([draft.person for draft in drafts]),
            TextArray([draft.key_id for draft in drafts]),
            TextArray([draft.subject_id for draft in drafts]),
            TextArray([draft.source for draft in drafts]),
            TextArray([draft.request_id for draft in drafts]),
            TextArray([None if one.request_hash is None else one.request_hash.hex() for one in drafts]),
            TextArray([draft.code for draft in drafts]),
            BigintArray([draft.event_index for draft in drafts]),
            TextArray([None if draft.reasons is None else json.dumps(draft.reasons) for draft in drafts]),
            BytesArray([entry.hash or b"" for entry in entries]),
        ),
    )


def read_entries(
    connection: Connection,
    issuer_id: str,
    filters: Filters,
    *,
    after_number: int,
    last_number: int,
    limit: int,
) -> list[Entry]:
    conditions = ["issuer_id = %s", "entry_number > %s", "entry_number <= %s"]
    parameters: list[Any] = [issuer_id, after_number, last_number]
    for name, value in zip(Filters._fields, filters, strict=True):
        if value is not None:
            conditions.append(f"{name} = %s")
            parameters.append(value)
    rows = connection.exec_driver_sql(
        f"""SELECT {_COLUMNS} FROM audit_entry WHERE {" AND ".join(conditions)}
            ORDER BY entry_number LIMIT %s""",
        (*parameters, limit),
    )
    return [_entry(row) for row in rows]


def read_last_number(connection: Connection, issuer_id: str) -> int:
    found = connection.exec_driver_sql(
        "SELECT next_number FROM audit_head WHERE issuer_id = %s", (issuer_id,)
    ).scalar_one_or_none()
    return -1 if found is None else int(found) - 1


def read_last_hash(connection: Connection, issuer_id: str) -> bytes | None:
    found = connection.exec_driver_sql(
        "SELECT last_hash FROM audit_head WHERE issuer_id = %s", (issuer_id,)
    ).scalar_one_or_none()
    return None if found is None else bytes(found)


def read_number_as_of(connection: Connection, issuer_id: str, at: datetime) -> int:
    # Times never fall behind an earlier number, so the last entry by time is the last by number.
    found = connection.exec_driver_sql(
        """SELECT entry_number FROM audit_entry WHERE issuer_id = %s AND recorded_at <= %s
           ORDER BY recorded_at DESC, entry_number DESC LIMIT 1""",
        (issuer_id, at),
    ).scalar_one_or_none()
    return -1 if found is None else int(found)


def _entry(row: Any) -> Entry:
    issuer_id, identifier, recorded_at, number, digest = row[:_DRAFT_BEGINS]
    draft = Draft._make(row[_DRAFT_BEGINS:])
    if draft.request_hash is not None:
        draft = draft._replace(request_hash=bytes(draft.request_hash))
    return Entry(issuer_id, identifier, recorded_at, draft, number, bytes(digest))
