"""All SQL of the write path's own tables."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.core.arrays import BigintArray, BytesArray, TextArray, alike, rows_of
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.core.pipeline import Asked, Pipeline, RowValues
from tallystick.tokens.instructions import ConfirmedByHand, Instruction
from tallystick.tokens.render import settled_transfer

_COLUMNS: Final = ", ".join(Instruction._fields)
_NEW: Final = rows_of(
    "id text, kind text, state text, principal_id text, token_class_id text, amount_minor bigint, "
    "remaining_minor bigint, payer_account_id text, payee_account_id text, related_id text, "
    "reference text, reason text, request_hash bytea, value_date text, expires_at text, "
    "event_index bigint, operation text, purpose text, key_digest bytea, first_answer text, source text"
)
_INSERT: Final = f"""
INSERT INTO instruction (issuer_id, created_at, settled_at, id, kind, state, principal_id, token_class_id,
                         amount_minor, remaining_minor, payer_account_id, payee_account_id, related_id, reference,
                         reason, request_hash, value_date, expires_at, event_index, operation, purpose, key_digest,
                         first_answer, source)
SELECT %s, %s, CASE WHEN n.event_index IS NOT NULL THEN %s::timestamptz END, n.id, coalesce(%s::text, n.kind),
       coalesce(%s::text, n.state), coalesce(%s::text, n.principal_id), coalesce(%s::text, n.token_class_id),
       n.amount_minor, coalesce(%s::bigint, n.remaining_minor), n.payer_account_id, n.payee_account_id,
       coalesce(%s::text, n.related_id), coalesce(%s::text, n.reference), coalesce(%s::text, n.reason),
       n.request_hash, coalesce(%s::date, n.value_date::date), coalesce(%s::timestamptz, n.expires_at::timestamptz),
       n.event_index, coalesce(%s::text, n.operation), coalesce(%s::text, n.purpose), n.key_digest,
       coalesce(%s::text, n.first_answer), coalesce(%s::text, n.source)
FROM {_NEW} AS n
"""
# In the order of the statement's parameters, `first_answer` before the last.
_MOSTLY_ALIKE: Final = (
    "kind",
    "state",
    "principal_id",
    "token_class_id",
    "remaining_minor",
    "related_id",
    "reference",
    "reason",
    "value_date",
    "expires_at",
    "operation",
    "purpose",
    "source",
)
_INSERT_ANSWERS: Final = """
INSERT INTO answer (issuer_id, answered_at, key_digest, request_hash, resource_id, status, body, event_index)
SELECT %s, %s, n.key_digest, n.request_hash, n.resource_id, n.status, n.body, n.event_index
FROM unnest(%s, %s, %s, %s, %s, %s) AS n(key_digest, request_hash, resource_id, status, body, event_index)
"""
# Each key is looked up by itself (`OFFSET 0` keeps it so): for many keys at once, a plan that is made while the table
# is small reads all of the issuer's rows instead, and goes on when they are a hundred thousand.
_TRANSFERS_BY_KEY: Final = f"""
SELECT i.key_digest, i.first_answer, c.currency, c.scale, {", ".join(f"i.{name}" for name in Instruction._fields)}
FROM unnest(%s) AS asked(key_digest)
CROSS JOIN LATERAL (
    SELECT * FROM instruction WHERE issuer_id = %s AND key_digest = asked.key_digest OFFSET 0
) AS i
JOIN token_class c ON c.issuer_id = i.issuer_id AND c.id = i.token_class_id
"""
_ANSWERS_BY_KEY: Final = """
SELECT a.key_digest, a.request_hash, a.resource_id, a.status, a.body, a.event_index
FROM unnest(%s) AS asked(key_digest)
CROSS JOIN LATERAL (
    SELECT * FROM answer WHERE issuer_id = %s AND key_digest = asked.key_digest OFFSET 0
) AS a
"""
_UPDATE: Final = """
UPDATE instruction SET state = %s, remaining_minor = %s, payee_account_id = %s, reason = %s, settled_at = %s,
                       event_index = %s, value_date = %s
WHERE issuer_id = %s AND id = %s
"""


class Answer(NamedTuple):
    """What was answered to a key, without the signed event, which the log keeps; `body` may be what makes it."""

    key_digest: bytes
    request_hash: bytes
    resource_id: str
    status: int
    body: str | Callable[[], str]
    event_index: int | None

    @property
    def text(self) -> str:
        """The answer's JSON."""
        return self.body if isinstance(self.body, str) else self.body()


class BreakerRow(NamedTuple):
    """A class's breaker as it is kept: what its last event made of it, and why.

    `clean_run_id` is the reconciliation that found nothing wrong since; None until there is one.
    """

    token_class_id: str
    state: str
    reason: str
    changed_at: datetime
    event_index: int
    clean_run_id: str | None = None


class Added(NamedTuple):
    """A new instruction with what only its row keeps: a transfer's key, and the answer that it was given first where
    that is not what the settled row says.
    """

    instruction: Instruction
    key_digest: bytes | None
    first_answer: str | None


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


def read_instructions_about(
    connection: Connection, issuer_id: str, subject_id: str, limit: int
) -> list[Instruction]:
    # Two statements in one, so that each has its index.
    rows = connection.exec_driver_sql(
        f"""SELECT {_COLUMNS} FROM instruction WHERE issuer_id = %s AND id = %s
            UNION ALL
            (SELECT {_COLUMNS} FROM instruction WHERE issuer_id = %s AND related_id = %s ORDER BY id LIMIT %s)""",
        (issuer_id, subject_id, issuer_id, subject_id, limit),
    )
    return [Instruction._make(row) for row in rows]


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
    pipeline: Pipeline, issuer_id: str, added: Sequence[Added], settled_at: datetime
) -> None:
    """Write new instructions of one batch: they were all taken up at once, and those with an event settled at once."""
    if not added:
        return
    rows, digests, first_answers = zip(*added, strict=True)
    columns = dict(zip(Instruction._fields, zip(*rows, strict=True), strict=True))
    one, column = {}, {}
    for name in _MOSTLY_ALIKE:
        one[name], column[name] = alike(columns[name])
    one_answer, other_answers = alike(first_answers)
    pipeline.tell(
        _INSERT,
        (
            issuer_id,
            rows[0].created_at,
            settled_at,
            *(one[name] for name in _MOSTLY_ALIKE[:-1]),
            one_answer,
            one["source"],
            TextArray(columns["id"]),
            TextArray(column["kind"]),
            TextArray(column["state"]),
            TextArray(column["principal_id"]),
            TextArray(column["token_class_id"]),
            BigintArray(columns["amount_minor"]),
            BigintArray(column["remaining_minor"]),
            TextArray(columns["payer_account_id"]),
            TextArray(columns["payee_account_id"]),
            TextArray(column["related_id"]),
            TextArray(column["reference"]),
            TextArray(column["reason"]),
            BytesArray(columns["request_hash"]),
            TextArray([None if day is None else day.isoformat() for day in column["value_date"]]),
            TextArray([None if at is None else format_time(at) for at in column["expires_at"]]),
            BigintArray(columns["event_index"]),
            TextArray(column["operation"]),
            TextArray(column["purpose"]),
            BytesArray(digests),
            TextArray(other_answers),
            TextArray(column["source"]),
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
                row.value_date,
                issuer_id,
                row.id,
            ),
        )


def read_answers(
    pipeline: Pipeline, issuer_id: str, key_digests: Sequence[bytes]
) -> Asked[dict[bytes, Answer]]:
    return pipeline.ask(_ANSWERS_BY_KEY, (BytesArray(key_digests), issuer_id), _read_answers)


def read_batch_answers(connection: Connection, issuer_id: str, batch_id: str) -> list[tuple[int, str]]:
    """Return what was answered about a batch: at once, or first that it waits and later what became of it."""
    # The index is of batches only, and is used where the query says so too.
    rows = connection.exec_driver_sql(
        """SELECT status, body FROM answer
           WHERE issuer_id = %s AND resource_id = %s AND resource_id LIKE 'batch\\_%%'""",
        (issuer_id, batch_id),
    )
    return [(row[0], row[1]) for row in rows]


def read_settled_keys(
    connection: Connection, issuer_id: str, after: bytes, last_index: int, limit: int
) -> list[tuple[bytes, int]]:
    rows = connection.exec_driver_sql(
        """(SELECT key_digest, event_index FROM answer
            WHERE issuer_id = %s AND key_digest > %s AND event_index <= %s ORDER BY key_digest LIMIT %s)
           UNION ALL
           (SELECT key_digest, event_index FROM instruction
            WHERE issuer_id = %s AND key_digest > %s AND event_index <= %s AND first_answer IS NULL
            ORDER BY key_digest LIMIT %s)
           ORDER BY key_digest LIMIT %s""",
        (*(issuer_id, after, last_index, limit) * 2, limit),
    )
    return [(bytes(row[0]), row[1]) for row in rows]


def read_transfers_by_key(
    pipeline: Pipeline, issuer_id: str, key_digests: Sequence[bytes]
) -> Asked[dict[bytes, Answer]]:
    """Ask for the answers of the transfers that have these keys."""
    return pipeline.ask(_TRANSFERS_BY_KEY, (BytesArray(key_digests), issuer_id), _read_transfers(issuer_id))


def insert_answers(pipeline: Pipeline, issuer_id: str, rows: Sequence[Answer], answered_at: datetime) -> None:
    if not rows:
        return
    digests, hashes, resource_ids, statuses, _, event_indexes = zip(*rows, strict=True)
    pipeline.tell(
        _INSERT_ANSWERS,
        (
            issuer_id,
            answered_at,
            BytesArray(digests),
            BytesArray(hashes),
            TextArray(resource_ids),
            BigintArray(statuses),
            TextArray([row.text for row in rows]),
            BigintArray(event_indexes),
        ),
    )


def read_breakers(connection: Connection, issuer_id: str) -> dict[str, BreakerRow]:
    rows = connection.exec_driver_sql(
        """SELECT token_class_id, state, reason, changed_at, event_index, clean_run_id FROM breaker
           WHERE issuer_id = %s""",
        (issuer_id,),
    )
    return {row[0]: BreakerRow._make(row) for row in rows}


def write_breaker(connection: Connection, issuer_id: str, row: BreakerRow) -> None:
    connection.exec_driver_sql(
        """INSERT INTO breaker (issuer_id, token_class_id, state, reason, changed_at, event_index, clean_run_id)
           VALUES (%s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (issuer_id, token_class_id) DO UPDATE SET state = excluded.state, reason = excluded.reason,
           changed_at = excluded.changed_at, event_index = excluded.event_index,
           clean_run_id = excluded.clean_run_id""",
        (issuer_id, *row),
    )


def write_clean_run(connection: Connection, issuer_id: str, token_class_id: str, run_id: str | None) -> None:
    connection.exec_driver_sql(
        "UPDATE breaker SET clean_run_id = %s WHERE issuer_id = %s AND token_class_id = %s",
        (run_id, issuer_id, token_class_id),
    )


def write_bank_evidence(
    connection: Connection, issuer_id: str, token_class_id: str, kind: str, until: datetime
) -> None:
    connection.exec_driver_sql(
        """INSERT INTO bank_evidence (issuer_id, token_class_id, kind, until_at) VALUES (%s, %s, %s, %s)
           ON CONFLICT (issuer_id, token_class_id, kind) DO UPDATE
           SET until_at = greatest(bank_evidence.until_at, excluded.until_at)""",
        (issuer_id, token_class_id, kind, until),
    )


def read_bank_evidence(
    connection: Connection, issuer_id: str, token_class_id: str, kind: str
) -> datetime | None:
    found: datetime | None = connection.exec_driver_sql(
        "SELECT until_at FROM bank_evidence WHERE issuer_id = %s AND token_class_id = %s AND kind = %s",
        (issuer_id, token_class_id, kind),
    ).scalar()
    return found


def read_minted_since(
    connection: Connection, issuer_id: str, token_class_id: str, since: datetime
) -> tuple[int, int]:
    row = connection.exec_driver_sql(
        """SELECT count(*), COALESCE(sum(amount_minor), 0) FROM instruction
           WHERE issuer_id = %s AND token_class_id = %s AND kind = 'mint' AND settled_at > %s""",
        (issuer_id, token_class_id, since),
    ).one()
    return int(row[0]), int(row[1])


def read_paying_out(connection: Connection, issuer_id: str, account_ids: Sequence[str]) -> set[str]:
    rows = connection.exec_driver_sql(
        """SELECT DISTINCT payer_account_id FROM instruction
           WHERE issuer_id = %s AND kind = 'payout' AND state = ANY(%s) AND payer_account_id = ANY(%s)""",
        (issuer_id, ["accepted", "returned"], list(account_ids)),
    )
    return {row[0] for row in rows}


def read_expired_hold_ids(connection: Connection, issuer_id: str, at: datetime, limit: int) -> list[str]:
    rows = connection.exec_driver_sql(
        """SELECT id FROM instruction WHERE issuer_id = %s AND state = 'held' AND expires_at <= %s
           ORDER BY expires_at LIMIT %s""",
        (issuer_id, at, limit),
    )
    return [row[0] for row in rows]


def _read_answers(rows: list[RowValues]) -> dict[bytes, Answer]:
    return {bytes(row[0]): Answer(bytes(row[0]), bytes(row[1]), *row[2:]) for row in rows}


def _read_transfers(issuer_id: str) -> Callable[[list[RowValues]], dict[bytes, Answer]]:
    def read(rows: list[RowValues]) -> dict[bytes, Answer]:
        found = {}
        for digest, first_answer, currency, scale, *columns in rows:
            row = Instruction._make(columns)
            known = bytes(digest)
            if first_answer is None:
                amount = format_amount(row.amount_minor, scale)
                body = settled_transfer(issuer_id, row, currency, amount)
                found[known] = Answer(known, bytes(row.request_hash), row.id, 201, body, row.event_index)
            else:
                found[known] = Answer(known, bytes(row.request_hash), row.id, 202, first_answer, None)
        return found

    return read
