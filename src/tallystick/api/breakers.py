"""`/v1/breakers`: whether a token class may be issued, why not, and the two people who let it go on."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter

from tallystick import participants, tokens
from tallystick.api.access import StaffCaller
from tallystick.api.bodies import Reason, Schema
from tallystick.api.changes import change_route
from tallystick.api.pages import PathId
from tallystick.api.views import ListView, View
from tallystick.core.clock import format_time
from tallystick.participants import Role

__all__ = ["router"]

router = APIRouter()

_STAFF: Final = frozenset({Role.TREASURY_MAKER, Role.OPERATOR})


class BreakerRequest(Schema):
    """Trip or reset a breaker, and say why."""

    reason: Reason


class BreakerView(View):
    """A token class's breaker of issuance. Redemption is never touched by it.

    `clean_run_id` is the reconciliation that a reset may rest on; null while one is needed.
    """

    id: str
    object: str
    state: str
    reason: str | None
    changed_at: str | None
    event_index: int | None
    clean_run_id: str | None


def _reason(body: Any) -> Mapping[str, Any]:
    return {"reason": body.reason}


change_route(
    router,
    "/v1/breakers/{token_class_id}/trip",
    operation="breaker_trip",
    schema=BreakerRequest,
    roles=_STAFF,
    subject="token_class_id",
    payload=_reason,
    summary="Suspend issuance at once",
    tag="Breakers",
)
change_route(
    router,
    "/v1/breakers/{token_class_id}/reset",
    operation="breaker_reset",
    schema=BreakerRequest,
    roles=_STAFF,
    subject="token_class_id",
    payload=_reason,
    summary="Ask for issuance to go on",
    tag="Breakers",
)


@router.get("/v1/breakers", tags=["Breakers"], summary="List breakers", response_model=ListView[BreakerView])
def get_breakers(caller: StaffCaller) -> Any:
    """Return the breaker of every token class."""
    with caller.read() as connection:
        classes = participants.token_classes(connection, caller.issuer_id, limit=1_000)
        breakers = tokens.breakers(connection, caller.issuer_id)
    shown = [_show(one.id, breakers.get(one.id)) for one in classes]
    return {"object": "list", "data": shown, "has_more": False, "next_cursor": None}


@router.get(
    "/v1/breakers/{token_class_id}", tags=["Breakers"], summary="Get a breaker", response_model=BreakerView
)
def get_breaker(caller: StaffCaller, token_class_id: PathId) -> Any:
    """Return the breaker of one token class."""
    with caller.read() as connection:
        of_class = participants.token_class(connection, caller.issuer_id, token_class_id)
        return _show(of_class.id, tokens.breakers(connection, caller.issuer_id).get(of_class.id))


def _show(token_class_id: str, row: tokens.BreakerRow | None) -> dict[str, Any]:
    return {
        "id": token_class_id,
        "object": "breaker",
        "state": "closed" if row is None else row.state,
        "reason": None if row is None else row.reason,
        "changed_at": None if row is None else format_time(row.changed_at),
        "event_index": None if row is None else row.event_index,
        "clean_run_id": None if row is None else row.clean_run_id,
    }
