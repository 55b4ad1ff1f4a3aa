"""The general-ledger hand-off of a date: its journal lines in order, counted, summed and hashed as they stream by."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick import events, ledger
from tallystick.business_dates import Period
from tallystick.closing import store
from tallystick.closing.records import ClassTotals, HandOff, HandOffNotFoundError
from tallystick.core.ids import new_id
from tallystick.exports import ExportArguments, ExportOptionsInvalidError, HandedOff, canonical_line
from tallystick.ledger import EntryLine
from tallystick.participants import Principal, TokenClass

__all__ = ["export_arguments", "hand_off", "totals_of"]


class Totals(NamedTuple):
    """What lines come to."""

    by_class: Sequence[ClassTotals]
    sha256: bytes


def hand_off(
    connection: Connection,
    actor: Principal,
    period: Period,
    classes: Sequence[TokenClass],
    at: datetime,
    reason: str | None,
) -> HandOff:
    """Count a date's journal lines as of the end of the log, and keep what they come to; the caller commits."""
    last_index = events.last_index(connection, actor.issuer_id)
    lines = ledger.lines_dated(connection, actor.issuer_id, period.first, period.last, last_index)
    totals = totals_of(lines, classes)
    new = HandOff(
        issuer_id=actor.issuer_id,
        id=new_id("hand_off"),
        business_date=period.last,
        period_from=period.first,
        event_index=last_index,
        totals=[one._asdict() for one in totals.by_class],
        sha256=totals.sha256,
        produced_by=actor.id,
        reason=reason,
        produced_at=at,
    )
    store.add_hand_off(connection, new)
    return new


def export_arguments(connection: Connection, issuer_id: str, asked: ExportArguments) -> ExportArguments:
    """Return an export's arguments with what the hand-off takes in that they name, if they name one.

    Its files are that hand-off's, whatever was booked since. Raises HandOffNotFoundError, and
    ExportOptionsInvalidError where a date is named beside it.
    """
    options = asked.options
    if options.hand_off_id is None:
        return asked
    if options.business_date is not None:
        raise ExportOptionsInvalidError("A hand-off is of one business date: leave `business_date` out.")
    found = store.read_hand_off_of(connection, issuer_id, options.hand_off_id)
    if found is None:
        raise HandOffNotFoundError
    line_count = sum(one["line_count"] for one in found.totals)
    taken_in = HandedOff(found.period_from, found.event_index, line_count, found.sha256.hex())
    return replace(asked, options=replace(options, business_date=found.business_date, handed_off=taken_in))


def totals_of(lines: Iterable[EntryLine], classes: Sequence[TokenClass]) -> Totals:
    """Return what lines come to, by class in the order of their currencies, and the hash over all of them."""
    scales = {one.currency: one.scale for one in classes}
    sums = {one.currency: [0, 0, 0, -1] for one in classes}
    digest = hashlib.sha256()
    for line in lines:
        of_class = sums[line.currency]
        of_class[0] += line.debit_minor
        of_class[1] += line.credit_minor
        of_class[2] += 1
        of_class[3] = max(of_class[3], line.event_index)
        digest.update(canonical_line(line, scales).encode())
    return Totals(
        [
            ClassTotals(one.id, one.currency, one.scale, *sums[one.currency])
            for one in sorted(classes, key=lambda one: one.currency)
        ],
        digest.digest(),
    )
