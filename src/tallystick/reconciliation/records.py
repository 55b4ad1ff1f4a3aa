"""What a reconciliation is kept as: its figures and verdict, what it found, and the breaks that people work on."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from tallystick.core.errors import DeniedError, MalformedError, NotFoundError

__all__ = [
    "ENDED_STATES",
    "EXPLAINED_TYPES",
    "ActionKind",
    "AsOfInFutureError",
    "Backing",
    "Break",
    "BreakAction",
    "BreakFile",
    "BreakState",
    "BreakType",
    "Evidence",
    "Figures",
    "Finding",
    "Reconciliation",
    "ReconciliationNotAllowedError",
    "ReconciliationNotFoundError",
    "Verdict",
]

#: What a break rests on: ids, indexes, days and amounts, never names of people.
Evidence: TypeAlias = Mapping[str, str | int | None]
#: Amounts and counts as decimal strings, by name; None where there is nothing to compare with.
Figures: TypeAlias = Mapping[str, Mapping[str, str | None]]


class ReconciliationNotFoundError(NotFoundError):
    """No such reconciliation of this issuer."""

    code = "reconciliation_not_found"
    title = "No such reconciliation"


class AsOfInFutureError(MalformedError):
    """What is not yet over can't be reconciled."""

    code = "as_of_in_future"
    title = "The moment to reconcile at lies in the future"


class ReconciliationNotAllowedError(DeniedError):
    """Only the issuer's own people and its auditors see what a reconciliation compares."""

    code = "reconciliation_not_allowed"
    title = "Not allowed to reconcile"


class BreakType(StrEnum):
    """Why two records differ.

    `missing_event`: the books moved, or an index of the log is taken, without a valid signed event.
    `missing_bank_entry`: the books show money that the bank's statement does not.
    `unexpected_bank_entry`: the bank shows money that the books do not, and nothing says that they will.
    `amount`: both have it, in different amounts. `duplicate`: one of the two has it twice.
    `timing`: one of the two has it first, and the other is known to follow.
    """

    MISSING_EVENT = "missing_event"
    MISSING_BANK_ENTRY = "missing_bank_entry"
    UNEXPECTED_BANK_ENTRY = "unexpected_bank_entry"
    AMOUNT = "amount"
    DUPLICATE = "duplicate"
    TIMING = "timing"


#: Breaks that explain a difference, so that the books still tie: they begin as `explained`, all others `open`.
EXPLAINED_TYPES: Final = frozenset({BreakType.TIMING})


class BreakState(StrEnum):
    """Where the work on a break stands.

    It waits while it is `open`, `assigned` or `explained`. `resolved`: an instruction that corrects it is named.
    `written_off`: two people accepted it as it is, and of the control account by an entry. `cleared`: a later run no
    longer found it. Each of these three begins anew as `open` if a run finds the cause again.
    """

    OPEN = "open"
    ASSIGNED = "assigned"
    EXPLAINED = "explained"
    RESOLVED = "resolved"
    WRITTEN_OFF = "written_off"
    CLEARED = "cleared"


#: Nobody waits for these.
ENDED_STATES: Final = frozenset({BreakState.RESOLVED, BreakState.WRITTEN_OFF, BreakState.CLEARED})


class ActionKind(StrEnum):
    """What happened to a break: what runs did (`found`, `changed`, `cleared`, `reopened`), and what people did."""

    FOUND = "found"
    CHANGED = "changed"
    CLEARED = "cleared"
    REOPENED = "reopened"
    ASSIGNED = "assigned"
    EXPLAINED = "explained"
    NOTED = "noted"
    EVIDENCE_ADDED = "evidence_added"
    RESOLVED = "resolved"
    WRITTEN_OFF = "written_off"


class Verdict(StrEnum):
    """`tied` only if no difference is left unexplained, but for those that two people accepted."""

    TIED = "tied"
    BROKEN = "broken"


class Backing(StrEnum):
    """Where the bank keeps what stands behind a class: on one control account, or on its customers' own accounts,
    where the core holds it.
    """

    CONTROL_ACCOUNT = "control_account"
    CUSTOMER_HOLDS = "customer_holds"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """One run for a token class: the log up to `event_index` against books, register and the bank's data.

    As of two times: `ledger_as_of` is the moment of the books that it looked at, `bank_as_of` the one that the bank's
    data reach up to (None without any). `statement_id` is the latest statement, if one is what confirms the class.
    `suspended_because` is why issuance may not go on; `current` runs move breaks and the breaker, those of a past
    moment don't. The last four are None in runs of older releases.
    """

    issuer_id: str
    id: str
    token_class_id: str
    event_index: int
    ledger_as_of: datetime
    statement_id: str | None
    verdict: str
    figures: Figures
    run_by: str
    created_at: datetime
    bank_as_of: datetime | None = None
    backing: str | None = None
    suspended_because: str | None = None
    current: bool | None = None


class Finding(NamedTuple):
    """One difference as one run found it. `break_id` is None where no break is carried for it.

    `difference_minor` is what the books have more (less, if negative) than the evidence bears out. One that moves money
    between holders only, so that no total differs, tells the amount moved.
    """

    reconciliation_id: str
    finding_number: int
    break_id: str | None
    type: str
    difference_minor: int
    explanation: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Break:
    """One difference for as long as its `cause` is the same, whatever later runs make of its type or amount.

    Type, difference, explanation and evidence are those of the last run that found it (`last_reconciliation_id`,
    `seen_at`); `reconciliation_id` and `created_at` are of the first. `instruction_id` is what corrected it, the change
    that posted its write-off included; `accepted_minor` the difference that was written off.
    """

    issuer_id: str
    id: str
    token_class_id: str
    cause: str
    type: str
    state: str
    difference_minor: int
    explanation: str
    evidence: Evidence
    reconciliation_id: str
    last_reconciliation_id: str
    created_at: datetime
    seen_at: datetime
    owner_id: str | None
    due_at: datetime
    instruction_id: str | None
    accepted_minor: int | None
    ended_at: datetime | None


class BreakAction(NamedTuple):
    """Something that happened to a break, numbered from 1.

    `subject_id` names what it is about: the run, the owner, the instruction or the file's SHA-256 in hexadecimal.
    """

    break_id: str
    action_number: int
    kind: str
    principal_id: str
    note: str | None
    subject_id: str | None
    done_at: datetime


class BreakFile(NamedTuple):
    """A file that was put to a break as evidence, without its content."""

    break_id: str
    content_hash: bytes
    name: str
    media_type: str
    size_bytes: int
    added_by: str
    added_at: datetime
