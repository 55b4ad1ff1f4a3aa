"""`/v1/payout-files`: the files by which the bank is told to pay, made by two people, each payout in one of them."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy import Connection

from tallystick import events, participants, payouts, tokens
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.bodies import Day, ObjectId, Reason, Schema
from tallystick.api.changes import ChangeView
from tallystick.api.money import Fields, money_route
from tallystick.api.pages import Cursor, IdQuery, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.participants import Role
from tallystick.payouts import PAYOUTS_PER_FILE_MAX, FileFormat, PayoutFile
from tallystick.tokens import Kind

__all__ = ["router"]

router = APIRouter()

_TAG: Final = "Payout files"
_OPERATION: Final = "payout_file"
_XML: Final = "application/xml"


class PayoutFileRequest(Schema):
    """Ask for a file of the class's accepted payouts that are in none yet, the oldest first.

    `execution_date` is when the bank shall pay, by default today.
    """

    token_class_id: ObjectId
    format: Annotated[str, Field(pattern=r"^(pain\.001\.001\.09|pacs\.008\.001\.08)$")] = "pain.001.001.09"
    execution_date: Day | None = None
    payout_count_max: Annotated[int, Field(ge=1, le=PAYOUTS_PER_FILE_MAX)] = PAYOUTS_PER_FILE_MAX
    reason: Reason | None = None


class PayoutFileView(View):
    """A file for the bank. `sequence` counts the class's files, without gaps."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    token_class_id: str
    currency: str
    sequence: int
    format: str
    message_id: str
    execution_date: str
    payout_count: int
    control_sum: str
    sha256: str
    made_by: str
    event_index: int


class PayoutFileDetailView(PayoutFileView):
    """A file with its payouts in their order, and the signed event that names its hash."""

    payout_ids: list[str]
    signed_event: str


def _fields(body: PayoutFileRequest, _path: object) -> Fields:
    return {"related_id": body.token_class_id, "operation": _OPERATION, "reason": body.reason}


def _wanted(caller: Caller, body: PayoutFileRequest, _instruction: tokens.Request) -> Fields:
    """Name the payouts that wait now, so that who approves lets exactly these go."""
    service = caller.service
    day = body.execution_date or service.clock.now().date()

    def work(connection: Connection) -> dict[str, Any]:
        return tokens.ask_for_payout_file(
            connection,
            service.clock,
            caller.issuer_id,
            body.token_class_id,
            file_format=FileFormat(body.format),
            execution_date=day,
            threshold=service.settings.screening_threshold,
            limit=body.payout_count_max,
        )

    return {"payload": service.database.run(work)}


money_route(
    router,
    "/v1/payout-files",
    kind=Kind.CHANGE,
    key_scope=_OPERATION,
    schema=PayoutFileRequest,
    view=ChangeView,
    roles=frozenset({Role.TREASURY_MAKER, Role.OPERATOR}),
    fields=_fields,
    prepare=_wanted,
    summary="Ask for a payout file",
    tag=_TAG,
    status=202,
)


@router.get(
    "/v1/payout-files", tags=[_TAG], summary="List payout files", response_model=ListView[PayoutFileView]
)
def get_payout_files(
    caller: StaffCaller, token_class_id: IdQuery = None, cursor: Cursor = "", limit: Limit = 100
) -> Any:
    """Return files in the order in which they were asked for."""
    with caller.read() as connection:
        found = payouts.files(
            connection, caller.issuer_id, token_class_id=token_class_id, after=cursor, limit=limit + 1
        )
        shown = {one.id: _show(connection, one) for one in found}
    return page(found, limit, lambda one: shown[one.id], lambda one: one.id)


@router.get(
    "/v1/payout-files/{payout_file_id}",
    tags=[_TAG],
    summary="Get a payout file",
    response_model=PayoutFileDetailView,
)
def get_payout_file(caller: StaffCaller, payout_file_id: PathId) -> Any:
    """Return one file with its payouts and its signed event."""
    with caller.read() as connection:
        found = payouts.file(connection, caller.issuer_id, payout_file_id)
        shown = _show(connection, found)
        items = payouts.file_items(connection, caller.issuer_id, found.id)
        signed = events.event_by_index(connection, caller.issuer_id, found.event_index).jws
    return shown | {"payout_ids": [one.payout_id for one in items], "signed_event": signed}


@router.get(
    "/v1/payout-files/{payout_file_id}/content",
    tags=[_TAG],
    summary="Download a payout file",
    response_class=Response,
    responses={200: {"content": {_XML: {"schema": {"type": "string"}}}}},
)
def get_payout_file_content(caller: StaffCaller, payout_file_id: PathId) -> Response:
    """Return the file's bytes, the same ones however often: the bank refuses a message that it knows."""
    with caller.read() as connection:
        found = payouts.file(connection, caller.issuer_id, payout_file_id)
        content = payouts.content_of_file(connection, caller.issuer_id, found.id)
    return Response(
        content,
        media_type=_XML,
        headers={
            "Content-Disposition": f'attachment; filename="{found.id}.xml"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _show(connection: Connection, one: PayoutFile) -> dict[str, Any]:
    of_class = participants.token_class(connection, one.issuer_id, one.token_class_id)
    return {
        "id": one.id,
        "object": "payout_file",
        "created_at": format_time(one.made_at),
        "issuer_id": one.issuer_id,
        "token_class_id": one.token_class_id,
        "currency": of_class.currency,
        "sequence": one.sequence,
        "format": one.format,
        "message_id": one.message_id,
        "execution_date": one.execution_date.isoformat(),
        "payout_count": one.payout_count,
        "control_sum": format_amount(one.control_sum_minor, of_class.scale),
        "sha256": one.content_hash.hex(),
        "made_by": one.made_by,
        "event_index": one.event_index,
    }
