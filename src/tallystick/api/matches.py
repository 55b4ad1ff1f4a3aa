"""`/v1/matches`: which of the bank's entries bear out what of the books, why, and what people decide about it."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from tallystick import matching, participants
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.bodies import Amount, Reason, Schema
from tallystick.api.changes import change_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.matching import Decision, Match, Terms
from tallystick.participants import Role

__all__ = ["router"]

router = APIRouter()

_MAKER: Final = frozenset({Role.TREASURY_MAKER})
_EITHER: Final = frozenset({Role.TREASURY_MAKER, Role.TREASURY_CHECKER})
_TAG: Final = "Matches"
#: An entry's id is its statement's, a point and its number.
ItemId = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[a-z_]{2,24}_[0-9a-z]{26}(\.[0-9]{1,18})?$")
]
ItemIds = Annotated[list[ItemId], Field(max_length=100)]
MatchStateName = Literal["proposed", "pending_approval", "accepted", "rejected", "undone", "superseded"]


class MatchRequest(Schema):
    """Items that belong together: the bank's entries or holds, and the books' instructions.

    One side may be empty if the other cancels itself, such as an entry and its reversal.
    """

    bank_item_ids: ItemIds
    book_item_ids: ItemIds
    reason: Reason


class MatchAcceptance(Schema):
    """Accept a match. Where the two sides differ, type by how much: it takes two people then."""

    difference: Amount | None = None
    reason: Reason | None = None


class MatchRefusal(Schema):
    """Say why the items don't belong together."""

    reason: Reason


class MatchingTermsRequest(Schema):
    """How a token class is matched: what may differ, by how many days, and what stands without a person."""

    tolerance: Amount
    days_max: Annotated[int, Field(ge=0, le=31)]
    automatic_from: Literal["exact", "strong"]
    reason: Reason


class MatchingTermsView(View):
    """How a token class is matched."""

    id: str
    object: str
    tolerance: str
    currency: str
    days_max: int
    automatic_from: Literal["exact", "strong"]


class MatchDecisionView(View):
    """What was decided about a match; `decided_by` is null for the service."""

    decision: str
    decided_by: str | None
    person: str | None
    reason: str | None
    decided_at: str


class MatchView(View):
    """A match: the items of both sides, the rule that ties them, how sure it is, and the values it compared.

    `kind` is that of the books' items: `deposit`, `deposit_release`, `redemption`, `payout`, `fee`, `other`, `mixed`;
    `reversal` if the bank's items cancel each other. `bank_amount` is negative for what went out; `difference` is the
    bank's amount less the books'.
    """

    id: str
    object: str
    created_at: str
    issuer_id: str
    token_class_id: str
    state: MatchStateName
    kind: str
    rule: str
    confidence: Literal["exact", "strong", "fair", "weak", "person"]
    why: str
    compared: dict[str, Any]
    bank_item_ids: list[str]
    book_item_ids: list[str]
    bank_amount: str
    difference: str
    currency: str
    made_by: str | None


class MatchDetailView(MatchView):
    """A match with what was decided about it, in order."""

    decisions: list[MatchDecisionView]


def _propose(
    caller: Caller, connection: Connection, body: MatchRequest, _scope: Mapping[str, str]
) -> dict[str, Any]:
    made = matching.propose(
        connection,
        caller.service.clock,
        caller.principal,
        bank_item_ids=body.bank_item_ids,
        book_item_ids=body.book_item_ids,
        reason=body.reason,
    )
    return _show_detail(connection, made)


def _accept(
    caller: Caller, connection: Connection, body: MatchAcceptance, scope: Mapping[str, str]
) -> dict[str, Any]:
    return _show_detail(
        connection,
        matching.accept(
            connection,
            caller.service.clock,
            caller.principal,
            scope["match_id"],
            difference=body.difference,
            reason=body.reason,
        ),
    )


def _reject(
    caller: Caller, connection: Connection, body: MatchRefusal, scope: Mapping[str, str]
) -> dict[str, Any]:
    clock, actor = caller.service.clock, caller.principal
    return _show_detail(connection, matching.reject(connection, clock, actor, scope["match_id"], body.reason))


def _undo(
    caller: Caller, connection: Connection, body: MatchRefusal, scope: Mapping[str, str]
) -> dict[str, Any]:
    clock, actor = caller.service.clock, caller.principal
    return _show_detail(connection, matching.undo(connection, clock, actor, scope["match_id"], body.reason))


write_route(
    router,
    "/v1/matches",
    operation="match_proposal",
    schema=MatchRequest,
    view=MatchDetailView,
    roles=_MAKER,
    make=_propose,
    summary="Propose a match",
    tag=_TAG,
)
write_route(
    router,
    "/v1/matches/{match_id}/accept",
    operation="match_acceptance",
    schema=MatchAcceptance,
    view=MatchDetailView,
    roles=_EITHER,
    make=_accept,
    summary="Accept a match",
    tag=_TAG,
)
write_route(
    router,
    "/v1/matches/{match_id}/reject",
    operation="match_rejection",
    schema=MatchRefusal,
    view=MatchDetailView,
    roles=_EITHER,
    make=_reject,
    summary="Reject a match",
    tag=_TAG,
)
write_route(
    router,
    "/v1/matches/{match_id}/undo",
    operation="match_undoing",
    schema=MatchRefusal,
    view=MatchDetailView,
    roles=_MAKER,
    make=_undo,
    summary="Undo a match",
    tag=_TAG,
)
change_route(
    router,
    "/v1/token-classes/{token_class_id}/matching-terms",
    operation="matching_terms",
    schema=MatchingTermsRequest,
    roles=frozenset({Role.OPERATOR}),
    subject="token_class_id",
    payload=lambda body: {
        "tolerance": body.tolerance,
        "days_max": body.days_max,
        "automatic_from": body.automatic_from,
    },
    summary="Ask to change how a token class is matched",
    tag=_TAG,
)


@router.get(
    "/v1/token-classes/{token_class_id}/matching-terms",
    tags=[_TAG],
    summary="Get how a token class is matched",
    response_model=MatchingTermsView,
)
def get_matching_terms(caller: StaffCaller, token_class_id: PathId) -> Any:
    """Return the terms in force: those that every class begins with, or the last ones that two people agreed on."""
    with caller.read() as connection:
        of_class = participants.token_class(connection, caller.issuer_id, token_class_id)
        terms: Terms = matching.terms_of(connection, caller.issuer_id, of_class.id)
    return {
        "id": of_class.id,
        "object": "matching_terms",
        "tolerance": format_amount(terms.tolerance_minor, of_class.scale),
        "currency": of_class.currency,
        "days_max": terms.days_max,
        "automatic_from": terms.automatic_from.value,
    }


@router.get("/v1/matches", tags=[_TAG], summary="List matches", response_model=ListView[MatchView])
def get_matches(  # noqa: PLR0917 FastAPI passes them by name.
    caller: StaffCaller,
    token_class_id: IdQuery = None,
    state: Annotated[MatchStateName | None, Query()] = None,
    kind: Annotated[str | None, Query(pattern="^[a-z_]{1,24}$")] = None,
    statement_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return matches in the order of their ids; `state=proposed` and `pending_approval` are what waits for people."""
    with caller.read() as connection:
        found = matching.matches(
            connection,
            caller.issuer_id,
            token_class_id=token_class_id,
            state=state,
            kind=kind,
            statement_id=statement_id,
            after=cursor,
            limit=limit + 1,
        )
        classes = {
            one: participants.token_class(connection, caller.issuer_id, one)
            for one in {match.token_class_id for match in found}
        }
    return page(
        found,
        limit,
        lambda one: _show(one, classes[one.token_class_id].currency, classes[one.token_class_id].scale),
        lambda one: one.id,
    )


@router.get("/v1/matches/{match_id}", tags=[_TAG], summary="Get a match", response_model=MatchDetailView)
def get_match(caller: StaffCaller, match_id: PathId) -> Any:
    """Return one match with what was decided about it."""
    with caller.read() as connection:
        return _show_detail(connection, matching.match(connection, caller.issuer_id, match_id))


def _show_detail(connection: Connection, of: Match) -> dict[str, Any]:
    of_class = participants.token_class(connection, of.issuer_id, of.token_class_id)
    made = matching.decisions(connection, of.issuer_id, of.id)
    return {
        **_show(of, of_class.currency, of_class.scale),
        "decisions": [_show_decision(one) for one in made],
    }


def _show(of: Match, currency: str, scale: int) -> dict[str, Any]:
    return {
        "id": of.id,
        "object": "match",
        "created_at": format_time(of.made_at),
        "issuer_id": of.issuer_id,
        "token_class_id": of.token_class_id,
        "state": of.state,
        "kind": of.kind,
        "rule": of.rule,
        "confidence": of.confidence,
        "why": matching.explanation(of),
        "compared": matching.values_compared(of),
        "bank_item_ids": list(of.bank_item_ids),
        "book_item_ids": list(of.book_item_ids),
        "bank_amount": format_amount(of.bank_minor, scale),
        "difference": format_amount(of.difference_minor, scale),
        "currency": currency,
        "made_by": of.made_by,
    }


def _show_decision(one: Decision) -> dict[str, Any]:
    return {
        "decision": one.decision,
        "decided_by": one.decided_by,
        "person": one.person,
        "reason": one.reason,
        "decided_at": format_time(one.decided_at),
    }
