"""`/v1/business-dates`: the day's checklist, its hand-off and close; `/v1/business-calendar`: which days there are."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from tallystick import business_dates, closing
from tallystick.api.access import Caller, StaffCaller
from tallystick.api.bodies import Day, ObjectId, Reason, Schema
from tallystick.api.changes import change_route
from tallystick.api.pages import Cursor, Limit, PathId, page
from tallystick.api.views import ListView, View
from tallystick.api.writes import write_route
from tallystick.business_dates import BusinessCalendar, BusinessCalendarMissingError, LateItem, wall_time
from tallystick.closing import BusinessDate, HandOff, LookedAt
from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.participants import Role

__all__ = ["router"]

router = APIRouter()

_STAFF: Final = frozenset({Role.TREASURY_MAKER, Role.OPERATOR})
_TAG: Final = "Business dates"
_BREAKS_MAX: Final = 1_000

WallTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-4]):[0-5][0-9]$")]


class BusinessCalendarRequest(Schema):
    """A calendar. Each member is the whole of it: what is left out of `holidays` is none any more."""

    time_zone: str = Field(max_length=64, description="IANA's name, such as Europe/Berlin.")
    cut_off: WallTime = Field(description="When a business day ends, on the wall; 24:00 for midnight.")
    weekend: list[int] = Field(max_length=7, description="ISO weekdays, Monday 1 to Sunday 7.")
    holidays: list[Day] = Field(max_length=1_000)
    reconcile_at: list[WallTime] = Field(
        max_length=24, description="When every class is reconciled on a business day."
    )
    reason: Reason


class CloseRequest(Schema):
    """Close a date with a hand-off that was looked at, accepting what is still open by name."""

    hand_off_id: ObjectId
    accepted_break_ids: list[ObjectId] = Field(default=[], max_length=_BREAKS_MAX)
    reason: Reason | None = None


class ReopenRequest(Schema):
    """Let a closed date take entries again, and say why."""

    reason: Reason


class HandOffRequest(Schema):
    """Hand a date's entries off to the general ledger; `reason` is why, where it is made again."""

    reason: Reason | None = None


class BusinessCalendarView(View):
    """The calendar in force, since the event that set it."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    time_zone: str
    cut_off: str
    weekend: list[int]
    holidays: list[str]
    reconcile_at: list[str]
    opened_on: str
    set_by: str
    event_index: int
    current_date: str


class DateActionView(View):
    """A close or a reopening, as two people signed it."""

    action: str
    event_index: int
    done_at: str
    done_by: str
    approvals: list[str]
    reason: str | None
    figures: dict[str, Any]


class BusinessDateView(View):
    """A date and how it stands: `open`, `closed` or `reopened`."""

    id: str
    object: str
    issuer_id: str
    state: str
    is_current: bool
    actions: list[DateActionView]


class ChecklistItemView(View):
    """One line of the checklist, as things stand now."""

    name: str
    token_class_id: str | None
    done: bool
    found: str
    figures: dict[str, Any]


class ClassTotalsView(View):
    """Control totals of one token class."""

    token_class_id: str
    currency: str
    debits: str
    credits: str
    line_count: int
    last_event_index: int


class HandOffView(View):
    """What the general ledger takes over of a date: control totals, and the SHA-256 of its lines in canonical JSON."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    business_date: str
    period_from: str
    event_index: int
    sha256: str
    produced_by: str
    reason: str | None
    totals: list[ClassTotalsView]


class LateItemView(View):
    """An entry that belongs to a closed date and landed in the one that was open."""

    event_index: int
    instruction_id: str
    value_date: str
    original_value_date: str


class LookedAtView(BusinessDateView):
    """A date with its checklist. `landed` were late for an earlier date, `late` for this one; a hundred of each."""

    period_from: str
    period_until: str
    can_close: bool
    checklist: list[ChecklistItemView]
    open_break_ids: list[str]
    hand_off: HandOffView | None
    landed: list[LateItemView]
    late: list[LateItemView]


def _calendar_payload(body: BusinessCalendarRequest) -> Mapping[str, Any]:
    return {
        "time_zone": body.time_zone,
        "cut_off": body.cut_off,
        "weekend": body.weekend,
        "holidays": [one.isoformat() for one in body.holidays],
        "reconcile_at": body.reconcile_at,
    }


def _close_payload(body: CloseRequest) -> Mapping[str, Any]:
    return {
        "hand_off_id": body.hand_off_id,
        "accepted_break_ids": list(body.accepted_break_ids),
        "reason": body.reason,
    }


def _reopen_payload(body: ReopenRequest) -> Mapping[str, Any]:
    return {"reason": body.reason}


def _make_hand_off(
    caller: Caller, connection: Connection, body: HandOffRequest, path: Mapping[str, str]
) -> dict[str, Any]:
    day = closing.day_of(path["business_date"])
    return _show_hand_off(
        closing.hand_off(connection, caller.service.clock, caller.principal, day, reason=body.reason)
    )


change_route(
    router,
    "/v1/business-calendar",
    operation="business_calendar",
    schema=BusinessCalendarRequest,
    roles=_STAFF,
    subject=None,
    payload=_calendar_payload,
    summary="Ask for a business calendar",
    tag=_TAG,
)
change_route(
    router,
    "/v1/business-dates/{business_date}/close",
    operation="business_date_close",
    schema=CloseRequest,
    roles=_STAFF,
    subject="business_date",
    payload=_close_payload,
    summary="Ask for a date's close",
    tag=_TAG,
)
change_route(
    router,
    "/v1/business-dates/{business_date}/reopen",
    operation="business_date_reopening",
    schema=ReopenRequest,
    roles=_STAFF,
    subject="business_date",
    payload=_reopen_payload,
    summary="Ask for a closed date to be reopened",
    tag=_TAG,
)
write_route(
    router,
    "/v1/business-dates/{business_date}/hand-off",
    operation="hand_off",
    schema=HandOffRequest,
    view=HandOffView,
    roles=_STAFF,
    make=_make_hand_off,
    summary="Hand a date off to the general ledger",
    tag=_TAG,
)


@router.get(
    "/v1/business-calendar",
    tags=[_TAG],
    summary="Get the business calendar",
    response_model=BusinessCalendarView,
)
def get_calendar(caller: StaffCaller) -> Any:
    """Return the calendar in force and the date that is booked to now."""
    with caller.read() as connection:
        known = business_dates.days(connection, caller.issuer_id)
    if known.calendar is None:
        raise BusinessCalendarMissingError
    return _show_calendar(caller.issuer_id, known.calendar) | {
        "current_date": known.current(caller.service.clock.now()).isoformat()
    }


@router.get(
    "/v1/business-dates",
    tags=[_TAG],
    summary="List business dates",
    response_model=ListView[BusinessDateView],
)
def get_business_dates(caller: StaffCaller, cursor: Cursor = "", limit: Limit = 100) -> Any:
    """Return the dates up to the current one, oldest first."""
    behind = closing.day_of(cursor) if cursor else None
    with caller.read() as connection:
        found = closing.business_dates_page(
            connection, caller.service.clock, caller.issuer_id, behind=behind, limit=limit + 1
        )
    return page(found, limit, lambda one: _show(caller.issuer_id, one), lambda one: one.day.isoformat())


@router.get(
    "/v1/business-dates/current",
    tags=[_TAG],
    summary="Get the current business date",
    response_model=LookedAtView,
)
def get_current(caller: StaffCaller) -> Any:
    """Return the date that is booked to now, with its checklist."""
    with caller.read() as connection:
        day = closing.current_date(connection, caller.service.clock, caller.issuer_id)
        return _looked_at(caller, connection, day)


@router.get(
    "/v1/business-dates/{business_date}",
    tags=[_TAG],
    summary="Get a business date",
    response_model=LookedAtView,
)
def get_business_date(caller: StaffCaller, business_date: PathId) -> Any:
    """Return a date with its checklist as things stand, its hand-off, and what came too late."""
    with caller.read() as connection:
        return _looked_at(caller, connection, closing.day_of(business_date))


def _looked_at(caller: Caller, connection: Connection, day: date) -> dict[str, Any]:
    found: LookedAt = closing.business_date(connection, caller.service.clock, caller.issuer_id, day)
    checklist = found.checklist
    return {
        **_show(caller.issuer_id, found.date),
        "period_from": found.period.first.isoformat(),
        "period_until": found.period.last.isoformat(),
        "can_close": found.date.state != "closed" and not checklist.missing,
        "checklist": [one._asdict() for one in checklist.items],
        "open_break_ids": list(checklist.open_break_ids),
        "hand_off": None if checklist.hand_off is None else _show_hand_off(checklist.hand_off),
        "landed": [_show_late(one) for one in found.landed],
        "late": [_show_late(one) for one in found.late],
    }


def _show(issuer_id: str, one: BusinessDate) -> dict[str, Any]:
    return {
        "id": one.day.isoformat(),
        "object": "business_date",
        "issuer_id": issuer_id,
        "state": one.state,
        "is_current": one.is_current,
        "actions": [
            {
                "action": done.action,
                "event_index": done.event_index,
                "done_at": format_time(done.done_at),
                "done_by": done.done_by,
                "approvals": done.approvals,
                "reason": done.reason,
                "figures": done.figures,
            }
            for done in one.actions
        ],
    }


def _show_calendar(issuer_id: str, one: BusinessCalendar) -> dict[str, Any]:
    return {
        "id": "business_calendar",
        "object": "business_calendar",
        "created_at": format_time(one.set_at),
        "issuer_id": issuer_id,
        "time_zone": one.time_zone,
        "cut_off": wall_time(one.cut_off_minutes),
        "weekend": sorted(one.weekend),
        "holidays": [day.isoformat() for day in sorted(one.holidays)],
        "reconcile_at": [wall_time(minutes) for minutes in one.reconcile_minutes],
        "opened_on": one.opened_on.isoformat(),
        "set_by": one.set_by,
        "event_index": one.event_index,
    }


def _show_hand_off(one: HandOff) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "hand_off",
        "created_at": format_time(one.produced_at),
        "issuer_id": one.issuer_id,
        "business_date": one.business_date.isoformat(),
        "period_from": one.period_from.isoformat(),
        "event_index": one.event_index,
        "sha256": one.sha256.hex(),
        "produced_by": one.produced_by,
        "reason": one.reason,
        "totals": [
            {
                "token_class_id": of_class["token_class_id"],
                "currency": of_class["currency"],
                "debits": format_amount(of_class["debits_minor"], of_class["scale"]),
                "credits": format_amount(of_class["credits_minor"], of_class["scale"]),
                "line_count": of_class["line_count"],
                "last_event_index": of_class["last_event_index"],
            }
            for of_class in one.totals
        ],
    }


def _show_late(one: LateItem) -> dict[str, Any]:
    return {
        "event_index": one.event_index,
        "instruction_id": one.instruction_id,
        "value_date": one.value_date.isoformat(),
        "original_value_date": one.original_value_date.isoformat(),
    }
