"""`/v1/audit-trail`: who attempted what, when and from where, and what became of it; as pages or as one stream."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from tallystick import audit
from tallystick.api.access import Caller, allow
from tallystick.api.bodies import Moment
from tallystick.api.pages import Cursor, IdQuery, Limit
from tallystick.api.problems import validation_problem
from tallystick.api.views import ListView, View
from tallystick.audit import Decision, Filters, Page, Place
from tallystick.participants import Role

__all__ = ["AUDIT_READERS", "router"]

router = APIRouter()

AUDIT_READERS: Final = frozenset({Role.AUDITOR, Role.OPERATOR, Role.TREASURY_CHECKER})
_STREAM_PAGE: Final = 1_000
_INDEX_MAX: Final = 2**63 - 1

AuditReader = Annotated[Caller, allow(*AUDIT_READERS)]
After = Annotated[
    Moment | None,
    Query(alias="from", description="Recorded after this moment; from the beginning if left out."),
]
Until = Annotated[
    Moment | None, Query(alias="to", description="Recorded up to this moment; until now if left out.")
]
DecisionQuery = Annotated[
    str | None, Query(pattern=f"^({'|'.join(Decision)})$", description="What became of the attempt.")
]
OperationQuery = Annotated[
    str | None,
    Query(
        max_length=128,
        pattern=r"^[A-Za-z0-9_.\-/{}*]+$",
        description="An instruction's kind, a write's name, or the path of a reading's route with its parameters.",
    ),
]
CodeQuery = Annotated[
    str | None, Query(max_length=64, pattern=r"^[a-z0-9_]+$", description="The code of a refusal.")
]


class AuditEntryView(View):
    """One attempt.

    `kept_in` says where it is kept: in the `trail` with a `number` without gaps and a `hash` that is chained to the
    entry before, or in the signed `log` at `event_index`. `reasons` counts refusals by code. Without `principal_id`
    nobody proved who they are.
    """

    id: str
    object: str
    created_at: str
    issuer_id: str
    kept_in: str
    number: int | None
    principal_id: str | None
    person: str | None
    key_id: str | None
    operation: str
    method: str | None
    subject_id: str | None
    source: str | None
    request_id: str | None
    request_hash: str | None
    decision: str
    status: int | None
    code: str | None
    reasons: dict[str, int] | None
    event_index: int | None
    hash: str | None


@router.get(
    "/v1/audit-trail",
    tags=["Audit trail"],
    summary="List attempts",
    response_model=ListView[AuditEntryView],
)
def get_audit_trail(  # noqa: PLR0917 FastAPI passes them by name.
    caller: AuditReader,
    after: After = None,
    until: Until = None,
    principal_id: IdQuery = None,
    decision: DecisionQuery = None,
    operation: OperationQuery = None,
    code: CodeQuery = None,
    subject_id: IdQuery = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return attempts in the order of time: every write and every refusal, and what auditors read.

    A walk from page to page ends at what there was when it began. Under a filter a page may be short, or empty, and
    still have more behind it.
    """
    filters = Filters(principal_id, decision, operation, code, subject_id)
    with caller.read() as connection:
        place = (
            _place(cursor) if cursor else audit.begin(connection, caller.issuer_id, after=after, until=until)
        )
        found = audit.page(connection, caller.issuer_id, place, filters, limit=limit)
    return {
        "object": "list",
        "data": [audit.resource(entry) for entry in found.entries],
        "has_more": found.next is not None,
        "next_cursor": None if found.next is None else ".".join(map(str, found.next)),
    }


@router.get(
    "/v1/audit-trail.ndjson",
    tags=["Audit trail"],
    summary="Download attempts",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One attempt in each line, as `/v1/audit-trail` shows it",
            "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        }
    },
)
def get_audit_trail_file(caller: AuditReader, after: After = None, until: Until = None) -> Response:
    """Return every attempt of a period, one JSON object in each line, however many there are."""
    with caller.read() as connection:
        place = audit.begin(connection, caller.issuer_id, after=after, until=until)
    return StreamingResponse(
        _lines(caller, place),
        media_type="application/x-ndjson",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": 'attachment; filename="audit-trail.ndjson"',
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _lines(caller: Caller, begin: Place) -> AsyncIterator[bytes]:
    def read(place: Place) -> Page:
        # A snapshot for each page: the walk's end is pinned, so nothing has to be held open while somebody downloads.
        with caller.read() as connection:
            return audit.page(connection, caller.issuer_id, place, limit=_STREAM_PAGE)

    place: Place | None = begin
    while place is not None:
        found = await run_in_threadpool(read, place)
        yield b"".join(orjson.dumps(audit.resource(entry)) + b"\n" for entry in found.entries)
        place = found.next


def _place(cursor: str) -> Place:
    parts = cursor.split(".")
    if len(parts) != len(Place._fields) or not all(_is_index(part) for part in parts):
        raise validation_problem(
            [{"loc": ("query", "cursor"), "type": "cursor_invalid", "msg": "Not a cursor of this list"}]
        )
    return Place._make(map(int, parts))


def _is_index(text: str) -> bool:
    return text == "-1" or (
        text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= _INDEX_MAX
    )
