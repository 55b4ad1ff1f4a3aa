"""All SQL of what is open as of two times. Reading only."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from tallystick.matching.records import Item, Match
from tallystick.matching.store import ITEM_OF, MATCH_COLUMNS, matches_found


def read_crossing_items(
    connection: Connection,
    issuer_id: str,
    class_id: str,
    event_index: int,
    known_until: datetime,
    later_statement_ids: Sequence[str],
) -> list[Item]:
    """Return the items within these bounds whose match has an item beyond them, or one that is not booked yet."""
    columns = ", ".join(f"i.{name}" for name in Item._fields)
    rows = connection.exec_driver_sql(
        f"""WITH beyond AS (
                SELECT i.match_id
                FROM unnest(%(later_statement_ids)s::text[]) AS s(statement_id)
                CROSS JOIN LATERAL (
                    SELECT match_id FROM match_item
                    WHERE issuer_id = %(issuer_id)s AND id > s.statement_id || '.' COLLATE "C"
                      AND id < s.statement_id || '/' COLLATE "C" OFFSET 0
                ) i
                WHERE i.match_id IS NOT NULL
                UNION
                SELECT match_id FROM match_item
                WHERE issuer_id = %(issuer_id)s AND token_class_id = %(class_id)s AND kind = 'hold'
                  AND known_at > %(known_until)s AND match_id IS NOT NULL
                UNION
                SELECT match_id FROM match_item
                WHERE issuer_id = %(issuer_id)s AND token_class_id = %(class_id)s AND side = 'books'
                  AND match_id IS NOT NULL AND event_index > %(event_index)s
                UNION
                SELECT match_id FROM match_item
                WHERE issuer_id = %(issuer_id)s AND token_class_id = %(class_id)s AND side = 'books'
                  AND match_id IS NOT NULL AND event_index IS NULL
            ), of_match AS (
                SELECT unnest(m.bank_item_ids || m.book_item_ids) AS item_id
                FROM beyond b CROSS JOIN LATERAL (
                    SELECT bank_item_ids, book_item_ids FROM bank_match
                    WHERE issuer_id = %(issuer_id)s AND id = b.match_id OFFSET 0
                ) m
            )
            SELECT {columns} FROM of_match o
            {ITEM_OF}
            WHERE i.known_at <= %(known_until)s OR i.event_index <= %(event_index)s""",
        {
            "issuer_id": issuer_id,
            "class_id": class_id,
            "event_index": event_index,
            "known_until": known_until,
            "later_statement_ids": list(later_statement_ids),
        },
    )
    return [Item._make(row) for row in rows]


def read_evidence_behind(
    connection: Connection, issuer_id: str, class_id: str, event_index: int, statement_ids: Sequence[str]
) -> list[Match]:
    """Return the ties of credits of these statements to deposits that lie behind a place in the log."""
    return matches_found(
        connection,
        f"""SELECT {MATCH_COLUMNS} FROM bank_match
            WHERE issuer_id = %s AND token_class_id = %s AND event_index > %s AND statement_id = ANY(%s)""",
        (issuer_id, class_id, event_index, list(statement_ids)),
    )


def read_evidence_of(
    connection: Connection, issuer_id: str, event_index: int, statement_ids: Sequence[str]
) -> list[Match]:
    """Return the ties of credits of these statements to deposits up to a place in the log."""
    return matches_found(
        connection,
        f"""SELECT {MATCH_COLUMNS} FROM bank_match
            WHERE issuer_id = %s AND statement_id = ANY(%s) AND event_index <= %s""",
        (issuer_id, list(statement_ids), event_index),
    )
