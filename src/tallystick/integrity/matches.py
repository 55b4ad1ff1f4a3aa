"""What matching keeps, made again: items and references from their sources, ties and states from matches and decisions.

Matches themselves are evidence, and sealed. How far a run came (`matching_progress`) proves nothing: what it would skip
is missed here.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from tallystick import matching, participants, payout_replies
from tallystick.core.canonical_json import canonical_json
from tallystick.core.clock import parse_time
from tallystick.core.money import format_amount
from tallystick.integrity import store
from tallystick.integrity.comparing import Expectation
from tallystick.integrity.records import NO_ROW, ROW, WHOLE_ROW, Finding
from tallystick.ledger import Code
from tallystick.matching import Again, Item

__all__ = ["MATCHES", "items", "terms"]

_TIED: Final = Expectation(
    "match_item",
    ("id",),
    ("match_id",),
    """
    SELECT i.id, a.match_id FROM match_item i LEFT JOIN accepted a ON a.item_id = i.id
    WHERE i.issuer_id = :issuer_id
    """,
    given="""
    accepted AS (
        SELECT item_id, max(m.id) AS match_id
        FROM bank_match m CROSS JOIN LATERAL unnest(m.bank_item_ids || m.book_item_ids) AS item_id
        WHERE m.issuer_id = :issuer_id AND m.state = 'accepted' GROUP BY 1
    )
    """,
)
# What the service ties by itself stands from the beginning; a difference takes two people.
_STATES: Final = Expectation(
    "bank_match",
    ("id",),
    ("state",),
    """
    SELECT m.id,
           CASE WHEN n.decision IS NULL
                THEN CASE WHEN m.confidence = 'exact' OR m.state = 'accepted' AND m.confidence = 'strong'
                          THEN 'accepted' ELSE 'proposed' END
                WHEN n.decision <> 'accepted' THEN n.decision
                WHEN m.difference_minor <> 0 AND n.accepted_count = 1 THEN 'pending_approval'
                ELSE 'accepted' END AS state
    FROM bank_match m LEFT JOIN newest n ON n.match_id = m.id
    WHERE m.issuer_id = :issuer_id
    """,
    given="""
    newest AS (
        SELECT DISTINCT ON (match_id) match_id, decision,
               count(*) FILTER (WHERE decision = 'accepted') OVER (PARTITION BY match_id) AS accepted_count
        FROM match_decision WHERE issuer_id = :issuer_id ORDER BY match_id, decision_number DESC
    )
    """,
)
MATCHES: Final = (_TIED, _STATES)


def items(connection: Connection, issuer_id: str) -> Iterator[Finding]:
    """Yield each item that is not what its source makes it, with its references; and what is neither kept nor tied."""
    for again in matching.items_again(connection, issuer_id, payout_replies.expected_again):
        if again.kept is None:
            if not store.is_evidence(connection, issuer_id, again.id):
                yield Finding("match_item", again.id, WHOLE_ROW, ROW, NO_ROW)
        elif again.due is None:
            yield Finding("match_item", again.id, WHOLE_ROW, NO_ROW, ROW)
        else:
            yield from _differing(again, again.kept, again.due)
        due = again.due_references if again.kept is not None else frozenset()
        for reference in sorted(due ^ again.kept_references):
            told = (ROW, NO_ROW) if reference in due else (NO_ROW, ROW)
            yield Finding("match_reference", f"{reference}/{again.id}", WHOLE_ROW, *told)
    for index in store.movements_not_taken_in(connection, issuer_id, Code.DEPOSITS_AT_CORE):
        yield Finding("match_item", f"of event {index}", WHOLE_ROW, ROW, NO_ROW)
    stray = store.stray_references(connection, issuer_id)
    # What is expected at the bank and was not booked yet is known to be missing by the references that it left.
    ids = sorted({item_id for _, _, item_id in stray})
    expected = payout_replies.expected_again(connection, issuer_id, ids).keys()
    gone = expected - matching.items(connection, issuer_id, ids).keys()
    for item_id in sorted(gone):
        yield Finding("match_item", item_id, WHOLE_ROW, ROW, NO_ROW)
    for class_id, reference, item_id in stray:
        if item_id not in gone:
            yield Finding("match_reference", f"{class_id}/{reference}/{item_id}", WHOLE_ROW, NO_ROW, ROW)


def _differing(again: Again, kept: Item, due: Item) -> Iterator[Finding]:
    for column, wanted, found in zip(Item._fields, due, kept, strict=True):
        if column != "match_id" and wanted != found:
            yield Finding("match_item", again.id, column, str(wanted), str(found))


def terms(connection: Connection, issuer_id: str) -> Iterator[Finding]:
    """Hold each class's terms against the change that set them last, whose event has their hash."""
    signed = {
        payload["subject_id"]: (index, payload)
        for index, payload in store.payloads(connection, issuer_id, ["token_class.matching_terms_changed"])
    }
    for class_id, row in store.matching_terms(connection, issuer_id).items():
        if class_id not in signed:
            yield Finding("matching_terms", class_id, WHOLE_ROW, NO_ROW, ROW)
            continue
        index, payload = signed.pop(class_id)
        of_class = participants.token_class(connection, issuer_id, class_id)
        digest = hashlib.sha256(canonical_json(_told(row, of_class.scale))).hexdigest()
        for column, wanted, found in (
            ("event_index", index, row.event_index),
            ("changed_at", parse_time(payload["booked_at"]), row.changed_at),
            (WHOLE_ROW, payload["payload_hash"], digest),
        ):
            if wanted != found:
                yield Finding("matching_terms", class_id, column, str(wanted), str(found))
    for class_id in sorted(signed):
        yield Finding("matching_terms", class_id, WHOLE_ROW, ROW, NO_ROW)


def _told(row: store.MatchingTerms, scale: int) -> dict[str, str | int]:
    return {
        "automatic_from": row.automatic_from,
        "days_max": row.days_max,
        "tolerance": format_amount(row.tolerance_minor, scale),
    }
