"""What the check finds, and what it can tell of the rest."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from tallystick.core.errors import ConflictError

__all__ = [
    "NO_ROW",
    "ROW",
    "WHOLE_ROW",
    "Finding",
    "Integrity",
    "IntegrityBrokenError",
    "Progress",
]

#: Stands for a column where a whole row is missing, or should not be there.
WHOLE_ROW: Final = "*"
ROW: Final = "a row"
NO_ROW: Final = "no row"
_KEPT_MAX: Final = 1_000

#: Told what is being checked, and how many checks of how many are done.
Progress: TypeAlias = Callable[[str, int, int], None]


class IntegrityBrokenError(ConflictError):
    """Nothing is sealed while the database differs from the log."""

    code = "integrity_broken"
    title = "The database is not what the log says: run `tallystick check-integrity`"


class Finding(NamedTuple):
    """One difference: where (`column` is `*` for a whole row), what the log or the seal says, and what is there.

    What only a seal tells is shown as the beginning of a hash, for that is all the seal has.
    """

    table: str
    key: str
    column: str
    expected: str | None
    found: str | None

    def __str__(self) -> str:
        return f"{self.table}[{self.key}].{self.column}: expected {self.expected}, found {self.found}"


@dataclass(slots=True)
class Integrity:
    """What was checked and what came of it; at most 1,000 findings are kept, all are counted.

    `seal_number` is the newest seal's, None without one; `unsealed` counts records that are newer than it, and
    `changed` those that changed since by an act that is on record, both by table: the next seal covers them.
    """

    issuer_id: str
    event_count: int = 0
    seal_number: int | None = None
    tables: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    finding_count: int = 0
    unsealed: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Take a finding up."""
        self.finding_count += 1
        if len(self.findings) < _KEPT_MAX:
            self.findings.append(finding)
