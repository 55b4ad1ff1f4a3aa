"""Routes that ask for a change, and `/v1/changes`: what was asked for, whether it waits, and what became of it."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from tallystick.api.access import Caller, StaffCaller
from tallystick.api.instructions import show_instruction, show_instructions
from tallystick.api.money import money_route
from tallystick.api.pages import Cursor, Limit, PathId
from tallystick.api.views import ListView, View
from tallystick.participants import Role
from tallystick.tokens import Kind

__all__ = ["ChangeView", "change_route", "router"]

router = APIRouter()


class ChangeLineView(View):
    """One side of the entry that a change posts: `debit` or `credit`."""

    account: str
    debit: str | None = None
    credit: str | None = None


class ChangeEntryView(View):
    """The journal entry that a change posts: what people approve, and what its signed event says."""

    amount: str
    currency: str
    lines: list[ChangeLineView]
    scale: int
    token_class_id: str


class ChangeView(View):
    """A change: of rules, of a class's mode, of who may do what. 202 while it waits for other people.

    `entry` is told when one that posts is asked for and decided: whoever approves it types its amount and currency.
    """

    id: str
    object: str
    created_at: str
    issuer_id: str
    state: str
    operation: str
    subject_id: str
    approval_id: str
    reason: str | None = None
    settled_at: str | None
    final_at: str | None
    value_date: str | None = None
    event_id: str | None
    event_index: int | None
    entry: ChangeEntryView | None = None
    signed_event: str | None = None


def change_route(
    to_router: APIRouter,
    path: str,
    *,
    operation: str,
    schema: type[BaseModel],
    roles: frozenset[Role],
    subject: str | None,
    payload: Callable[[Any], Mapping[str, Any]],
    summary: str,
    tag: str,
    check: Callable[[Caller, Any], None] | None = None,
) -> None:
    """Add `POST path`, which asks for a change of what the path's parameter `subject` names, or of the one there is.

    `payload` turns the understood body into what the change's room reads: strings, numbers and booleans only, as they
    are hashed and kept.
    """

    def fields(body: Any, scope: Mapping[str, str]) -> dict[str, Any]:
        return {
            "related_id": operation if subject is None else scope[subject],
            "operation": operation,
            "reason": getattr(body, "reason", None),
            "payload": payload(body),
        }

    money_route(
        to_router,
        path,
        kind=Kind.CHANGE,
        key_scope=operation,
        schema=schema,
        view=ChangeView,
        roles=roles,
        fields=fields,
        summary=summary,
        tag=tag,
        check=check,
    )


@router.get(
    "/v1/changes",
    tags=["Changes"],
    summary="List changes",
    response_model=ListView[ChangeView],
    response_model_exclude_unset=True,
)
def get_changes(
    caller: StaffCaller,
    state: Annotated[str | None, Query(pattern="^(pending_approval|settled|rejected|expired)$")] = None,
    cursor: Cursor = "",
    limit: Limit = 100,
) -> Any:
    """Return changes in the order they were asked for; `state=pending_approval` is what waits."""
    return show_instructions(caller, Kind.CHANGE, state=state, account_id=None, cursor=cursor, limit=limit)


@router.get("/v1/changes/{change_id}", tags=["Changes"], summary="Get a change", response_model=ChangeView)
def get_change(caller: StaffCaller, change_id: PathId) -> Response:
    """Return one change with its signed event, once it has taken effect."""
    return show_instruction(caller, Kind.CHANGE, change_id)
