"""The file of results: what became of each row, written as it comes, so that a crash leaves what was known."""

import csv
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, TextIO

from tallystick.cli.transfer_file.rows import Row

__all__ = [
    "EXPIRED",
    "NOT_SENT",
    "NOT_SETTLED",
    "PENDING",
    "REFUSED",
    "REJECTED",
    "SETTLED",
    "UNKNOWN",
    "Results",
]

# How a row can end. `unknown`: no answer came; to send the file again tells (a run that is stopped with Ctrl-C counts
# such rows and has no line for them). `not_settled`: its atomic batch was refused for another row's sake. `not_sent`:
# the run ended before. `pending_approval`: the bank's people look at it or its batch; to send the file again tells what
# they decided: they may have `rejected` it, or let it become `expired`.
SETTLED: Final = "settled"
PENDING: Final = "pending_approval"
REFUSED: Final = "refused"
UNKNOWN: Final = "unknown"
NOT_SETTLED: Final = "not_settled"
NOT_SENT: Final = "not_sent"
REJECTED: Final = "rejected"
EXPIRED: Final = "expired"

_COLUMNS: Final = (
    "row",
    "status",
    "transfer_id",
    "event_index",
    "code",
    "detail",
    "idempotency_key",
    "approval_id",
)


class Results:
    """Writes a result for each of `rows` rows, and counts them."""

    def __init__(self, file: TextIO, rows: int) -> None:
        self._file = file
        self._writer = csv.writer(file)
        self._writer.writerow(_COLUMNS)
        self._rows = rows
        self._begun = 0
        self.counts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        # What rows wait for, and how many do.
        self.approvals: Counter[str] = Counter()

    def begin(self, rows: int) -> None:
        """Note that a batch of `rows` rows is next: from here on they may have been paid, whatever is heard of it."""
        self._begun += rows

    def add(self, row: Row, status: str, found: Mapping[str, Any]) -> None:
        """Write one row's end; `found` is the service's result for it, or a refusal's code and detail."""
        code = found.get("code")
        self._writer.writerow(
            [
                row.number,
                status,
                found.get("id"),
                found.get("event_index"),
                code,
                found.get("detail"),
                row.key,
                found.get("approval_id"),
            ]
        )
        self.counts[status] += 1
        if status == PENDING:
            self.approvals[found["approval_id"]] += 1
        if code is not None:
            self.codes[code] += 1

    def add_refused(self, row: Row) -> None:
        """Write a row that can't be a transfer."""
        assert row.refusal is not None
        self.add(row, REFUSED, {"code": row.refusal[0], "detail": row.refusal[1]})

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        self._file.flush()

    def summary(self) -> dict[str, Any]:
        """Return how many rows ended how; rows without a result are unknown if they were begun, else not sent."""
        return {
            "rows": self._rows,
            "settled": self.counts[SETTLED],
            "pending_approval": self.counts[PENDING],
            "refused": self.counts[REFUSED],
            "not_settled": self.counts[NOT_SETTLED],
            "rejected": self.counts[REJECTED],
            "expired": self.counts[EXPIRED],
            "unknown": self.counts[UNKNOWN] + self._begun - self.counts.total(),
            "not_sent": self.counts[NOT_SENT] + self._rows - self._begun,
            "codes": dict(self.codes.most_common()),
            "approvals": dict(self.approvals),
        }
