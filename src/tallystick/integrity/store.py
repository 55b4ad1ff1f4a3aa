"""What the check reads beside its comparisons. It reads tables of all rooms as they are, past the rooms' verbs: what
a room says of its rows is not what is to be checked.
"""

from base64 import urlsafe_b64decode
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, text

from tallystick.approvals import Approval, Vote
from tallystick.core.database import streamed
from tallystick.policy import Party
from tallystick.seals import Part, Seal

__all__ = [
    "MatchingTerms",
    "is_evidence",
    "last_index",
    "live_row",
    "matching_terms",
    "movements_not_taken_in",
    "newest_index",
    "parties",
    "payloads",
    "records_without_seal",
    "strangers",
    "stray_references",
    "usage_rows",
    "votes",
    "was_on_record",
]

_APPROVAL: Final = (
    "issuer_id",
    "id",
    "operation",
    "subject_id",
    "request_hash",
    "amount_minor",
    "currency",
    "scale",
    "maker_principal_id",
    "maker_person",
    "quorum",
    "state",
    "created_at",
    "expires_at",
)
_VOTE: Final = ("approval_id", "person", "principal_id", "decision", "reason", "hash", "decided_at")
_VOTES: Final = f"""
SELECT {", ".join(f"a.{name}" for name in _APPROVAL)}, {", ".join(f"v.{name}" for name in _VOTE)}
FROM approval_vote v JOIN approval a ON a.issuer_id = v.issuer_id AND a.id = v.approval_id
WHERE v.issuer_id = :issuer_id
"""
_PAYLOADS: Final = """
SELECT event_index, jws FROM event WHERE issuer_id = :issuer_id AND type = ANY(:types) ORDER BY event_index
"""
# What changed a row is an attempt that was let through and names it, or an event about it: under any prefix, since an
# instruction, its approval and its event share their suffix.
_ON_RECORD: Final = """
SELECT EXISTS (
    SELECT 1 FROM audit_entry WHERE issuer_id = :issuer_id AND entry_number >= :audit_next_number
      AND decision NOT IN ('refused', 'read', 'failed')
      AND (subject_id = ANY(:ids) OR right(subject_id, 26) = ANY(:suffixes))
) OR EXISTS (
    SELECT 1 FROM event WHERE issuer_id = :issuer_id AND event_index > :event_index
      AND (subject_id = ANY(:ids) OR right(subject_id, 26) = ANY(:suffixes))
) OR EXISTS (
    SELECT 1 FROM instruction WHERE issuer_id = :issuer_id AND event_index > :event_index
      AND (related_id = ANY(:ids) OR right(related_id, 26) = ANY(:suffixes)
           OR operation IS NULL AND (payer_account_id = ANY(:ids) OR payee_account_id = ANY(:ids)))
)
"""
# What follows from an import is on record under the import alone: a list screens everybody anew, a statement or a
# figure moves how far the bank's data reach.
_SINCE: Final = {
    "holder_id": """
SELECT EXISTS (
    SELECT 1 FROM screening WHERE issuer_id = :issuer_id AND holder_id = :about AND screened_at > :sealed_at
) OR EXISTS (
    SELECT 1 FROM screening_decision
    WHERE issuer_id = :issuer_id AND holder_id = :about AND decided_at > :sealed_at
)
""",
    "token_class_id": """
SELECT EXISTS (
    SELECT 1 FROM statement WHERE issuer_id = :issuer_id AND token_class_id = :about AND imported_at > :sealed_at
) OR EXISTS (
    SELECT 1 FROM deposit_balance
    WHERE issuer_id = :issuer_id AND token_class_id = :about AND recorded_at > :sealed_at
) OR EXISTS (
    SELECT 1 FROM reconciliation WHERE issuer_id = :issuer_id AND token_class_id = :about AND created_at > :sealed_at
)
""",
}
_FOLLOWS: Final = {
    "bank_evidence": "token_class_id",
    "reconciliation_break": "token_class_id",
    "screening": "holder_id",
    "screening_standing": "holder_id",
}
_ID_COLUMNS: Final = (
    "id",
    "holder_id",
    "principal_id",
    "account_id",
    "break_id",
    "last_reconciliation_id",
    "reconciliation_id",
    "screening_id",
    "approval_id",
    "restriction_id",
)
_SUFFIX_LENGTH: Final = 26


def last_index(connection: Connection, issuer_id: str) -> int:
    """Return the index before the log's head; -1 where there is none."""
    found: int | None = connection.execute(
        text("SELECT next_index - 1 FROM log_head WHERE issuer_id = :issuer_id"), {"issuer_id": issuer_id}
    ).scalar()
    return -1 if found is None else found


def newest_index(connection: Connection, issuer_id: str) -> int:
    found: int | None = connection.execute(
        text("SELECT max(event_index) FROM event WHERE issuer_id = :issuer_id"), {"issuer_id": issuer_id}
    ).scalar()
    return -1 if found is None else found


def votes(connection: Connection, issuer_id: str) -> Iterator[tuple[Approval, Vote]]:
    with streamed(connection, text(_VOTES), {"issuer_id": issuer_id}) as rows:
        for row in rows:
            of, voted = row[: len(_APPROVAL)], row[len(_APPROVAL) :]
            told = dict(zip(_APPROVAL, of, strict=True))
            made = dict(zip(_VOTE, voted, strict=True))
            told["request_hash"], made["hash"] = bytes(told["request_hash"]), bytes(made["hash"])
            yield Approval(**told), Vote(**made)


def payloads(
    connection: Connection, issuer_id: str, types: list[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    with streamed(connection, text(_PAYLOADS), {"issuer_id": issuer_id, "types": types}) as rows:
        for index, jws in rows:
            yield index, orjson.loads(urlsafe_b64decode(jws.split(".")[1] + "=="))


def parties(connection: Connection, issuer_id: str) -> dict[str, Party]:
    """Return who stands behind each account, as far as it never changes."""
    rows = connection.execute(
        text(
            """SELECT a.id, h.id, h.kind, h.platform_id, h.country, h.residency
               FROM account a JOIN holder h ON h.issuer_id = a.issuer_id AND h.id = a.holder_id
               WHERE a.issuer_id = :issuer_id"""
        ),
        {"issuer_id": issuer_id},
    )
    return {
        account_id: Party(
            account_id, "open", holder_id, kind, platform_id, country, residency, "verified", None
        )
        for account_id, holder_id, kind, platform_id, country, residency in rows
    }


def usage_rows(connection: Connection, issuer_id: str) -> Iterator[tuple[str, int, list[int], int]]:
    with streamed(
        connection,
        text(
            "SELECT key, hour, buckets, total_minor FROM limit_usage WHERE issuer_id = :issuer_id ORDER BY key"
        ),
        {"issuer_id": issuer_id},
    ) as rows:
        for row in rows:
            yield row[0], row[1], row[2], row[3]


class MatchingTerms(NamedTuple):
    """How a class is matched, as its row has it."""

    tolerance_minor: int
    days_max: int
    automatic_from: str
    changed_at: datetime
    event_index: int


def matching_terms(connection: Connection, issuer_id: str) -> dict[str, MatchingTerms]:
    columns = ", ".join(MatchingTerms._fields)
    rows = connection.execute(
        text(f"SELECT token_class_id, {columns} FROM matching_terms WHERE issuer_id = :issuer_id"),
        {"issuer_id": issuer_id},
    )
    return {row[0]: MatchingTerms(*row[1:]) for row in rows}


def is_evidence(connection: Connection, issuer_id: str, entry_id: str) -> bool:
    """Tell whether an entry is tied to the deposit that it became, so that it is no item."""
    return bool(
        connection.execute(
            text(
                """SELECT EXISTS (
                       SELECT 1 FROM bank_match WHERE issuer_id = :issuer_id AND statement_id = :statement_id
                         AND rule = 'evidence' AND bank_item_ids = ARRAY[:entry_id])"""
            ),
            {
                "issuer_id": issuer_id,
                "statement_id": entry_id.rpartition(".")[0],
                "entry_id": entry_id,
            },
        ).scalar_one()
    )


def movements_not_taken_in(connection: Connection, issuer_id: str, code: str) -> list[int]:
    """Return the events before a class's progress that moved its control account and are neither item nor tied."""
    return list(
        connection.execute(
            text(
                """SELECT l.event_index FROM matching_progress p
                   JOIN journal_line l ON l.issuer_id = p.issuer_id AND l.event_index < p.next_event_index
                    AND l.ledger_account_id = :code || '.' || p.token_class_id
                   WHERE p.issuer_id = :issuer_id AND NOT EXISTS (
                       SELECT 1 FROM match_item i WHERE i.issuer_id = p.issuer_id
                         AND i.token_class_id = p.token_class_id AND i.side = 'books'
                         AND i.event_index = l.event_index
                   ) AND NOT EXISTS (
                       SELECT 1 FROM bank_match m WHERE m.issuer_id = p.issuer_id
                         AND m.token_class_id = p.token_class_id AND m.event_index = l.event_index
                   ) ORDER BY 1 LIMIT 1000"""
            ),
            {"issuer_id": issuer_id, "code": code},
        ).scalars()
    )


def stray_references(connection: Connection, issuer_id: str) -> list[tuple[str, str, str]]:
    """Return references of what is no item, or of an item of another class."""
    rows = connection.execute(
        text(
            """SELECT r.token_class_id, r.reference, r.item_id FROM match_reference r
               WHERE r.issuer_id = :issuer_id AND NOT EXISTS (
                   SELECT 1 FROM match_item i WHERE i.issuer_id = r.issuer_id AND i.id = r.item_id
                     AND i.token_class_id = r.token_class_id) ORDER BY 1, 2, 3 LIMIT 1000"""
        ),
        {"issuer_id": issuer_id},
    )
    return [(row[0], row[1], row[2]) for row in rows]


def records_without_seal(connection: Connection, issuer_id: str) -> Iterator[tuple[str, str, int]]:
    rows = connection.execute(
        text(
            """SELECT table_name, record_key, seal_number FROM sealed_record r
               WHERE issuer_id = :issuer_id AND NOT EXISTS (
                   SELECT 1 FROM seal s WHERE s.issuer_id = r.issuer_id AND s.number = r.seal_number)
               ORDER BY 1, 2, 3 LIMIT 1000"""
        ),
        {"issuer_id": issuer_id},
    )
    for row in rows:
        yield row[0], row[1], row[2]


def strangers(connection: Connection, table: str) -> list[str]:
    """Return the issuers that a table has rows of and that are none, and issuers without a log."""
    there = "log_head" if table == "issuer" else "issuer"
    return list(
        connection.execute(
            text(
                f"SELECT DISTINCT issuer_id FROM {table} t WHERE NOT EXISTS"
                f" (SELECT 1 FROM {there} i WHERE i.issuer_id = t.issuer_id) ORDER BY 1 LIMIT 100"
            )
        ).scalars()
    )


def live_row(connection: Connection, issuer_id: str, part: Part, key: str) -> dict[str, Any]:
    """Return a row of a part that is sealed row by row, as JSON; empty where there is none."""
    found: dict[str, Any] | None = connection.execute(
        text(f"SELECT to_jsonb(t) FROM {part.table} t WHERE t.issuer_id = :issuer_id AND {part.key} = :key"),
        {"issuer_id": issuer_id, "key": key},
    ).scalar()
    return found or {}


def was_on_record(
    connection: Connection, issuer_id: str, table: str, row: dict[str, Any], seal: Seal
) -> bool:
    """Tell whether an act since the seal is on record that names the row, or whom or what the row is about."""
    ids = [value for name in _ID_COLUMNS if (value := row.get(name)) is not None]
    given = {
        "issuer_id": issuer_id,
        "ids": ids,
        "suffixes": [one[-_SUFFIX_LENGTH:] for one in ids if len(one) > _SUFFIX_LENGTH],
        "audit_next_number": seal.audit_next_number,
        "event_index": seal.event_index,
    }
    if connection.execute(text(_ON_RECORD), given).scalar_one():
        return True
    name = _FOLLOWS.get(table)
    if name is None or row.get(name) is None:
        return False
    given = {"issuer_id": issuer_id, "about": row[name], "sealed_at": seal.sealed_at}
    return bool(connection.execute(text(_SINCE[name]), given).scalar_one())
