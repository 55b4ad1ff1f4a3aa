"""What people decide about matches: they propose, accept, reject and undo. No money moves by it.

Where the two sides differ, within what the class tolerates, it takes two people, and each types the difference.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.core.errors import ConflictError, DeniedError, MalformedError, NotFoundError
from tallystick.core.money import parse_amount
from tallystick.matching import store
from tallystick.matching.keeping import decide, keep, match_of, release
from tallystick.matching.records import (
    Confidence,
    Draft,
    Item,
    Match,
    MatchNotFoundError,
    MatchState,
    Rule,
    Side,
)
from tallystick.matching.rules import in_order
from tallystick.matching.running import terms_of
from tallystick.participants import Principal, Role

__all__ = [
    "MatchDifferenceError",
    "MatchDifferenceMismatchError",
    "MatchIsEvidenceError",
    "MatchItemNotFoundError",
    "MatchItemTakenError",
    "MatchNotAllowedError",
    "MatchSidesMalformedError",
    "MatchStateConflictError",
    "SameDeciderError",
    "accept",
    "propose",
    "reject",
    "undo",
]


class MatchNotAllowedError(DeniedError):
    """Only the issuer's own people decide what belongs together."""

    code = "match_not_allowed"
    title = "Not allowed to decide about matches"


class SameDeciderError(DeniedError):
    """It takes two people, and this is the one who has accepted it."""

    code = "match_same_decider"
    title = "Another person has to accept this match"


class MatchItemNotFoundError(NotFoundError):
    """No such item: unknown, tied by evidence, or not taken in yet."""

    code = "match_item_not_found"
    title = "No such item"


class MatchItemTakenError(ConflictError):
    """Another match stands for the item; `match_id` names it."""

    code = "match_item_taken"
    title = "Another match stands for an item"


class MatchSidesMalformedError(MalformedError):
    """Items of several token classes, one item twice, or one side alone that does not cancel itself."""

    code = "match_sides_malformed"
    title = "These items are no two sides"


class MatchStateConflictError(ConflictError):
    """The match is in another state; `state` names it."""

    code = "match_state_conflict"
    title = "The match is in another state"


class MatchIsEvidenceError(ConflictError):
    """The deposit's signed event names the entry, or the import linked them: nobody takes that back."""

    code = "match_is_evidence"
    title = "The match is the deposit's own evidence"


class MatchDifferenceError(ConflictError):
    """The two sides differ by more than the class tolerates."""

    code = "match_difference_exceeds_tolerance"
    title = "The two sides differ by more than the class tolerates"


class MatchDifferenceMismatchError(MalformedError):
    """The difference was not typed, or another one was."""

    code = "match_difference_mismatch"
    title = "The difference that was typed is not the match's"


def propose(
    connection: Connection,
    clock: Clock,
    actor: Principal,
    *,
    bank_item_ids: Sequence[str],
    book_item_ids: Sequence[str],
    reason: str,
) -> Match:
    """Propose that items belong together and return the match; the caller commits.

    Raises MatchNotAllowedError, MatchItemNotFoundError, MatchSidesMalformedError, MatchItemTakenError.
    """
    _refuse_others(actor)
    ids = [*bank_item_ids, *book_item_ids]
    found = store.read_items(connection, actor.issuer_id, ids)
    if not found:
        raise MatchItemNotFoundError
    class_ids = {one.token_class_id for one in found.values()}
    if len(class_ids) > 1 or len(set(ids)) < len(ids):
        raise MatchSidesMalformedError
    class_id = class_ids.pop()
    store.lock_progress(connection, actor.issuer_id, class_id)
    found = store.read_items(connection, actor.issuer_id, ids)
    draft = Draft(
        Rule.PERSON,
        Confidence.PERSON,
        tuple(in_order(_of_side(found, bank_item_ids, Side.BANK))),
        tuple(in_order(_of_side(found, book_item_ids, Side.BOOKS))),
        {},
    )
    one_sided = not draft.bank or not draft.books
    if len(ids) < 2 or (one_sided and draft.difference_minor != 0):
        raise MatchSidesMalformedError
    _refuse_taken(found.values())
    at = clock.now()
    made = match_of(actor.issuer_id, class_id, draft, MatchState.PROPOSED, at, made_by=actor.id)
    keep(connection, [made])
    decide(
        connection,
        made,
        MatchState.PROPOSED,
        at,
        decision="proposed",
        decided_by=actor.id,
        person=actor.person,
        reason=reason,
    )
    return made


def accept(
    connection: Connection,
    clock: Clock,
    actor: Principal,
    match_id: str,
    *,
    difference: str | None = None,
    reason: str | None = None,
) -> Match:
    """Accept a match that waits, and return it; the caller commits.

    `difference` is a decimal string of the class's scale without a sign, and is left out where there is none. A match
    with a difference stands once a second person has accepted it too. Raises MatchNotAllowedError,
    MatchNotFoundError, MatchStateConflictError, MatchItemTakenError, MatchDifferenceError,
    MatchDifferenceMismatchError, SameDeciderError.
    """
    found = _locked(connection, actor, match_id)
    if found.state not in (MatchState.PROPOSED, MatchState.PENDING_APPROVAL):
        raise MatchStateConflictError(state=found.state)
    second = found.state == MatchState.PENDING_APPROVAL
    if not second and Role.TREASURY_MAKER not in actor.roles:
        raise MatchNotAllowedError("The first to accept is a treasury maker.")
    items = store.read_items(
        connection, actor.issuer_id, [*found.bank_item_ids, *found.book_item_ids]
    ).values()
    _refuse_taken(items)
    bank_minor = sum(one.amount_minor for one in items if one.side == Side.BANK)
    if bank_minor != found.bank_minor:
        raise MatchStateConflictError("An item changed since it was proposed.", state=found.state)
    _check_difference(connection, found, difference)
    if second:
        _refuse_same_person(connection, actor, found)
    waits = found.difference_minor != 0 and not second
    state = MatchState.PENDING_APPROVAL if waits else MatchState.ACCEPTED
    decide(
        connection,
        found,
        state,
        clock.now(),
        decision="accepted",
        decided_by=actor.id,
        person=actor.person,
        reason=reason,
    )
    if state is MatchState.ACCEPTED:
        store.tie_items(connection, actor.issuer_id, [(one.id, found.id) for one in items])
    return replace(found, state=state.value)


def reject(connection: Connection, clock: Clock, actor: Principal, match_id: str, reason: str) -> Match:
    """Reject a match that waits, so that it is never suggested again; the caller commits.

    Raises MatchNotAllowedError, MatchNotFoundError, MatchStateConflictError.
    """
    found = _locked(connection, actor, match_id)
    if found.state not in (MatchState.PROPOSED, MatchState.PENDING_APPROVAL):
        raise MatchStateConflictError(state=found.state)
    return _end(connection, clock, actor, found, MatchState.REJECTED, reason)


def undo(connection: Connection, clock: Clock, actor: Principal, match_id: str, reason: str) -> Match:
    """Undo a match that stands: its items are open again, and the service never ties just them again.

    The caller commits. Raises MatchNotAllowedError, MatchNotFoundError, MatchStateConflictError, MatchIsEvidenceError.
    """
    found = _locked(connection, actor, match_id)
    if found.state != MatchState.ACCEPTED:
        raise MatchStateConflictError(state=found.state)
    if found.rule == Rule.EVIDENCE:
        raise MatchIsEvidenceError
    release(connection, found)
    return _end(connection, clock, actor, found, MatchState.UNDONE, reason)


def _end(
    connection: Connection, clock: Clock, actor: Principal, found: Match, state: MatchState, reason: str
) -> Match:
    decide(
        connection,
        found,
        state,
        clock.now(),
        decision=state.value,
        decided_by=actor.id,
        person=actor.person,
        reason=reason,
    )
    return replace(found, state=state.value)


def _refuse_others(actor: Principal) -> None:
    if not actor.sees_whole_issuer or actor.person is None:
        raise MatchNotAllowedError


def _locked(connection: Connection, actor: Principal, match_id: str) -> Match:
    """Return the match as it stands behind whoever matches or decides in its class."""
    _refuse_others(actor)
    found = store.read_match(connection, actor.issuer_id, match_id)
    if found is None:
        raise MatchNotFoundError
    store.lock_progress(connection, actor.issuer_id, found.token_class_id)
    again = store.read_match(connection, actor.issuer_id, match_id)
    assert again is not None, "matches are never deleted"
    return again


def _of_side(found: dict[str, Item], ids: Sequence[str], side: Side) -> list[Item]:
    if any(one not in found or found[one].side != side for one in ids):
        raise MatchItemNotFoundError(side=side.value)
    return [found[one] for one in ids]


def _refuse_taken(items: Iterable[Item]) -> None:
    for one in items:
        if one.match_id is not None:
            raise MatchItemTakenError(match_id=one.match_id)


def _check_difference(connection: Connection, found: Match, typed: str | None) -> None:
    terms = terms_of(connection, found.issuer_id, found.token_class_id)
    difference_minor = abs(found.difference_minor)
    if difference_minor > terms.tolerance_minor:
        raise MatchDifferenceError
    of_class = participants.token_class(connection, found.issuer_id, found.token_class_id)
    typed_minor = 0 if typed is None else parse_amount(typed, of_class.scale)
    if typed_minor != difference_minor:
        raise MatchDifferenceMismatchError


def _refuse_same_person(connection: Connection, actor: Principal, found: Match) -> None:
    decisions = store.read_decisions(connection, found.issuer_id, [found.id]).get(found.id, [])
    accepted = {one.person for one in decisions if one.decision == "accepted"}
    if actor.person in accepted:
        raise SameDeciderError
