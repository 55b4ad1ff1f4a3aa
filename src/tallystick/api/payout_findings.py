"""`/v1/payout-findings`: what the bank said of payouts that contradicts, who looks into it, and how it ended."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import StringConstraints
from sqlalchemy import Connection

from tallystick import payout_replies, payouts
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.bodies import ObjectId, Schema
from tallystick.api.pages import Cursor, IdQuery, Limit, NumberCursor, PathId, page
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import format_time
from tallystick.payout_replies import WORKERS
from tallystick.payouts import Finding, FindingAction, FindingState

__all__ = ["router"]

router = APIRouter()

_TAG: Final = "Payout findings"
_ACTIONS_SHOWN_MAX: Final = 100
_STATES: Final = "^(open|assigned|resolved)$"

Note = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


class PayoutFindingAssignmentRequest(Schema):
    """Give a finding to somebody of the staff, in place of whoever had it."""

    owner_id: ObjectId
    note: Note | None = None


class PayoutFindingNoteRequest(Schema):
    """Add a note to a finding."""

    note: Note


class PayoutFindingResolutionRequest(Schema):
    """Say how a finding ended; name the settled instruction that corrects it, if one does."""

    note: Note
    instruction_id: ObjectId | None = None


class PayoutFindingView(View):
    """What the bank said that contradicts the books, or itself: nothing was done about it. `source_id` said it.

    `corrected_by` is the instruction that was named when it was resolved, if one was.
    """

    id: str
    object: str
    created_at: str
    issuer_id: str
    kind: str
    state: str
    payout_id: str | None
    source_id: str
    subject: str
    detail: str
    owner_id: str | None
    corrected_by: str | None
    ended_at: str | None


class PayoutFindingActionView(View):
    """Something that was done about a finding. `subject_id` names the owner or the instruction that it is about."""

    object: str
    finding_id: str
    action_number: int
    kind: str
    principal_id: str
    note: str | None
    subject_id: str | None
    done_at: str


class PayoutFindingWithHistoryView(PayoutFindingView):
    """A finding with the first hundred things that were done about it; all are under `/actions`."""

    actions: list[PayoutFindingActionView]
    has_more_actions: bool


def _assign(caller: Caller, connection: Connection, body: Any, path: Mapping[str, str]) -> dict[str, Any]:
    clock, finding_id = caller.service.clock, path["finding_id"]
    return _show(
        payout_replies.assign_finding(
            connection, clock, caller.principal, finding_id, body.owner_id, note=body.note
        )
    )


def _note(caller: Caller, connection: Connection, body: Any, path: Mapping[str, str]) -> dict[str, Any]:
    clock, finding_id = caller.service.clock, path["finding_id"]
    return _show(payout_replies.note_finding(connection, clock, caller.principal, finding_id, body.note))


def _resolve(caller: Caller, connection: Connection, body: Any, path: Mapping[str, str]) -> dict[str, Any]:
    clock, finding_id = caller.service.clock, path["finding_id"]
    return _show(
        payout_replies.resolve_finding(
            connection, clock, caller.principal, finding_id, body.note, instruction_id=body.instruction_id
        )
    )


for _action, _schema, _make, _summary in (
    ("assign", PayoutFindingAssignmentRequest, _assign, "Give a finding an owner"),
    ("notes", PayoutFindingNoteRequest, _note, "Add a note to a finding"),
    ("resolve", PayoutFindingResolutionRequest, _resolve, "Say how a finding ended"),
):
    write_route(
        router,
        f"/v1/payout-findings/{{finding_id}}/{_action}",
        operation=f"payout_finding_{_action}",
        schema=_schema,
        view=PayoutFindingView,
        roles=WORKERS,
        make=_make,
        summary=_summary,
        tag=_TAG,
        status=200,
    )


@router.get(
    "/v1/payout-findings",
    tags=[_TAG],
    summary="List what contradicts",
    response_model=ListView[PayoutFindingView],
)
def get_payout_findings(
    caller: StaffCaller,
    state: Annotated[str | None, Query(pattern=_STATES)] = None,
    owner_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return what was left to people, oldest first; `state=open` is what nobody has taken up."""
    with caller.read() as connection:
        found = payouts.findings(
            connection,
            caller.issuer_id,
            states=None if state is None else [FindingState(state)],
            owner_id=owner_id,
            after=cursor,
            limit=limit + 1,
        )
    return page(found, limit, _show, lambda one: one.id)


@router.get(
    "/v1/payout-findings/{finding_id}",
    tags=[_TAG],
    summary="Get a finding",
    response_model=PayoutFindingWithHistoryView,
)
def get_payout_finding(caller: StaffCaller, finding_id: PathId) -> Any:
    """Return one finding with what was done about it."""
    with caller.read() as connection:
        found = payouts.finding(connection, caller.issuer_id, finding_id)
        actions = payouts.finding_actions(
            connection, caller.issuer_id, found.id, limit=_ACTIONS_SHOWN_MAX + 1
        )
    return {
        **_show(found),
        "actions": [_show_action(one) for one in actions[:_ACTIONS_SHOWN_MAX]],
        "has_more_actions": len(actions) > _ACTIONS_SHOWN_MAX,
    }


@router.get(
    "/v1/payout-findings/{finding_id}/actions",
    tags=[_TAG],
    summary="List what was done about a finding",
    response_model=ListView[PayoutFindingActionView],
)
def get_payout_finding_actions(
    caller: StaffCaller, finding_id: PathId, cursor: NumberCursor = 0, limit: Limit = 100
) -> Any:
    """Return what people did, oldest first."""
    with caller.read() as connection:
        of = payouts.finding(connection, caller.issuer_id, finding_id)
        found = payouts.finding_actions(connection, caller.issuer_id, of.id, after=cursor, limit=limit + 1)
    return page(found, limit, _show_action, lambda one: str(one.action_number))


def _show(one: Finding) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "payout_finding",
        "created_at": format_time(one.found_at),
        "issuer_id": one.issuer_id,
        "kind": one.kind,
        "state": one.state.value,
        "payout_id": one.payout_id,
        "source_id": one.source_id,
        "subject": one.subject,
        "detail": one.detail,
        "owner_id": one.owner_id,
        "corrected_by": one.instruction_id,
        "ended_at": None if one.ended_at is None else format_time(one.ended_at),
    }


def _show_action(one: FindingAction) -> dict[str, Any]:
    return {
        "object": "payout_finding_action",
        "finding_id": one.finding_id,
        "action_number": one.action_number,
        "kind": one.kind,
        "principal_id": one.principal_id,
        "note": one.note,
        "subject_id": one.subject_id,
        "done_at": format_time(one.done_at),
    }
