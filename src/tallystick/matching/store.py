"""All SQL of items and matches."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.core.copy_text import NULL, copy_rows, escape
from tallystick.core.ids import with_prefix
from tallystick.matching.records import Decision, Item, Match

_ITEM: Final = ", ".join(Item._fields)
_MATCH_FIELDS: Final = tuple(Match.__slots__)
MATCH_COLUMNS: Final = ", ".join(_MATCH_FIELDS)
_OPEN: Final = "match_id IS NULL AND amount_minor <> 0"
#: The kinds of reference that tie the bank's items to the books'.
_TIES: Final = "left(reference, 4) IN ('e2e:', 'own:', 'uetr')"
#: What stands without a person, and may therefore be given up without one. Nothing is surer than evidence.
_BY_ITSELF: Final = "confidence IN ('exact', 'strong') AND rule <> 'evidence'"
# Each look into an index is written as one of its own (LATERAL … OFFSET 0): tables that have just been filled have no
# statistics, and a join of them might as well walk through all of it.
_REFERENCES_OF: Final = """CROSS JOIN LATERAL (
    SELECT reference FROM match_reference WHERE issuer_id = %(issuer_id)s AND item_id = {of} AND {which} OFFSET 0
) r"""
_KNOWN_BY: Final = """CROSS JOIN LATERAL (
    SELECT item_id FROM match_reference
    WHERE issuer_id = %(issuer_id)s AND token_class_id = %(class_id)s AND reference = r.reference OFFSET 0
) o"""
# By its key alone: another condition might let an index be taken that has half of the table in it.
ITEM_OF: Final = """CROSS JOIN LATERAL (
    SELECT * FROM match_item WHERE issuer_id = %(issuer_id)s AND id = o.item_id OFFSET 0
) i"""
# Of a page of the bank's open items: the books' open items with a reference of theirs, and how many each could go with.
_PAIRS: Final = f"""
WITH page AS MATERIALIZED (
    SELECT id, amount_minor FROM match_item
    WHERE issuer_id = %(issuer_id)s AND token_class_id = %(class_id)s AND side = 'bank' AND {_OPEN}
      AND id > %(after)s
    ORDER BY id LIMIT %(limit)s
), pair AS MATERIALIZED (
    SELECT p.id AS bank_id, p.amount_minor AS bank_minor, i.id AS book_id, i.amount_minor AS book_minor,
           max(r.reference) AS reference
    FROM page p
    {_REFERENCES_OF.format(of="p.id", which=_TIES)}
    {_KNOWN_BY}
    {ITEM_OF}
    WHERE i.side = 'books' AND i.match_id IS NULL AND (i.kind = 'redemption') = %(of_redemptions)s
      AND (i.amount_minor > 0) = (p.amount_minor > 0)
    GROUP BY 1, 2, 3, 4
)
SELECT p.bank_id, p.bank_minor, p.book_id, p.book_minor, p.reference, w.bank_count,
       count(*) OVER (PARTITION BY p.bank_id) AS book_count
FROM pair p CROSS JOIN LATERAL (
    SELECT count(DISTINCT i.id) AS bank_count
    FROM (SELECT 1) AS one
    {_REFERENCES_OF.format(of="p.book_id", which=_TIES)}
    {_KNOWN_BY}
    {ITEM_OF}
    WHERE i.side = 'bank' AND i.match_id IS NULL AND (i.amount_minor > 0) = (p.book_minor > 0)
) w
"""


class PairRow(NamedTuple):
    """Two open items that share a reference, and how many of the other side each could go with."""

    bank_id: str
    bank_minor: int
    book_id: str
    book_minor: int
    reference: str
    bank_count: int
    book_count: int


def lock_progress(
    connection: Connection, issuer_id: str, token_class_id: str
) -> tuple[int, str | None, datetime | None]:
    """Stand in line behind whoever matches or decides in this class; return how far its items were taken in."""
    connection.exec_driver_sql(
        """INSERT INTO matching_progress (issuer_id, token_class_id, next_event_index) VALUES (%s, %s, 0)
           ON CONFLICT DO NOTHING""",
        (issuer_id, token_class_id),
    )
    row = connection.exec_driver_sql(
        """SELECT next_event_index, last_hold_id, matched_at FROM matching_progress
           WHERE issuer_id = %s AND token_class_id = %s FOR UPDATE""",
        (issuer_id, token_class_id),
    ).one()
    return row[0], row[1], row[2]


def read_progress(
    connection: Connection, issuer_id: str, token_class_id: str
) -> tuple[int, datetime | None] | None:
    row = connection.exec_driver_sql(
        """SELECT next_event_index, matched_at FROM matching_progress
           WHERE issuer_id = %s AND token_class_id = %s""",
        (issuer_id, token_class_id),
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def move_progress(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    *,
    next_event_index: int | None = None,
    last_hold_id: str | None = None,
    matched_at: datetime | None = None,
) -> None:
    connection.exec_driver_sql(
        """UPDATE matching_progress SET next_event_index = coalesce(%s, next_event_index),
                  last_hold_id = coalesce(%s, last_hold_id), matched_at = coalesce(%s, matched_at)
           WHERE issuer_id = %s AND token_class_id = %s""",
        (next_event_index, last_hold_id, matched_at, issuer_id, token_class_id),
    )


def read_taken_in(connection: Connection, issuer_id: str, statement_ids: Sequence[str]) -> set[str]:
    rows = connection.exec_driver_sql(
        "SELECT statement_id FROM match_statement WHERE issuer_id = %s AND statement_id = ANY(%s)",
        (issuer_id, list(statement_ids)),
    )
    return {row[0] for row in rows}


def add_taken_in(connection: Connection, issuer_id: str, statement_id: str, taken_in_at: datetime) -> None:
    connection.exec_driver_sql(
        "INSERT INTO match_statement (issuer_id, statement_id, taken_in_at) VALUES (%s, %s, %s)",
        (issuer_id, statement_id, taken_in_at),
    )


def add_items(
    connection: Connection, issuer_id: str, items: Iterable[tuple[Item, Iterable[str]]], class_id: str
) -> None:
    """Write items with the references that they are known by."""
    rows, references = [], []
    for one, known_by in items:
        rows.append(
            f"{issuer_id}\t{one.id}\t{one.token_class_id}\t{one.side}\t{one.kind}\t{one.amount_minor}"
            f"\t{one.day or NULL}\t{escape(one.place)}\t{escape(one.counterparty)}\t{one.account_id or NULL}"
            f"\t{one.reversal}\t{one.known_at or NULL}\t{_number(one.event_index)}\t{one.match_id or NULL}"
        )
        references += [
            f"{issuer_id}\t{class_id}\t{escape(reference)}\t{one.id}" for reference in sorted(known_by)
        ]
    copy_rows(connection, f"match_item (issuer_id, {_ITEM})", rows)
    copy_rows(connection, "match_reference (issuer_id, token_class_id, reference, item_id)", references)


def read_items(connection: Connection, issuer_id: str, ids: Sequence[str]) -> dict[str, Item]:
    rows = connection.exec_driver_sql(
        f"""SELECT {", ".join(f"i.{name}" for name in Item._fields)}
            FROM unnest(%(ids)s::text[]) AS o(item_id) {ITEM_OF}""",
        {"issuer_id": issuer_id, "ids": sorted(set(ids))},
    )
    return {row[0]: Item._make(row) for row in rows}


def read_page_of_items(connection: Connection, issuer_id: str, after: str, limit: int) -> list[Item]:
    rows = connection.exec_driver_sql(
        f"SELECT {_ITEM} FROM match_item WHERE issuer_id = %s AND id > %s ORDER BY id LIMIT %s",
        (issuer_id, after, limit),
    )
    return [Item._make(row) for row in rows]


def read_open_items(
    connection: Connection, issuer_id: str, class_id: str, side: str, after: str, limit: int
) -> list[Item]:
    rows = connection.exec_driver_sql(
        f"""SELECT {_ITEM} FROM match_item
            WHERE issuer_id = %s AND token_class_id = %s AND side = %s AND {_OPEN} AND id > %s
            ORDER BY id LIMIT %s""",
        (issuer_id, class_id, side, after, limit),
    )
    return [Item._make(row) for row in rows]


def read_items_of_open_amounts(
    connection: Connection, issuer_id: str, class_id: str, rule: str
) -> list[Item]:
    """Return the items that the service matched by a rule and that have the amount of one that is open."""
    rows = connection.exec_driver_sql(
        f"""SELECT {", ".join(f"i.{name}" for name in Item._fields)}
            FROM (SELECT DISTINCT amount_minor FROM match_item
                  WHERE issuer_id = %(issuer_id)s AND token_class_id = %(class_id)s AND {_OPEN}) a
            CROSS JOIN LATERAL (
                SELECT * FROM match_item
                WHERE issuer_id = %(issuer_id)s AND token_class_id = %(class_id)s
                  AND amount_minor = a.amount_minor AND match_id IS NOT NULL AND counterparty IS NOT NULL OFFSET 0
            ) i
            CROSS JOIN LATERAL (
                SELECT confidence, rule FROM bank_match WHERE issuer_id = %(issuer_id)s AND id = i.match_id OFFSET 0
            ) m
            WHERE m.rule = %(rule)s AND {_BY_ITSELF}""",
        {"issuer_id": issuer_id, "class_id": class_id, "rule": rule},
    )
    return [Item._make(row) for row in rows]


def read_references(connection: Connection, issuer_id: str, item_ids: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    rows = connection.exec_driver_sql(
        f"""SELECT o.item_id, r.reference
            FROM unnest(%(ids)s::text[]) AS o(item_id) {_REFERENCES_OF.format(of="o.item_id", which="true")}""",
        {"issuer_id": issuer_id, "ids": sorted(set(item_ids))},
    )
    for row in rows:
        found.setdefault(row[0], set()).add(row[1])
    return found


def read_open_by_reference(
    connection: Connection, issuer_id: str, class_id: str, references: Sequence[str]
) -> dict[str, Item]:
    """Return the bank's items with one of these references, by it, that no person and no evidence has tied."""
    rows = connection.exec_driver_sql(
        f"""SELECT r.reference, {", ".join(f"i.{name}" for name in Item._fields)}
            FROM unnest(%(references)s::text[]) AS r(reference)
            {_KNOWN_BY}
            {ITEM_OF}
            WHERE i.side = 'bank'""",
        {"issuer_id": issuer_id, "class_id": class_id, "references": list(references)},
    )
    return {row[0]: Item._make(row[1:]) for row in rows}


def read_matches_sharing(
    connection: Connection, issuer_id: str, class_id: str, item_ids: Sequence[str]
) -> list[str]:
    """Return the matches that no person accepted whose items share a reference with one of these items."""
    which = f"({_TIES} OR reference LIKE 'bank:%%')"
    rows = connection.exec_driver_sql(
        f"""SELECT DISTINCT i.match_id
            FROM unnest(%(item_ids)s::text[]) AS w(item_id)
            {_REFERENCES_OF.format(of="w.item_id", which=which)}
            {_KNOWN_BY}
            {ITEM_OF}
            CROSS JOIN LATERAL (
                SELECT confidence, rule FROM bank_match WHERE issuer_id = %(issuer_id)s AND id = i.match_id OFFSET 0
            ) m
            WHERE i.match_id IS NOT NULL AND {_BY_ITSELF}
            ORDER BY i.match_id""",
        {"issuer_id": issuer_id, "class_id": class_id, "item_ids": list(item_ids)},
    )
    return [row[0] for row in rows]


def tie_items(connection: Connection, issuer_id: str, ties: Sequence[tuple[str, str]]) -> int:
    """Say of items, by (item, match), which match stands for each; return how many were free."""
    tied = connection.exec_driver_sql(
        """UPDATE match_item i SET match_id = n.match_id FROM unnest(%s::text[], %s::text[]) AS n(item_id, match_id)
           WHERE i.issuer_id = %s AND i.id = n.item_id AND i.match_id IS NULL""",
        ([one[0] for one in ties], [one[1] for one in ties], issuer_id),
    )
    return tied.rowcount


def free_items(connection: Connection, issuer_id: str, match_id: str, item_ids: Sequence[str]) -> None:
    connection.exec_driver_sql(
        "UPDATE match_item SET match_id = NULL WHERE issuer_id = %s AND id = ANY(%s) AND match_id = %s",
        (issuer_id, list(item_ids), match_id),
    )


def set_booked(connection: Connection, issuer_id: str, item_id: str, event_index: int) -> None:
    connection.exec_driver_sql(
        "UPDATE match_item SET event_index = %s WHERE issuer_id = %s AND id = %s",
        (event_index, issuer_id, item_id),
    )


def set_amount(connection: Connection, issuer_id: str, item_id: str, amount_minor: int) -> None:
    connection.exec_driver_sql(
        "UPDATE match_item SET amount_minor = %s WHERE issuer_id = %s AND id = %s",
        (amount_minor, issuer_id, item_id),
    )


def add_matches(connection: Connection, matches: Iterable[Match]) -> None:
    copy_rows(
        connection,
        f"bank_match ({MATCH_COLUMNS})",
        [
            f"{one.issuer_id}\t{one.id}\t{one.token_class_id}\t{one.kind}\t{one.rule}\t{one.confidence}\t{one.state}"
            f"\t{{{','.join(one.bank_item_ids)}}}\t{{{','.join(one.book_item_ids)}}}\t{one.bank_minor}"
            f"\t{one.difference_minor}\t{one.statement_id or NULL}\t{_number(one.event_index)}"
            f"\t{escape(one.compared)}\t{one.made_by or NULL}\t{one.made_at}"
            for one in matches
        ],
    )


def read_tied_indexes(
    connection: Connection, issuer_id: str, class_id: str, first: int, last: int
) -> set[int]:
    """Return the places in the log, within these bounds, of the deposits whose evidence ties them to one credit."""
    rows = connection.exec_driver_sql(
        """SELECT event_index FROM bank_match
           WHERE issuer_id = %s AND token_class_id = %s AND event_index BETWEEN %s AND %s""",
        (issuer_id, class_id, first, last),
    )
    return {row[0] for row in rows}


def read_pairs(
    connection: Connection, issuer_id: str, class_id: str, *, of_redemptions: bool, after: str, limit: int
) -> tuple[list[PairRow], str | None]:
    """Return a page of pairs by reference, and where to go on: None at the end."""
    bounds = {"issuer_id": issuer_id, "class_id": class_id, "after": after, "limit": limit}
    rows = list(connection.exec_driver_sql(_PAIRS, {**bounds, "of_redemptions": of_redemptions}))
    last = connection.exec_driver_sql(
        f"""SELECT id FROM match_item
            WHERE issuer_id = %(issuer_id)s AND token_class_id = %(class_id)s AND side = 'bank' AND {_OPEN}
              AND id > %(after)s ORDER BY id OFFSET %(limit)s - 1 LIMIT 1""",
        bounds,
    ).scalar()
    return [PairRow._make(row) for row in rows], last


def set_state(connection: Connection, issuer_id: str, match_id: str, state: str) -> None:
    connection.exec_driver_sql(
        "UPDATE bank_match SET state = %s WHERE issuer_id = %s AND id = %s", (state, issuer_id, match_id)
    )


def add_decision(connection: Connection, issuer_id: str, made: Decision) -> None:
    connection.exec_driver_sql(
        f"""INSERT INTO match_decision (issuer_id, {", ".join(Decision._fields)})
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
        (issuer_id, *made),
    )


def read_decisions(
    connection: Connection, issuer_id: str, match_ids: Sequence[str]
) -> dict[str, list[Decision]]:
    found: dict[str, list[Decision]] = {}
    rows = connection.exec_driver_sql(
        f"""SELECT {", ".join(Decision._fields)} FROM match_decision
            WHERE issuer_id = %s AND match_id = ANY(%s) ORDER BY match_id, decision_number""",
        (issuer_id, list(match_ids)),
    )
    for row in rows:
        found.setdefault(row[0], []).append(Decision._make(row))
    return found


def read_match(connection: Connection, issuer_id: str, match_id: str) -> Match | None:
    found = read_matches_by_id(connection, issuer_id, [match_id])
    return found[0] if found else None


def read_evidence(connection: Connection, issuer_id: str, item_id: str) -> Match | None:
    """Return the tie of one credit and its deposit, by either one's id."""
    statement_id, _, number = item_id.rpartition(".")
    found = (
        matches_found(
            connection,
            f"""SELECT {MATCH_COLUMNS} FROM bank_match
                WHERE issuer_id = %s AND statement_id = %s AND event_index IS NOT NULL AND bank_item_ids = %s""",
            (issuer_id, statement_id, [item_id]),
        )
        if statement_id and number
        else read_matches_by_id(connection, issuer_id, [with_prefix("match", item_id)])
    )
    return found[0] if found else None


def read_matches_by_id(connection: Connection, issuer_id: str, ids: Sequence[str]) -> list[Match]:
    return matches_found(
        connection,
        f"""SELECT {", ".join(f"m.{name}" for name in _MATCH_FIELDS)}
            FROM unnest(%s::text[]) AS w(id)
            CROSS JOIN LATERAL (SELECT * FROM bank_match WHERE issuer_id = %s AND id = w.id OFFSET 0) m
            ORDER BY m.id""",
        (sorted(set(ids)), issuer_id),
    )


def read_matches_in_state(
    connection: Connection, issuer_id: str, class_id: str, states: Sequence[str]
) -> Iterator[Match]:
    """Yield the class's matches that don't stand; not for `accepted`."""
    after = ("", "")
    while page := matches_found(
        connection,
        f"""SELECT {MATCH_COLUMNS} FROM bank_match
            WHERE issuer_id = %s AND token_class_id = %s AND state = ANY(%s) AND state <> 'accepted'
              AND (state, id) > (%s, %s)
            ORDER BY state, id LIMIT 5000""",
        (issuer_id, class_id, list(states), *after),
    ):
        yield from page
        after = page[-1].state, page[-1].id


def read_matches(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None,
    state: str | None,
    kind: str | None,
    statement_id: str | None,
    after: str,
    limit: int,
) -> list[Match]:
    conditions = ["issuer_id = %(issuer_id)s", "id > %(after)s"]
    if token_class_id is not None:
        conditions.append("token_class_id = %(token_class_id)s")
    if state is not None:
        # Else those that don't stand could not be looked up by themselves.
        conditions.append("state = %(state)s" + ("" if state == "accepted" else " AND state <> 'accepted'"))
    if kind is not None:
        conditions.append("kind = %(kind)s")
    if statement_id is not None:
        # One of entries of several statements names none.
        conditions.append(
            """(statement_id = %(statement_id)s OR (statement_id IS NULL AND EXISTS (
                SELECT 1 FROM unnest(bank_item_ids) AS i(id) WHERE starts_with(i.id, %(statement_id)s || '.'))))"""
        )
    return matches_found(
        connection,
        f"SELECT {MATCH_COLUMNS} FROM bank_match WHERE {' AND '.join(conditions)} ORDER BY id LIMIT %(limit)s",
        {
            "issuer_id": issuer_id,
            "after": after,
            "token_class_id": token_class_id,
            "state": state,
            "kind": kind,
            "statement_id": statement_id,
            "limit": limit,
        },
    )


def matches_found(connection: Connection, query: str, values: object) -> list[Match]:
    return [Match(*row) for row in connection.exec_driver_sql(query, values)]  # type: ignore[arg-type]


def _number(number: int | None) -> str:
    return NULL if number is None else str(number)
