"""Samples for auditors: drawn by a rule that anyone can repeat with the seed and the exported journal.

The population is the period's journal entries, in the order of the log: every event with lines. `tests/exports` draws
the same samples from the CSV files alone, and docs/exports.md shows it in SQL.

random: entries are sorted by SHA-256 of the seed and the event's id (UTF-8, one behind the other, as lower-case
hexadecimal); the first n are the sample. Who knows the seed beforehand knows the sample: choose it afterwards.

monetary_unit: of the T minor units of all debits of the class, in the order of the log, the n units (k*T + r) div n for
k = 0 … n-1 are selected, where r is SHA-256 of the seed as an integer, modulo T. A unit selects the entry that it lies
in, so an entry of T/n or more is certainly drawn, and may be drawn more than once.
"""

import hashlib
from collections.abc import Iterator
from heapq import nsmallest

from sqlalchemy import Connection

from tallystick.core.clock import format_time
from tallystick.core.money import format_amount
from tallystick.exports.manifest import Totals
from tallystick.exports.options import ExportOptions, SampleMethod
from tallystick.exports.reading import Entry, Scope, entries
from tallystick.exports.writers import Row, Table
from tallystick.participants import TokenClass

__all__ = ["selected_units", "ticket", "write_sample"]


def ticket(seed: str, event_id: str) -> str:
    """Return what entries are sorted by: equal chances for all, the same for everyone who has the seed."""
    return hashlib.sha256((seed + event_id).encode()).hexdigest()


def selected_units(seed: str, sample_size: int, total_minor: int) -> Iterator[int]:
    """Yield the selected minor units, from 0 to `total_minor` - 1, in ascending order; none where there are none."""
    if total_minor > 0:
        start = int.from_bytes(hashlib.sha256(seed.encode()).digest()) % total_minor
        yield from ((draw * total_minor + start) // sample_size for draw in range(sample_size))


def write_sample(
    connection: Connection, scope: Scope, options: ExportOptions, totals: Totals, write_row: Table
) -> None:
    """Draw the sample that `options` ask for and write it, draw by draw; `totals` have seen all entries."""
    assert options.sample_size is not None
    assert options.seed is not None
    population = (one for one in entries(connection, scope) if one.lines)
    drawn = (
        _by_amount(
            population, options.seed, options.sample_size, totals.debits_minor(scope.classes[0].currency)
        )
        if options.sample_method == SampleMethod.MONETARY_UNIT
        else _at_random(population, options.seed, options.sample_size)
    )
    classes = {one.currency: one for one in scope.classes}
    for draw, (entry, selected_by) in enumerate(drawn, 1):
        write_row(_row(draw, entry, classes, selected_by))


def _at_random(population: Iterator[Entry], seed: str, sample_size: int) -> Iterator[tuple[Entry, str]]:
    # What was signed is long, and of no use here.
    slim = (Entry(one.event._replace(jws=""), one.lines) for one in population)
    tickets = ((ticket(seed, one.event.id), one.event.event_index, one) for one in slim)
    for selected_by, _, entry in nsmallest(sample_size, tickets):
        yield entry, selected_by


def _by_amount(
    population: Iterator[Entry], seed: str, sample_size: int, total_minor: int
) -> Iterator[tuple[Entry, str]]:
    units = selected_units(seed, sample_size, total_minor)
    unit, passed_minor = next(units, None), 0
    for entry in population:
        passed_minor += sum(line.debit_minor for line in entry.lines)
        while unit is not None and unit < passed_minor:
            yield entry, str(unit)
            unit = next(units, None)


def _row(draw: int, entry: Entry, classes: dict[str, TokenClass], selected_by: str) -> Row:
    event = entry.event
    # An entry of today's journals has one currency; of one with more, the first is told.
    of_class = classes[entry.lines[0].currency]
    amount_minor = sum(line.debit_minor for line in entry.lines if line.currency == of_class.currency)
    return (
        draw,
        event.event_index,
        event.id,
        event.type,
        format_time(event.booked_at),
        of_class.id,
        of_class.currency,
        format_amount(amount_minor, of_class.scale),
        selected_by,
    )
