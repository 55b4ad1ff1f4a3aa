"""All SQL of the write path's own tables."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.core.clock import format_time
from tallystick.core.copy_text import NULL, copy_rows, escape
from tallystick.tokens.instructions import Instruction

_COLUMNS: Final = ", ".join(Instruction._fields)
_ANSWER_COLUMNS: Final = (
    "answer (issuer_id, key_digest, request_hash, resource_id, status, body, event_index, answered_at)"
)
_UPDATE: Final = """
UPDATE instruction SET state = %s, remaining_minor = %s, payee_account_id = %s, settled_at = %s, event_index = %s
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


def insert_instructions(connection: Connection, issuer_id: str, rows: Sequence[Instruction]) -> None:
    copy_rows(
        connection, f"instruction (issuer_id, {_COLUMNS})", [_instruction_row(issuer_id, row) for row in rows]
    )


def update_instructions(connection: Connection, issuer_id: str, rows: Sequence[Instruction]) -> None:
    for row in rows:
        connection.exec_driver_sql(
            _UPDATE,
            (
                row.state,
                row.remaining_minor,
                row.payee_account_id,
                row.settled_at,
                row.event_index,
                issuer_id,
                row.id,
            ),
        )


def read_answers(connection: Connection, issuer_id: str, key_digests: Iterable[bytes]) -> dict[bytes, Answer]:
    rows = connection.exec_driver_sql(
        """SELECT key_digest, request_hash, resource_id, status, body, event_index FROM answer
           WHERE issuer_id = %s AND key_digest = ANY(%s)""",
        (issuer_id, list(key_digests)),
    )
    return {bytes(row[0]): Answer(bytes(row[0]), bytes(row[1]), *row[2:]) for row in rows}


def insert_answers(
    connection: Connection, issuer_id: str, rows: Sequence[Answer], answered_at: datetime
) -> None:
    at = format_time(answered_at)
    copy_rows(
        connection,
        _ANSWER_COLUMNS,
        [
            f"{issuer_id}\t\\\\x{digest.hex()}\t\\\\x{request_hash.hex()}\t{resource_id}\t{status}\t{escape(body)}"
            f"\t{NULL if event_index is None else event_index}\t{at}"
            for digest, request_hash, resource_id, status, body, event_index in rows
        ],
    )


def _instruction_row(issuer_id: str, row: Instruction) -> str:
    (
        instruction_id,
        kind,
        state,
        principal_id,
        token_class_id,
        amount_minor,
        remaining_minor,
        payer_account_id,
        payee_account_id,
        related_id,
        reference,
        reason,
        request_hash,
        value_date,
        created_at,
        expires_at,
        settled_at,
        event_index,
    ) = row
    return (
        f"{issuer_id}\t{instruction_id}\t{kind}\t{state}\t{principal_id}\t{token_class_id}\t{amount_minor}"
        f"\t{NULL if remaining_minor is None else remaining_minor}\t{payer_account_id or NULL}"
        f"\t{payee_account_id or NULL}\t{related_id or NULL}\t{escape(reference)}\t{escape(reason)}"
        f"\t\\\\x{request_hash.hex()}\t{value_date or NULL}\t{format_time(created_at)}"
        f"\t{NULL if expires_at is None else format_time(expires_at)}"
        f"\t{NULL if settled_at is None else format_time(settled_at)}"
        f"\t{NULL if event_index is None else event_index}"
    )
