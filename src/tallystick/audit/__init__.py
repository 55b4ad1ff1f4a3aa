"""The audit trail: who attempted what, when and from where, and what became of it. Refused attempts too.

An attempt that settled an instruction is kept by that instruction and its signed event; every other one has an entry
of its own, numbered without gaps and chained by hash. Both are told as one, in the order of time.
"""

from tallystick.audit.chain import entry_hash, resource
from tallystick.audit.listing import begin, entries, first_broken_number, page
from tallystick.audit.records import (
    FIRST_PREVIOUS_HASH,
    AuditUnavailableError,
    Decision,
    Draft,
    Entry,
    Filters,
    Page,
    Place,
)
from tallystick.audit.writing import AuditTrail, append

__all__ = [
    "FIRST_PREVIOUS_HASH",
    "AuditTrail",
    "AuditUnavailableError",
    "Decision",
    "Draft",
    "Entry",
    "Filters",
    "Page",
    "Place",
    "append",
    "begin",
    "entries",
    "entry_hash",
    "first_broken_number",
    "page",
    "resource",
]
