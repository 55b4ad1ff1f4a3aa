"""What a pack tells beside the log: versions of the rules, and reconciliations.

A version's hash is worked out anew, its approval must be an event of the log, and every version that an event was
decided by must be there. Reconciliations are only read: they are what the bank says of itself.
"""

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tallystick_verify.canonical import JsonRefusedError, canonical, parse
from tallystick_verify.events import Event
from tallystick_verify.facts import Fact
from tallystick_verify.failures import ExitCode, Failure

__all__ = ["POLICIES", "RECONCILIATIONS", "RulesNamed", "check_policies", "check_reconciliations"]

POLICIES: Final = "policies.jsonl"
RECONCILIATIONS: Final = "reconciliations.jsonl"
#: A version of the bank's own; the rules that the service is shipped with have another name.
_LABEL: Final = re.compile(r"(policy_[0-7][0-9a-hjkmnp-tv-z]{25})/[1-9][0-9]*", re.ASCII)
_POLICY_MEMBERS: Final = frozenset(
    {
        "active_from",
        "approvals",
        "approved_at",
        "content_hash",
        "currency",
        "document",
        "effective_from",
        "id",
        "label",
        "scale",
        "token_class_id",
    }
)
_RUN_MEMBERS: Final = frozenset(
    {
        "backing",
        "bank_as_of",
        "created_at",
        "event_index",
        "figures",
        "id",
        "ledger_as_of",
        "run_by",
        "statement_id",
        "token_class_id",
        "verdict",
    }
)


@dataclass(slots=True)
class RulesNamed:
    """The versions that events name: those they were decided by, and those that were activated, with their votes."""

    decided_by: set[str] = field(default_factory=set)
    activated: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def take(self, event: Event | Fact) -> None:
        """Take note of what an event names."""
        if isinstance(event, Fact):
            if event.type == "policy.activated":
                self.activated[str(event.members["subject_id"])] = event.approvals
        elif event.policy is not None and _LABEL.fullmatch(event.policy):
            self.decided_by.add(event.policy)


def check_policies(rows: Iterator[bytes], named: RulesNamed) -> str:
    """Return what was checked; raises Failure (figures)."""
    labels: set[str] = set()
    ids: set[str] = set()
    for number, line in enumerate(rows):
        row = _row(line, _POLICY_MEMBERS, f"{POLICIES}, row {number}")
        label = _LABEL.fullmatch(str(row["label"]))
        if label is None or label[1] != row["id"] or row["id"] in ids:
            raise _refused("A version is named otherwise than its id, or told twice.", POLICIES)
        if hashlib.sha256(canonical(row["document"])).hexdigest() != row["content_hash"]:
            raise _refused(f"{row['label']} is not the document of its hash.", POLICIES)
        if list(named.activated.get(row["id"], ())) != row["approvals"] or row["id"] not in named.activated:
            raise _refused(f"{row['label']} was not activated by an event with these approvals.", POLICIES)
        labels.add(row["label"])
        ids.add(row["id"])
    _check_all_told(named.decided_by - labels)
    _check_all_told(named.activated.keys() - ids)
    return f"{len(labels):,} versions of the rules"


def check_reconciliations(rows: Iterator[bytes], last_index: int) -> str:
    """Return what was checked; raises Failure (figures)."""
    count, previous = 0, ""
    for count, line in enumerate(rows, 1):
        row = _row(line, _RUN_MEMBERS, f"{RECONCILIATIONS}, row {count - 1}")
        index = row["event_index"]
        if type(index) is not int or not -1 <= index <= last_index or not previous < str(row["id"]):
            raise _refused(
                "A run is told out of order, or of a log that is longer than this one.", RECONCILIATIONS
            )
        previous = str(row["id"])
    return f"{count:,} reconciliations, as the bank tells them"


def _check_all_told(missing: Collection[str]) -> None:
    if missing:
        raise _refused(f"{min(missing)} decided in this log and is not told.", POLICIES)


def _row(line: bytes, members: frozenset[str], place: str) -> dict[str, Any]:
    try:
        found = parse(line)
    except JsonRefusedError as error:
        raise _refused(f"A row is malformed: {error}.", place) from None
    if not isinstance(found, dict) or found.keys() != members:
        raise Failure(ExitCode.UNSUPPORTED, "A row has other members than expected.", place=place)
    return found


def _refused(message: str, place: str) -> Failure:
    return Failure(ExitCode.FIGURES, message, place=place)
