"""Matching: which of the bank's entries and which of the books' instructions are one thing, and why.

Nothing is confirmed, posted or adjusted here. Deposits are confirmed by imports and by people; a match says what of the
bank's bears out what of the books.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from tallystick.matching import store
from tallystick.matching.deciding import (
    MatchDifferenceError,
    MatchDifferenceMismatchError,
    MatchIsEvidenceError,
    MatchItemNotFoundError,
    MatchItemTakenError,
    MatchNotAllowedError,
    MatchSidesMalformedError,
    MatchStateConflictError,
    SameDeciderError,
    accept,
    propose,
    reject,
    undo,
)
from tallystick.matching.expecting import Expected, expect
from tallystick.matching.explaining import explanation, values_compared
from tallystick.matching.made_again import Again, items_again
from tallystick.matching.open_items import OpenItem, OpenItems, open_items
from tallystick.matching.records import (
    DEFAULT_TERMS,
    Confidence,
    Decision,
    Item,
    ItemKind,
    Match,
    MatchNotFoundError,
    MatchState,
    Rule,
    Side,
    Terms,
)
from tallystick.matching.running import Run, match_class, match_in_parts, terms_of

__all__ = [
    "DEFAULT_TERMS",
    "Again",
    "Confidence",
    "Decision",
    "Expected",
    "Item",
    "ItemKind",
    "Match",
    "MatchDifferenceError",
    "MatchDifferenceMismatchError",
    "MatchIsEvidenceError",
    "MatchItemNotFoundError",
    "MatchItemTakenError",
    "MatchNotAllowedError",
    "MatchNotFoundError",
    "MatchSidesMalformedError",
    "MatchState",
    "MatchStateConflictError",
    "OpenItem",
    "OpenItems",
    "Rule",
    "Run",
    "SameDeciderError",
    "Side",
    "Terms",
    "accept",
    "decisions",
    "expect",
    "explanation",
    "items",
    "items_again",
    "match",
    "match_class",
    "match_in_parts",
    "match_of_item",
    "matches",
    "open_items",
    "present_open_items",
    "propose",
    "reject",
    "terms_of",
    "undo",
    "values_compared",
]


def match(connection: Connection, issuer_id: str, match_id: str) -> Match:
    """Return one match or raise MatchNotFoundError."""
    found = store.read_match(connection, issuer_id, match_id)
    if found is None:
        raise MatchNotFoundError
    return found


def matches(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    statement_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Match]:
    """Return a page of matches in the order of their ids."""
    return store.read_matches(
        connection,
        issuer_id,
        token_class_id=token_class_id,
        state=state,
        kind=kind,
        statement_id=statement_id,
        after=after,
        limit=limit,
    )


def match_of_item(connection: Connection, issuer_id: str, item_id: str) -> Match | None:
    """Return the match that stands for an item: a statement's entry, a hold's figure, or an instruction; or None."""
    item = store.read_items(connection, issuer_id, [item_id]).get(item_id)
    if item is not None:
        return None if item.match_id is None else store.read_match(connection, issuer_id, item.match_id)
    return store.read_evidence(connection, issuer_id, item_id)


def decisions(connection: Connection, issuer_id: str, match_id: str) -> list[Decision]:
    """Return what was decided about a match, in order; nothing for one that stands since it was made."""
    return store.read_decisions(connection, issuer_id, [match_id]).get(match_id, [])


def items(connection: Connection, issuer_id: str, ids: Sequence[str]) -> dict[str, Item]:
    """Return items by id. What evidence tied to one credit is none."""
    return store.read_items(connection, issuer_id, ids)


def present_open_items(
    connection: Connection,
    issuer_id: str,
    token_class_id: str,
    side: Side,
    *,
    after: str = "",
    limit: int = 100,
) -> list[Item]:
    """Return a page of what no match stands for now, in the order of ids; of the books also what is only expected."""
    return store.read_open_items(connection, issuer_id, token_class_id, side, after, limit)
