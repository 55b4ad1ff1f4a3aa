"""Closing and reopening a date: changes that two people sign, checked under the issuer's log head.

No entry can come between the check and the close, since each needs the same head.
"""

from datetime import date
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import attestations, business_dates, ledger, participants
from tallystick.business_dates import (
    Action,
    BusinessDateConflictError,
    BusinessDateNotFoundError,
    BusinessDays,
    DateAction,
    Period,
)
from tallystick.closing import store
from tallystick.closing.checking import check, used_classes
from tallystick.closing.records import (
    BreakNotOpenError,
    Checklist,
    ChecklistIncompleteError,
    HandOff,
    HandOffNotFoundError,
)
from tallystick.core.money import format_amount
from tallystick.participants import TokenClass
from tallystick.tokens import Applied, Change, Told, Wanted, add_change

__all__ = ["day_of"]

_CLASSES_MAX: Final = 1_000


def day_of(text: str) -> date:
    """Return the business date that a path names; raises BusinessDateNotFoundError."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BusinessDateNotFoundError from None
    if day.isoformat() != text:
        raise BusinessDateNotFoundError
    return day


def _closable(connection: Connection, wanted: Wanted) -> tuple[BusinessDays, Period]:
    """Return the period of a date that may be closed now: the next in order, or one that was reopened."""
    day, now = day_of(wanted.subject_id), wanted.clock.now()
    known = business_dates.days(connection, wanted.issuer_id)
    period = business_dates.period_of(connection, known, wanted.issuer_id, day, now)
    if period in known.reopened:
        return known, period
    if known.is_closed(day):
        raise BusinessDateConflictError("The date is closed.")
    if known.reopened:
        raise BusinessDateConflictError(f"{known.reopened[0].last} was reopened: close that first.")
    following = known.next_to_close()
    if period != following:
        raise BusinessDateConflictError(f"Dates are closed in order: {following.last} is next.")
    return known, period


def _looked_at(connection: Connection, wanted: Wanted) -> tuple[Period, list[TokenClass], HandOff, Checklist]:
    _, period = _closable(connection, wanted)
    hand_off = store.read_hand_off(connection, wanted.issuer_id, period.last, wanted.payload["hand_off_id"])
    if hand_off is None:
        raise HandOffNotFoundError
    classes = participants.token_classes(connection, wanted.issuer_id, limit=_CLASSES_MAX)
    accepted = wanted.payload["accepted_break_ids"]
    found = check(connection, wanted.issuer_id, period, classes, hand_off, frozenset(accepted))
    return period, classes, hand_off, found


def _check_close(connection: Connection, wanted: Wanted) -> int:
    *_, found = _looked_at(connection, wanted)
    unknown = set(wanted.payload["accepted_break_ids"]) - set(found.open_break_ids)
    if unknown:
        raise BreakNotOpenError(
            "Not among the open breaks of the last reconciliations.", field="accepted_break_ids"
        )
    if found.missing:
        raise ChecklistIncompleteError(found.missing[0], missing=found.missing)
    return 1


def _figures_of_close(connection: Connection, wanted: Wanted) -> Told:
    period, classes, hand_off, found = _looked_at(connection, wanted)
    accepted = set(wanted.payload["accepted_break_ids"])
    open_ids = {
        item.token_class_id: item.figures.get("open_break_ids", ())
        for item in found.items
        if item.name == "reconciled"
    }
    return Told(
        {
            "figures": {
                "classes": [
                    _class_figures(
                        connection,
                        wanted.issuer_id,
                        one,
                        hand_off,
                        [of for of in open_ids.get(one.id, ()) if of in accepted],
                    )
                    for one in used_classes(connection, wanted.issuer_id, classes)
                ],
                "hand_off_id": hand_off.id,
                "hand_off_index": hand_off.event_index,
                "hand_off_sha256": hand_off.sha256.hex(),
                **_days_of(period),
            }
        }
    )


def _class_figures(
    connection: Connection, issuer_id: str, of_class: TokenClass, hand_off: HandOff, accepted: list[str]
) -> dict[str, Any]:
    totals = hand_off.of_class(of_class.id)
    latest = attestations.latest(connection, issuer_id, of_class.id)
    assert latest is not None
    scale = of_class.scale
    return {
        "accepted_break_ids": accepted,
        "bank_balance": None if latest.bank_minor is None else format_amount(latest.bank_minor, scale),
        "credits": format_amount(0 if totals is None else totals.credits_minor, scale),
        "currency": of_class.currency,
        "debits": format_amount(0 if totals is None else totals.debits_minor, scale),
        "line_count": 0 if totals is None else totals.line_count,
        "reconciliation_id": latest.reconciliation_id,
        "scale": scale,
        "supply": format_amount(ledger.supply_minor(connection, issuer_id, of_class.id), scale),
        "token_class_id": of_class.id,
        "verdict": latest.verdict,
    }


def _check_reopening(connection: Connection, wanted: Wanted) -> int:
    _reopenable(connection, wanted)
    return 1


def _reopenable(connection: Connection, wanted: Wanted) -> Period:
    day = day_of(wanted.subject_id)
    known = business_dates.days(connection, wanted.issuer_id)
    period = business_dates.period_of(connection, known, wanted.issuer_id, day, wanted.clock.now())
    if not known.is_closed(day):
        raise BusinessDateConflictError("The date is not closed.")
    return period


def _figures_of_reopening(connection: Connection, wanted: Wanted) -> Told:
    return Told({"figures": _days_of(_reopenable(connection, wanted))})


def _days_of(period: Period) -> dict[str, str]:
    return {"period_from": period.first.isoformat(), "period_until": period.last.isoformat()}


def _close(connection: Connection, applied: Applied) -> None:
    business_dates.record_close(connection, _action(applied, Action.CLOSED))


def _reopen(connection: Connection, applied: Applied) -> None:
    business_dates.record_reopening(connection, _action(applied, Action.REOPENED))


def _action(applied: Applied, action: Action) -> DateAction:
    figures = applied.members["figures"]
    day = date.fromisoformat(figures["period_until"])
    return DateAction(
        issuer_id=applied.issuer_id,
        event_index=applied.event_index,
        business_date=day,
        action=action.value,
        period_from=date.fromisoformat(figures["period_from"]),
        period_until=day,
        closed_until=day,
        reopened=(),
        figures=figures,
        reason=applied.payload.get("reason"),
        done_by=applied.principal_id,
        approvals=[one.hex() for one in applied.approval_hashes],
        done_at=applied.booked_at,
    )


add_change(
    "business_date_close", Change("business_date.closed", _check_close, _close, tell=_figures_of_close)
)
add_change(
    "business_date_reopening",
    Change("business_date.reopened", _check_reopening, _reopen, tell=_figures_of_reopening),
)
