"""`/v1/policies`: each token class's rules in versions. Other people let them into force."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import Connection

from tallystick import policy
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.bodies import Moment, ObjectId, Reason, Schema
from tallystick.api.changes import change_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.participants import Role
from tallystick.policy import Policy, PolicyDocument

__all__ = ["PolicyView", "router", "show_policy"]

router = APIRouter()

_OPERATOR: Final = frozenset({Role.OPERATOR})


class PolicyRequest(Schema):
    """A new version of a token class's rules. It decides nothing until other people have let it into force."""

    token_class_id: ObjectId
    effective_from: Moment | None = None
    document: PolicyDocument


class PolicySummaryView(View):
    """One version of a class's rules, without what they say."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    token_class_id: str
    version: int
    state: str
    effective_from: str
    active_from: str | None
    approved_at: str | None
    retired_at: str | None
    author_principal_id: str
    author: str | None
    approvals: list[str]
    content_hash: str


class PolicyView(PolicySummaryView):
    """One version of a class's rules, with nothing left to defaults."""

    document: dict[str, Any]


def _make(
    caller: Caller, connection: Connection, body: PolicyRequest, _path: Mapping[str, str]
) -> dict[str, Any]:
    made = policy.draft(
        connection,
        caller.service.clock,
        caller.principal,
        token_class_id=body.token_class_id,
        document=body.document,
        effective_from=body.effective_from,
    )
    return show_policy(made, made.created_at)


write_route(
    router,
    "/v1/policies",
    operation="policy",
    schema=PolicyRequest,
    view=PolicyView,
    roles=_OPERATOR,
    make=_make,
    summary="Draft a policy",
    tag="Policy",
)


class PolicyChangeRequest(Schema):
    """Let a version into force, or take it out of it, and say why."""

    reason: Reason


change_route(
    router,
    "/v1/policies/{policy_id}/activate",
    operation="policy_activation",
    schema=PolicyChangeRequest,
    roles=_OPERATOR,
    subject="policy_id",
    payload=lambda _body: {},
    summary="Ask for a version to be let into force",
    tag="Policies",
)
change_route(
    router,
    "/v1/policies/{policy_id}/retire",
    operation="policy_retirement",
    schema=PolicyChangeRequest,
    roles=_OPERATOR,
    subject="policy_id",
    payload=lambda _body: {},
    summary="Ask for a version to end",
    tag="Policies",
)


@router.get(
    "/v1/policies", tags=["Policy"], summary="List policies", response_model=ListView[PolicySummaryView]
)
def get_policies(
    caller: StaffCaller, token_class_id: IdQuery = None, cursor: Cursor = "", limit: Limit = 100
) -> Any:
    """Return versions in the order they were drafted. A class without one in force has the shipped rules."""
    now = caller.service.clock.now()
    with caller.read() as connection:
        found = policy.policies(
            connection, caller.issuer_id, token_class_id=token_class_id, after=cursor, limit=limit + 1
        )
    return page(found, limit, lambda one: _summary(one, now), lambda one: one.id)


@router.get("/v1/policies/{policy_id}", tags=["Policy"], summary="Get a policy", response_model=PolicyView)
def get_policy(caller: StaffCaller, policy_id: PathId) -> Any:
    """Return one version with its document."""
    with caller.read() as connection:
        found = policy.policy(connection, caller.issuer_id, policy_id)
    return show_policy(found, caller.service.clock.now())


def show_policy(found: Policy, at: datetime) -> dict[str, Any]:
    """Return a version as JSON, in its state at a moment."""
    return _summary(found, at) | {"document": found.document}


def _summary(found: Policy, at: datetime) -> dict[str, Any]:
    def moment(told: datetime | None) -> str | None:
        return None if told is None else format_time(told)

    return {
        "id": found.id,
        "object": "policy",
        "created_at": format_time(found.created_at),
        "issuer_id": found.issuer_id,
        "token_class_id": found.token_class_id,
        "version": found.version,
        "state": found.state_at(at),
        "effective_from": format_time(found.effective_from),
        "active_from": moment(found.active_from),
        "approved_at": moment(found.approved_at),
        "retired_at": moment(found.retired_at),
        "author_principal_id": found.author_principal_id,
        "author": found.author_person,
        "approvals": [vote_hash.hex() for vote_hash in found.approval_hashes],
        "content_hash": found.content_hash.hex(),
    }
