"""`/v1/breaks`: where log, books and bank differ, who looks into it, what explains it, and what became of it."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import StringConstraints
from sqlalchemy import Connection

from tallystick import participants, reconciliation
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.bodies import Currency, ObjectId, Reason, Schema
from tallystick.api.changes import change_route
from tallystick.api.pages import Cursor, IdQuery, Limit, NumberCursor, PathId, page
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.core.clock import Clock, format_time
from tallystick.core.errors import MalformedError
from tallystick.core.money import format_amount
from tallystick.participants import Role, TokenClass
from tallystick.reconciliation import (
    FILE_SIZE_MAX_BYTES,
    WORKERS,
    WRITE_OFF,
    Break,
    BreakAction,
    BreakFile,
)

__all__ = ["BreakView", "router", "show_break", "show_one"]

router = APIRouter()

_TAG: Final = "Breaks"
_ACTIONS_SHOWN_MAX: Final = 100
#: Base64 of the largest file, and room for its name.
_EVIDENCE_BODY_SIZE_MAX_BYTES: Final = FILE_SIZE_MAX_BYTES * 4 // 3 + 4_096
_STATES: Final = "^(open|assigned|explained|resolved|written_off|cleared)$"
_TYPES: Final = "^(timing|missing_event|missing_bank_entry|unexpected_bank_entry|amount|duplicate)$"

Difference = Annotated[str, StringConstraints(max_length=40, pattern=r"^-?[0-9.]+$")]
Name = Annotated[str, StringConstraints(max_length=140, pattern=r"^[^\x00-\x1f\x7f/\\\"]+$")]
MediaType = Annotated[str, StringConstraints(max_length=100, pattern=r"^[a-z0-9]+/[a-z0-9][a-z0-9.+\-]*$")]
# A file of no bytes shows nothing.
Content = Annotated[str, StringConstraints(min_length=4)]
Note = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]


class BreakEvidenceMalformedError(MalformedError):
    """The content is not canonical base64 (RFC 4648, section 4)."""

    code = "break_evidence_malformed"
    title = "The content is no base64"


class BreakAssignmentRequest(Schema):
    """Give a break to somebody of the staff, in place of whoever had it."""

    owner_id: ObjectId
    note: Note | None = None


class BreakExplanationRequest(Schema):
    """Say what a break comes from. The difference stays until a run no longer finds it."""

    explanation: Note


class BreakNoteRequest(Schema):
    """Add a note to a break."""

    note: Note


class BreakEvidenceRequest(Schema):
    """Put a file to a break: at most 5 MiB, `content` in base64. It is known by its SHA-256."""

    name: Name
    media_type: MediaType
    content: Content


class BreakResolutionRequest(Schema):
    """Name the settled instruction that corrects a break. A run that still finds it opens it again."""

    instruction_id: ObjectId
    note: Note | None = None


class BreakWriteOffRequest(Schema):
    """Ask to write a difference off. Type it again; another person approves, and types the amount of what it posts."""

    difference: Difference
    currency: Currency
    reason: Reason


class BreakView(View):
    """One difference for as long as its cause is the same.

    `difference` is what the books have more (less, if negative) than the evidence bears out, as the last run found it.
    `reconciliation_id` is the run that found it first. `overdue` is whether it waits and its time is over.
    """

    id: str
    object: str
    created_at: str
    issuer_id: str
    token_class_id: str
    currency: str
    type: str
    state: str
    difference: str
    explanation: str
    evidence: dict[str, str | int | None]
    reconciliation_id: str
    last_reconciliation_id: str
    last_found_at: str
    age_hours: int
    owner_id: str | None
    due_at: str
    overdue: bool
    corrected_by: str | None
    written_off: str | None
    ended_at: str | None


class BreakEvidenceView(View):
    """A file that was put to a break, to be had under `/v1/breaks/{break_id}/evidence/{sha256}`."""

    object: str
    break_id: str
    sha256: str
    name: str
    media_type: str
    size_bytes: int
    added_by: str
    added_at: str


class BreakActionView(View):
    """Something that happened to a break. `subject_id` names the run, owner, instruction or file that it is about."""

    object: str
    break_id: str
    action_number: int
    kind: str
    principal_id: str
    note: str | None
    subject_id: str | None
    done_at: str


class BreakWithHistoryView(BreakView):
    """A break with its files, and the first hundred things that happened to it; all are under `/actions`."""

    files: list[BreakEvidenceView]
    actions: list[BreakActionView]
    has_more_actions: bool


class AddedEvidenceView(BreakEvidenceView):
    """A file as it was put to a break."""

    id: str


def _assign(caller: Caller, connection: Connection, body: Any, path: Mapping[str, str]) -> dict[str, Any]:
    done = reconciliation.assign(
        connection,
        caller.service.clock,
        caller.principal,
        path["break_id"],
        body.owner_id,
        note=body.note,
    )
    return show_one(connection, caller.service.clock, done)


def _explain(caller: Caller, connection: Connection, body: Any, path: Mapping[str, str]) -> dict[str, Any]:
    done = reconciliation.explain(
        connection, caller.service.clock, caller.principal, path["break_id"], body.explanation
    )
    return show_one(connection, caller.service.clock, done)


def _note(caller: Caller, connection: Connection, body: Any, path: Mapping[str, str]) -> dict[str, Any]:
    done = reconciliation.add_note(
        connection, caller.service.clock, caller.principal, path["break_id"], body.note
    )
    return show_one(connection, caller.service.clock, done)


def _resolve(caller: Caller, connection: Connection, body: Any, path: Mapping[str, str]) -> dict[str, Any]:
    done = reconciliation.resolve(
        connection,
        caller.service.clock,
        caller.principal,
        path["break_id"],
        body.instruction_id,
        note=body.note,
    )
    return show_one(connection, caller.service.clock, done)


def _add_evidence(
    caller: Caller, connection: Connection, body: Any, path: Mapping[str, str]
) -> dict[str, Any]:
    _, file = reconciliation.add_evidence(
        connection,
        caller.service.clock,
        caller.principal,
        path["break_id"],
        name=body.name,
        media_type=body.media_type,
        content=_content(body.content),
    )
    return {"id": file.content_hash.hex(), **_show_file(file)}


def _content(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BreakEvidenceMalformedError from None
    if base64.b64encode(content).decode() != text:
        raise BreakEvidenceMalformedError
    return content


for _action, _schema, _make, _summary in (
    ("assign", BreakAssignmentRequest, _assign, "Give a break an owner"),
    ("explain", BreakExplanationRequest, _explain, "Explain a break"),
    ("notes", BreakNoteRequest, _note, "Add a note to a break"),
    ("resolve", BreakResolutionRequest, _resolve, "Name what corrects a break"),
):
    write_route(
        router,
        f"/v1/breaks/{{break_id}}/{_action}",
        operation=f"break_{_action}",
        schema=_schema,
        view=BreakView,
        roles=WORKERS,
        make=_make,
        summary=_summary,
        tag=_TAG,
        status=200,
    )
write_route(
    router,
    "/v1/breaks/{break_id}/evidence",
    operation="break_evidence",
    schema=BreakEvidenceRequest,
    view=AddedEvidenceView,
    roles=WORKERS,
    make=_add_evidence,
    summary="Put a file to a break",
    tag=_TAG,
    size_max_bytes=_EVIDENCE_BODY_SIZE_MAX_BYTES,
)
change_route(
    router,
    "/v1/breaks/{break_id}/write-off",
    operation=WRITE_OFF,
    schema=BreakWriteOffRequest,
    roles=frozenset({Role.TREASURY_MAKER, Role.OPERATOR}),
    subject="break_id",
    payload=lambda body: {
        "difference": body.difference,
        "currency": body.currency,
        "reason": body.reason,
    },
    summary="Ask to write a break off",
    tag=_TAG,
)


@router.get("/v1/breaks", tags=[_TAG], summary="List breaks", response_model=ListView[BreakView])
def get_breaks(  # noqa: PLR0917 FastAPI passes them by name.
    caller: StaffCaller,
    reconciliation_id: IdQuery = None,
    token_class_id: IdQuery = None,
    state: Annotated[str | None, Query(pattern=_STATES)] = None,
    type_: Annotated[str | None, Query(pattern=_TYPES, alias="type")] = None,
    owner_id: IdQuery = None,
    overdue: Annotated[Literal["true"] | None, Query()] = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return breaks in the order in which they were first found; `state=open` is what nobody has taken up."""
    now = caller.service.clock.now()
    with caller.read() as connection:
        found = reconciliation.breaks(
            connection,
            caller.issuer_id,
            reconciliation_id=reconciliation_id,
            token_class_id=token_class_id,
            state=state,
            break_type=type_,
            owner_id=owner_id,
            overdue_at=now if overdue else None,
            after=cursor,
            limit=limit + 1,
        )
        classes = {
            class_id: participants.token_class(connection, caller.issuer_id, class_id)
            for class_id in {one.token_class_id for one in found}
        }
    clock = caller.service.clock
    return page(
        found, limit, lambda one: show_break(one, classes[one.token_class_id], clock), lambda one: one.id
    )


@router.get("/v1/breaks/{break_id}", tags=[_TAG], summary="Get a break", response_model=BreakWithHistoryView)
def get_break(caller: StaffCaller, break_id: PathId) -> Any:
    """Return one break with its files and its history."""
    with caller.read() as connection:
        found = reconciliation.break_(connection, caller.issuer_id, break_id)
        actions = reconciliation.actions(connection, caller.issuer_id, found.id, limit=_ACTIONS_SHOWN_MAX + 1)
        return {
            **show_one(connection, caller.service.clock, found),
            "files": [
                _show_file(one) for one in reconciliation.evidence(connection, caller.issuer_id, found.id)
            ],
            "actions": [_show_action(one) for one in actions[:_ACTIONS_SHOWN_MAX]],
            "has_more_actions": len(actions) > _ACTIONS_SHOWN_MAX,
        }


@router.get(
    "/v1/breaks/{break_id}/actions",
    tags=[_TAG],
    summary="List what happened to a break",
    response_model=ListView[BreakActionView],
)
def get_break_actions(
    caller: StaffCaller, break_id: PathId, cursor: NumberCursor = 0, limit: Limit = 100
) -> Any:
    """Return what runs and people did, oldest first."""
    with caller.read() as connection:
        of = reconciliation.break_(connection, caller.issuer_id, break_id)
        found = reconciliation.actions(connection, caller.issuer_id, of.id, after=cursor, limit=limit + 1)
    return page(found, limit, _show_action, lambda one: str(one.action_number))


@router.get(
    "/v1/breaks/{break_id}/evidence/{sha256}",
    tags=[_TAG],
    summary="Download a break's file",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
def get_break_evidence(caller: StaffCaller, break_id: PathId, sha256: PathId) -> Response:
    """Return a file as it was added; the browser is told to save it and not to guess what it is."""
    with caller.read() as connection:
        file, content = reconciliation.evidence_content(connection, caller.issuer_id, break_id, sha256)
    return Response(
        content,
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="{file.content_hash.hex()}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def show_one(connection: Connection, clock: Clock, one: Break) -> dict[str, Any]:
    """Return a break as JSON."""
    return show_break(one, participants.token_class(connection, one.issuer_id, one.token_class_id), clock)


def show_break(one: Break, of_class: TokenClass, clock: Clock) -> dict[str, Any]:
    """Return a break of a known class as JSON, with its age as of now or of its end."""
    now = clock.now()
    age = (one.ended_at or now) - one.created_at
    return {
        "id": one.id,
        "object": "break",
        "created_at": format_time(one.created_at),
        "issuer_id": one.issuer_id,
        "token_class_id": one.token_class_id,
        "currency": of_class.currency,
        "type": one.type,
        "state": one.state,
        "difference": format_amount(one.difference_minor, of_class.scale),
        "explanation": one.explanation,
        "evidence": one.evidence,
        "reconciliation_id": one.reconciliation_id,
        "last_reconciliation_id": one.last_reconciliation_id,
        "last_found_at": format_time(one.seen_at),
        "age_hours": int(age.total_seconds() // 3_600),
        "owner_id": one.owner_id,
        "due_at": format_time(one.due_at),
        "overdue": one.ended_at is None and one.due_at < now,
        "corrected_by": one.instruction_id,
        "written_off": None
        if one.accepted_minor is None
        else format_amount(one.accepted_minor, of_class.scale),
        "ended_at": None if one.ended_at is None else format_time(one.ended_at),
    }


def _show_file(one: BreakFile) -> dict[str, Any]:
    return {
        "object": "break_evidence",
        "break_id": one.break_id,
        "sha256": one.content_hash.hex(),
        "name": one.name,
        "media_type": one.media_type,
        "size_bytes": one.size_bytes,
        "added_by": one.added_by,
        "added_at": format_time(one.added_at),
    }


def _show_action(one: BreakAction) -> dict[str, Any]:
    return {
        "object": "break_action",
        "break_id": one.break_id,
        "action_number": one.action_number,
        "kind": one.kind,
        "principal_id": one.principal_id,
        "note": one.note,
        "subject_id": one.subject_id,
        "done_at": format_time(one.done_at),
    }
