"""`/v1/payout-statuses`: the bank's reports (pain.002, pacs.002) on payout files."""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection

from tallystick import audit, payout_replies, payouts, tokens
from tallystick.api.access import Caller, StaffCaller, authenticated
from tallystick.api.attempts import attempt_of
from tallystick.api.bodies import read_body
from tallystick.api.money import answer
from tallystick.api.pages import Cursor, Limit, page
from tallystick.api.recording import drafted_write
from tallystick.api.views import ListView, View
from tallystick.audit import Draft
from tallystick.core.clock import format_time
from tallystick.core.errors import DomainError
from tallystick.participants import Role
from tallystick.payout_replies import TakenStatus
from tallystick.payouts import StatusItem, StatusMessage
from tallystick.tokens import Outcome

__all__ = ["router"]

router = APIRouter()

_TAG: Final = "Payout statuses"
_RECEIVERS: Final = frozenset({Role.TREASURY_MAKER})
_OPERATION: Final = "payout_status"
_XML: Final = frozenset({"application/xml", "text/xml"})


class PayoutStatusMediaTypeUnsupportedError(DomainError):
    """A body that says it is something else than XML is no status report."""

    code = "payout_status_media_type_unsupported"
    status = 415
    title = "A status report must be application/xml"


class PayoutStatusItemView(View):
    """What a report says of one payout."""

    payout_id: str
    status: str
    reason_code: str | None
    reason: str | None


class PayoutStatusView(View):
    """A report that was taken in."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    message_id: str
    sha256: str
    received_by: str


class TakenPayoutStatusView(PayoutStatusView):
    """A report with what it says; `imported` is false if it was there before and nothing was changed."""

    imported: bool
    items: list[PayoutStatusItemView]


async def post_payout_status(request: Request) -> Response:
    """Take in a pain.002 or pacs.002; answer 201, or 200 if it was taken in before.

    What is rejected gives its tokens back, with the bank's reason. Whatever else it says is noted: a payout is settled
    by the bank's statement. The same report again changes nothing; another one of its message id is refused.
    """
    caller = await authenticated(request, _RECEIVERS)
    stated = request.headers.get("content-type")
    if stated is not None and stated.partition(";")[0].strip().lower() not in _XML:
        raise PayoutStatusMediaTypeUnsupportedError
    content = await read_body(request, caller.service.settings.statement_size_max_bytes)
    attempt = attempt_of(request.scope)
    attempt.request_hash = tokens.request_hash(
        _OPERATION, {"body_sha256": hashlib.sha256(content).hexdigest()}
    )
    outcome = await run_in_threadpool(_take_in, caller, content, drafted_write(request))
    attempt.is_recorded = True
    return answer(outcome)


router.add_api_route(
    "/v1/payout-statuses",
    post_payout_status,
    methods=["POST"],
    summary="Take in a bank's status report",
    tags=[_TAG],
    status_code=201,
    response_model=None,
    responses={
        201: {"model": TakenPayoutStatusView, "description": "Taken in"},
        200: {"model": TakenPayoutStatusView, "description": "Taken in before; nothing was changed"},
    },
    operation_id="post_v1_payout_statuses",
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "pain.002 or pacs.002, versions 03 to 12.",
            "content": {"application/xml": {"schema": {"type": "string"}}},
        },
    },
)
post_payout_status.allowed_roles = _RECEIVERS  # type: ignore[attr-defined]
post_payout_status.operation = _OPERATION  # type: ignore[attr-defined]


@router.get(
    "/v1/payout-statuses",
    tags=[_TAG],
    summary="List status reports",
    response_model=ListView[PayoutStatusView],
)
def get_payout_statuses(caller: StaffCaller, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return the reports in the order in which they came."""
    with caller.read() as connection:
        found = payouts.statuses(connection, caller.issuer_id, after=cursor, limit=limit + 1)
    return page(found, limit, _show, lambda one: one.id)


def _take_in(caller: Caller, content: bytes, draft: Callable[[Outcome], Draft]) -> Outcome:
    service, receiver = caller.service, caller.principal
    parsed = payout_replies.parse_status(content, size_max_bytes=service.settings.statement_size_max_bytes)

    def work(connection: Connection) -> Outcome:
        taken = payout_replies.take_in_status(connection, service.settler, receiver, content, parsed)
        body = orjson.dumps(_show_taken(taken))
        outcome = Outcome(201 if taken.imported else 200, body, taken.message.id)
        audit.append(connection, service.clock, receiver.issuer_id, [draft(outcome)])
        return outcome

    return service.database.run(work)


def _show_taken(taken: TakenStatus) -> dict[str, Any]:
    items = [_show_item(one) for one in taken.items]
    return {**_show(taken.message), "imported": taken.imported, "items": items}


def _show(one: StatusMessage) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "payout_status",
        "created_at": format_time(one.received_at),
        "issuer_id": one.issuer_id,
        "message_id": one.message_id,
        "sha256": one.content_hash.hex(),
        "received_by": one.received_by,
    }


def _show_item(one: StatusItem) -> dict[str, Any]:
    return {
        "payout_id": one.payout_id,
        "status": one.status,
        "reason_code": one.reason_code,
        "reason": one.reason,
    }
