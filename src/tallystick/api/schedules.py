"""`/v1/schedules`: what is reconciled by itself, what is due, and what was missed, which is an alert."""

from typing import Any

from fastapi import APIRouter

from tallystick import business_dates, integrity, schedules
from tallystick.api.access import StaffCaller
from tallystick.api.views import View
from tallystick.core.clock import format_time
from tallystick.schedules import RunState

__all__ = ["router"]

router = APIRouter()


class ScheduledRunView(View):
    """A class's run that came due: `due`, `missed` (an alert), `done`, or `late` (made after it had been missed)."""

    due_at: str
    token_class_id: str
    business_date: str
    state: str
    missed_at: str | None
    done_at: str | None
    reconciliation_id: str | None


class ArrivalView(View):
    """A statement that came in and waits to be reconciled; `overdue` is an alert."""

    statement_id: str
    token_class_id: str
    completed_at: str
    overdue: bool


class SchedulesView(View):
    """What came due within the last ten days, newest first. `alerts` counts what is missed or overdue now.

    `looked_at` is when a worker last looked, to the minute: one that is old says that none is at work. `seal_missed` is
    an alert: nobody has sealed what is new in time, or a finding of `check-integrity` keeps it from being sealed.
    """

    object: str
    issuer_id: str
    reconcile_at: list[str]
    time_zone: str | None
    next_due_at: str | None
    looked_at: str | None
    alerts: int
    sealed_at: str | None
    seal_due_at: str | None
    seal_missed: bool
    arrivals: list[ArrivalView]
    data: list[ScheduledRunView]


@router.get(
    "/v1/schedules",
    tags=["Reconciliation"],
    summary="Get what is reconciled by itself",
    response_model=SchedulesView,
)
def get_schedules(caller: StaffCaller) -> Any:
    """Return what is due and what was missed, as it is now: told from the calendar, whether or not a worker runs."""
    now = caller.service.clock.now()
    missed_before = now - caller.service.schedule_grace
    with caller.read() as connection:
        calendar = business_dates.days(connection, caller.issuer_id).calendar
        found = schedules.standing(connection, caller.issuer_id, now)
        looked_at = schedules.looked_at(connection, caller.issuer_id)
        seal = integrity.seal_standing(
            connection, caller.issuer_id, now, caller.service.seal_every, caller.service.schedule_grace
        )
    due_next = None if calendar is None else schedules.next_due(calendar, now)
    runs = [
        {
            "due_at": format_time(one.due_at),
            "token_class_id": one.token_class_id,
            "business_date": one.business_date.isoformat(),
            "state": one.state(missed_before).value,
            "missed_at": None if one.missed_at is None else format_time(one.missed_at),
            "done_at": None if one.done_at is None else format_time(one.done_at),
            "reconciliation_id": one.reconciliation_id,
        }
        for one in reversed(found.recent)
    ]
    arrivals = [
        {
            "statement_id": one.statement_id,
            "token_class_id": one.token_class_id,
            "completed_at": format_time(one.completed_at),
            "overdue": one.completed_at <= missed_before,
        }
        for one in found.arrivals
    ]
    alerts = sum(one["state"] == RunState.MISSED for one in runs)
    alerts += sum(one.completed_at <= missed_before for one in found.arrivals)
    alerts += seal.missed
    times = () if calendar is None else calendar.reconcile_minutes
    return {
        "object": "schedules",
        "issuer_id": caller.issuer_id,
        "reconcile_at": [business_dates.wall_time(minutes) for minutes in times],
        "time_zone": None if calendar is None else calendar.time_zone,
        "next_due_at": None if due_next is None else format_time(due_next),
        "looked_at": None if looked_at is None else format_time(looked_at),
        "alerts": alerts,
        "sealed_at": None if seal.sealed_at is None else format_time(seal.sealed_at),
        "seal_due_at": None if seal.due_at is None else format_time(seal.due_at),
        "seal_missed": seal.missed,
        "arrivals": arrivals,
        "data": runs,
    }
