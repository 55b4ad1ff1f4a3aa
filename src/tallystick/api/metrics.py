"""`/metrics`: what an operator watches, in Prometheus's text exposition format 0.0.4.

Numbers of the caller's own issuer, and of the process that answers where the help says so. No label names anybody.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from fastapi import APIRouter, Response
from sqlalchemy import Connection

from tallystick import integrity, schedules, tokens, transparency
from tallystick.api.access import Caller, StaffCaller

__all__ = ["Gauge", "exposition", "router"]

router = APIRouter()

_MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "tallystick_"


class Gauge(NamedTuple):
    """A number that goes up and down: its name without prefix, what it is, and what it is now (None: unknown)."""

    name: str
    help: str
    value: int | None


@router.get(
    "/metrics",
    tags=["Health"],
    summary="Get metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Text exposition format 0.0.4",
            "content": {_MEDIA_TYPE: {"schema": {"type": "string"}}},
        }
    },
)
def get_metrics(caller: StaffCaller) -> Response:
    """Return windows, queues and alerts as they are now, for a scraper that has a key of the bank's staff."""
    now = caller.service.clock.now()
    with caller.read() as connection:
        found = _of_log(connection, caller, now) + _of_schedules(connection, caller, now)
    waiting = Gauge(
        "queued_instructions",
        "Instructions that wait in the process that answers, or are being settled for it.",
        caller.service.queued_requests,
    )
    return Response(exposition([*found, waiting]), media_type=_MEDIA_TYPE)


def exposition(gauges: Sequence[Gauge]) -> str:
    """Return gauges in the text format; what is unknown is left out."""
    lines = []
    for one in gauges:
        if one.value is not None:
            name = _PREFIX + one.name
            lines += [f"# HELP {name} {one.help}", f"# TYPE {name} gauge", f"{name} {one.value}"]
    return "\n".join(lines) + "\n"


def _of_log(connection: Connection, caller: Caller, now: datetime) -> list[Gauge]:
    log = transparency.standing(connection, caller.issuer_id, caller.service.witness_policy)
    return [
        Gauge("log_events", "Events in the log.", log.sequenced_size),
        Gauge(
            "log_unsigned_events",
            "Events that no signed checkpoint covers.",
            log.sequenced_size - log.signed_size,
        ),
        Gauge("log_unwitnessed_events", "Events that no quorum of witnesses has seen.", log.window),
        Gauge(
            "log_unwitnessed_seconds",
            "How long the oldest of those has been waiting.",
            log.window_seconds(now),
        ),
    ]


def _of_schedules(connection: Connection, caller: Caller, now: datetime) -> list[Gauge]:
    service, issuer_id = caller.service, caller.issuer_id
    missed_before = now - service.schedule_grace
    due = schedules.standing(connection, issuer_id, now)
    looked_at = schedules.looked_at(connection, issuer_id)
    seal = integrity.seal_standing(connection, issuer_id, now, service.seal_every, service.schedule_grace)
    breakers = tokens.breakers(connection, issuer_id).values()
    missed = sum(one.due_at <= missed_before for one in due.pending)
    overdue = sum(one.completed_at <= missed_before for one in due.arrivals)
    return [
        Gauge("unsealed_events", "Events since the newest seal.", seal.unsealed_events),
        Gauge(
            "unsealed_attempts", "Entries of the audit trail since the newest seal.", seal.unsealed_attempts
        ),
        Gauge("seal_age_seconds", "How old the newest seal is.", _seconds(seal.sealed_at, now)),
        Gauge("seal_missed", "1 while a seal is overdue.", int(seal.missed)),
        Gauge("schedules_missed", "Scheduled reconciliations that were not made in time.", missed),
        Gauge("statements_overdue", "Statements that nobody reconciled in time.", overdue),
        Gauge(
            "worker_look_age_seconds", "When a worker last looked for what is due.", _seconds(looked_at, now)
        ),
        Gauge(
            "breakers_tripped",
            "Token classes whose issuance is suspended.",
            sum(one.state == "tripped" for one in breakers),
        ),
    ]


def _seconds(at: datetime | None, now: datetime) -> int | None:
    return None if at is None else max(0, int((now - at).total_seconds()))
