"""Keeping matches: written with the items that they tie, and given up again, behind the class's progress."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson
from sqlalchemy import Connection

from tallystick.core.errors import InvariantError
from tallystick.core.ids import new_id
from tallystick.matching import store
from tallystick.matching.records import Decision, Draft, Item, ItemKind, Match, MatchState

__all__ = ["decide", "give_up", "give_up_sharing", "keep", "match_of", "release"]


def match_of(
    issuer_id: str,
    token_class_id: str,
    draft: Draft,
    state: MatchState,
    at: datetime,
    *,
    made_by: str | None = None,
) -> Match:
    """Return a draft as the match that is to be kept."""
    return Match(
        issuer_id=issuer_id,
        id=new_id("match"),
        token_class_id=token_class_id,
        kind=kind_of(draft.books),
        rule=draft.rule.value,
        confidence=draft.confidence.value,
        state=state.value,
        bank_item_ids=[one.id for one in draft.bank],
        book_item_ids=[one.id for one in draft.books],
        bank_minor=draft.bank_minor,
        difference_minor=draft.difference_minor,
        statement_id=_statement_of([one.id for one in draft.bank if one.kind == ItemKind.ENTRY]),
        event_index=None,
        compared=orjson.dumps(draft.compared).decode(),
        made_by=made_by,
        made_at=at,
    )


def kind_of(books: Sequence[Item]) -> str:
    """Return what kind a match is of: that of its books' items."""
    kinds = {one.kind for one in books}
    return str(kinds.pop()) if len(kinds) == 1 else "mixed" if kinds else "reversal"


def _statement_of(entry_ids: Sequence[str]) -> str | None:
    found = {one.rpartition(".")[0] for one in entry_ids}
    return found.pop() if len(found) == 1 else None


def keep(connection: Connection, matches: Sequence[Match]) -> None:
    """Write matches; those that are accepted stand for their items from now on."""
    if not matches:
        return
    store.add_matches(connection, matches)
    ties = [
        (item_id, one.id)
        for one in matches
        if one.state == MatchState.ACCEPTED
        for item_id in (*one.bank_item_ids, *one.book_item_ids)
    ]
    if ties and store.tie_items(connection, matches[0].issuer_id, ties) != len(ties):
        raise InvariantError("an item of a match was tied behind the class's lock")


def decide(
    connection: Connection,
    of: Match,
    state: MatchState,
    at: datetime,
    *,
    decision: str,
    decided_by: str | None = None,
    person: str | None = None,
    reason: str | None = None,
) -> None:
    """Write a decision about a match, and the state that it leaves the match in."""
    before = store.read_decisions(connection, of.issuer_id, [of.id]).get(of.id, [])
    store.add_decision(
        connection,
        of.issuer_id,
        Decision(of.id, len(before) + 1, decision, decided_by, person, reason, at),
    )
    if state != of.state:
        store.set_state(connection, of.issuer_id, of.id, state.value)


def release(connection: Connection, of: Match) -> None:
    """Let a match stand for its items no more."""
    store.free_items(connection, of.issuer_id, of.id, [*of.bank_item_ids, *of.book_item_ids])


def give_up(connection: Connection, matches: Iterable[Match], at: datetime, reason: str) -> list[str]:
    """Give up matches of the service's own making, and return the items that are open again."""
    freed: list[str] = []
    for one in matches:
        release(connection, one)
        decide(connection, one, MatchState.SUPERSEDED, at, decision="superseded", reason=reason)
        freed += [*one.bank_item_ids, *one.book_item_ids]
    return freed


def give_up_sharing(
    connection: Connection, issuer_id: str, class_id: str, item_ids: Sequence[str], at: datetime
) -> None:
    """Give up what the service matched that hangs together by references with new items: all of it is decided anew."""
    fresh = list(item_ids)
    while fresh and (ids := store.read_matches_sharing(connection, issuer_id, class_id, fresh)):
        found = store.read_matches_by_id(connection, issuer_id, ids)
        fresh = give_up(connection, found, at, "An item with a reference of these came to be known.")
