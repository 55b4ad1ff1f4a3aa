"""Every table's class: whether its rows are evidence, follow from evidence, or are of no use tomorrow.

A table says it where it is made, as `info=LOGGED`, `info=DERIVED` or `info=EPHEMERAL`; a test over the catalogue fails
until a new one does. The class decides what `tallystick check-integrity` holds the rows against.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Table

__all__ = [
    "DERIVED",
    "EPHEMERAL",
    "LOGGED",
    "OF_LIBRARIES",
    "SIGNED",
    "Sealing",
    "TableClass",
    "class_of",
    "logged",
    "sealing_of",
]


class TableClass(StrEnum):
    """`logged`: the rows are evidence, signed or sealed in the log. `derived`: replaying the log yields them again.
    `ephemeral`: nobody needs them once they are old, and nothing is proved by them.
    """

    LOGGED = "logged"
    DERIVED = "derived"
    EPHEMERAL = "ephemeral"


@dataclass(frozen=True, slots=True)
class Sealing:
    """How seals cover a table's rows: each by itself, or many under one seal where they are many and never change.

    `together` are the key's columns whose rows are sealed as one (a statement's entries). `along` is a column whose
    numbers are given out in order (`event_index`, `entry_number`, `size`): the table is sealed in spans of it, and rows
    without a number each by itself. `complete_by` names the table, with the same key, without whose row a group still
    grows. `also` are columns that may change by right and stand still once the row has its number. `left_out` are
    columns that no seal covers, with the reason.
    """

    together: tuple[str, ...] = ()
    along: str | None = None
    complete_by: str | None = None
    also: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def logged(
    *,
    together: tuple[str, ...] = (),
    along: str | None = None,
    complete_by: str | None = None,
    also: tuple[str, ...] = (),
    left_out: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the `info` of a logged table that is not simply sealed row by row: see `Sealing`."""
    return {
        "class": TableClass.LOGGED,
        "sealing": Sealing(together, along, complete_by, also, left_out or {}),
    }


#: Evidence, sealed row by row: the word for most new tables.
LOGGED: Final[dict[str, Any]] = logged()
#: Evidence whose rows are signed in themselves: events.
SIGNED: Final[dict[str, Any]] = {"class": TableClass.LOGGED}
#: What `integrity` replays; a new one needs its replay there.
DERIVED: Final[dict[str, Any]] = {"class": TableClass.DERIVED}
#: Of no use once it is old.
EPHEMERAL: Final[dict[str, Any]] = {"class": TableClass.EPHEMERAL}


#: Tables that a library makes for itself, which say nothing of themselves.
OF_LIBRARIES: Final[dict[str, TableClass]] = dict.fromkeys(
    # The job queue's, in a schema of their own (decision 17).
    (
        "job_queue.procrastinate_events",
        "job_queue.procrastinate_jobs",
        "job_queue.procrastinate_periodic_defers",
        "job_queue.procrastinate_workers",
    ),
    TableClass.EPHEMERAL,
)


def class_of(table: Table) -> TableClass | None:
    """Return a table's class; None where nobody said."""
    found: TableClass | None = table.info.get("class")
    return found


def sealing_of(table: Table) -> Sealing | None:
    """Return how seals cover a table; None where they don't: what is signed in itself, derived or ephemeral."""
    found: Sealing | None = table.info.get("sealing")
    return found
