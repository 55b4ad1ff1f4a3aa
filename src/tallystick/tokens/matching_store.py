"""SQL of what matching is told of the write path's tables: its terms, and what instructions came to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.tokens.instructions import Instruction

_INSTRUCTION: Final = ", ".join(Instruction._fields)


class MatchingTermsRow(NamedTuple):
    """How a class is matched, as its last event has it."""

    token_class_id: str
    tolerance_minor: int
    days_max: int
    automatic_from: str
    changed_at: datetime
    event_index: int


def read_matching_terms(connection: Connection, issuer_id: str) -> dict[str, MatchingTermsRow]:
    rows = connection.exec_driver_sql(
        f"SELECT {', '.join(MatchingTermsRow._fields)} FROM matching_terms WHERE issuer_id = %s", (issuer_id,)
    )
    return {row[0]: MatchingTermsRow._make(row) for row in rows}


def write_matching_terms(connection: Connection, issuer_id: str, row: MatchingTermsRow) -> None:
    connection.exec_driver_sql(
        f"""INSERT INTO matching_terms (issuer_id, {", ".join(MatchingTermsRow._fields)})
            VALUES (%s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (issuer_id, token_class_id) DO UPDATE SET
            tolerance_minor = excluded.tolerance_minor, days_max = excluded.days_max,
            automatic_from = excluded.automatic_from, changed_at = excluded.changed_at,
            event_index = excluded.event_index""",
        (issuer_id, *row),
    )


def read_settled_deposits(
    connection: Connection, issuer_id: str, ids: Sequence[str]
) -> dict[str, tuple[int, int]]:
    rows = connection.exec_driver_sql(
        # By its key alone: the kind might let an index be taken that has half of the table in it.
        """SELECT i.id, i.event_index, i.amount_minor
           FROM unnest(%s::text[]) AS w(id)
           CROSS JOIN LATERAL (
               SELECT id, kind, event_index, amount_minor FROM instruction
               WHERE issuer_id = %s AND id = w.id OFFSET 0
           ) i
           WHERE i.kind = 'deposit' AND i.event_index IS NOT NULL""",
        (sorted(set(ids)), issuer_id),
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def read_redemptions_referred_to(
    connection: Connection, issuer_id: str, ids: Sequence[str], references: Sequence[str]
) -> list[Instruction]:
    # Two statements in one, so that each has its index.
    rows = connection.exec_driver_sql(
        f"""SELECT {", ".join(f"i.{name}" for name in Instruction._fields)}
            FROM unnest(%s::text[]) AS w(id)
            CROSS JOIN LATERAL (SELECT * FROM instruction WHERE issuer_id = %s AND id = w.id OFFSET 0) i
            WHERE i.kind = 'redemption' AND i.event_index IS NOT NULL
            UNION
            SELECT {_INSTRUCTION} FROM instruction
            WHERE issuer_id = %s AND reference = ANY(%s) AND reference IS NOT NULL AND kind = 'redemption'
              AND event_index IS NOT NULL""",
        (sorted(set(ids)), issuer_id, issuer_id, list(references)),
    )
    return [Instruction._make(row) for row in rows]
