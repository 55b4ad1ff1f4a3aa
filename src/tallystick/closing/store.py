"""All SQL of closing a date."""

from datetime import date

from sqlalchemy import Connection, insert, select

from tallystick.closing.models import hand_off
from tallystick.closing.records import HandOff


def add_hand_off(connection: Connection, new: HandOff) -> None:
    connection.execute(insert(hand_off).values({name: getattr(new, name) for name in new.__slots__}))


def read_hand_off(connection: Connection, issuer_id: str, day: date, hand_off_id: str) -> HandOff | None:
    row = connection.execute(
        select(hand_off).where(
            hand_off.c.issuer_id == issuer_id, hand_off.c.id == hand_off_id, hand_off.c.business_date == day
        )
    ).one_or_none()
    return None if row is None else HandOff(**row._mapping)


def read_hand_off_of(connection: Connection, issuer_id: str, hand_off_id: str) -> HandOff | None:
    row = connection.execute(
        select(hand_off).where(hand_off.c.issuer_id == issuer_id, hand_off.c.id == hand_off_id)
    ).one_or_none()
    return None if row is None else HandOff(**row._mapping)


def read_latest_hand_off(connection: Connection, issuer_id: str, day: date) -> HandOff | None:
    row = connection.execute(
        select(hand_off)
        .where(hand_off.c.issuer_id == issuer_id, hand_off.c.business_date == day)
        .order_by(hand_off.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else HandOff(**row._mapping)
