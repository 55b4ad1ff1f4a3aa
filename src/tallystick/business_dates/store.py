"""All SQL of business dates."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, insert, select

from tallystick.business_dates.calendar import BusinessCalendar, minutes_of
from tallystick.business_dates.models import business_calendar, business_date_action, late_item
from tallystick.business_dates.records import BusinessDays, DateAction, LateItem, Period

# Both newest rows in one trip: the write path asks for them whenever facts have changed.
_DAYS: Final = """
SELECT c.terms, c.opened_on, c.set_at, c.set_by, c.event_index, a.closed_until, a.reopened
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (
    SELECT * FROM business_calendar WHERE issuer_id = %s ORDER BY event_index DESC LIMIT 1
) c ON true
LEFT JOIN LATERAL (
    SELECT closed_until, reopened FROM business_date_action WHERE issuer_id = %s ORDER BY event_index DESC LIMIT 1
) a ON true
"""


def read_days(connection: Connection, issuer_id: str) -> BusinessDays:
    row = connection.exec_driver_sql(_DAYS, (issuer_id, issuer_id)).one()
    terms, opened_on, set_at, set_by, event_index, closed_until, reopened = row
    calendar = None if terms is None else calendar_of(terms, opened_on, set_at, set_by, event_index)
    return BusinessDays(calendar, closed_until, periods_of(reopened or ()))


def calendar_of(
    terms: Mapping[str, Any], opened_on: date, set_at: Any, set_by: str, event_index: int
) -> BusinessCalendar:
    return BusinessCalendar(
        time_zone=terms["time_zone"],
        cut_off_minutes=minutes_of(terms["cut_off"]),
        weekend=frozenset(terms["weekend"]),
        holidays=frozenset(date.fromisoformat(one) for one in terms["holidays"]),
        reconcile_minutes=tuple(minutes_of(one) for one in terms["reconcile_at"]),
        opened_on=opened_on,
        set_at=set_at,
        set_by=set_by,
        event_index=event_index,
    )


def periods_of(rows: Sequence[Sequence[str]]) -> tuple[Period, ...]:
    return tuple(Period(date.fromisoformat(first), date.fromisoformat(last)) for first, last in rows)


def add_calendar(connection: Connection, **row: Any) -> None:
    connection.execute(insert(business_calendar).values(row))


def add_action(connection: Connection, new: DateAction) -> None:
    connection.execute(
        insert(business_date_action).values({name: getattr(new, name) for name in new.__slots__})
    )


def read_actions(connection: Connection, issuer_id: str, first: date, last: date) -> list[DateAction]:
    rows = connection.execute(
        select(business_date_action)
        .where(
            business_date_action.c.issuer_id == issuer_id,
            business_date_action.c.business_date.between(first, last),
        )
        .order_by(business_date_action.c.business_date, business_date_action.c.event_index)
    )
    return [DateAction(**row._mapping) for row in rows]


def add_late(connection: Connection, issuer_id: str, items: Sequence[LateItem]) -> None:
    connection.execute(insert(late_item), [{"issuer_id": issuer_id, **one._asdict()} for one in items])


def read_late(
    connection: Connection, issuer_id: str, column: str, period: Period, limit: int
) -> list[LateItem]:
    found = late_item.c[column]
    rows = connection.execute(
        select(
            late_item.c.event_index,
            late_item.c.instruction_id,
            late_item.c.value_date,
            late_item.c.original_value_date,
        )
        .where(late_item.c.issuer_id == issuer_id, found.between(period.first, period.last))
        .order_by(late_item.c.event_index)
        .limit(limit)
    )
    return [LateItem._make(row) for row in rows]
