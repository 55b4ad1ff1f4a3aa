"""What is kept of payouts. Amounts are minor units of the token class."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from tallystick.core.errors import ConflictError, MalformedError, NotFoundError

__all__ = [
    "Beneficiary",
    "FileFormat",
    "FiledItem",
    "Finding",
    "FindingAction",
    "FindingActionKind",
    "FindingKind",
    "FindingState",
    "NewStatusItem",
    "Payout",
    "PayoutFile",
    "PayoutFileNotFoundError",
    "PayoutFileOutdatedError",
    "PayoutFiledError",
    "PayoutFindingNotFoundError",
    "PayoutMalformedError",
    "PayoutNotFoundError",
    "PayoutStateConflictError",
    "PayoutUetrTakenError",
    "StatusItem",
    "StatusMessage",
    "Step",
    "StepKind",
]


class PayoutNotFoundError(NotFoundError):
    """No such payout, or none that the caller may know of."""

    code = "payout_not_found"
    title = "No such payout"


class PayoutMalformedError(MalformedError):
    """What a payment message has to say of the beneficiary is missing, too long, or written in other characters."""

    code = "payout_malformed"
    title = "No payment message can be made of this"


class PayoutUetrTakenError(ConflictError):
    """Another payout has this UETR: one names one payment, from end to end and for ever."""

    code = "payout_uetr_taken"
    title = "Another payout has this UETR"


class PayoutStateConflictError(ConflictError):
    """The payout has left the state in which this can be done."""

    code = "payout_state_conflict"
    title = "The payout is in another state"


class PayoutFiledError(ConflictError):
    """The payout is in a file for the bank: it may have been paid, so only the bank's word ends it."""

    code = "payout_filed"
    title = "The payout is in a file for the bank"


class PayoutFileNotFoundError(NotFoundError):
    """No such payout file of this issuer."""

    code = "payout_file_not_found"
    title = "No such payout file"


class PayoutFileOutdatedError(ConflictError):
    """There is nothing to pay, or what the file was asked for has changed: ask again."""

    code = "payout_file_outdated"
    title = "These payouts can't go into a file now"


class PayoutFindingNotFoundError(NotFoundError):
    """No such finding about payouts of this issuer."""

    code = "payout_finding_not_found"
    title = "No such finding about payouts"


class Beneficiary(NamedTuple):
    """Who is paid, and where. The address is structured: towns and countries are not read out of free lines."""

    name: str
    iban: str | None
    account_number: str | None
    bic: str | None
    town_name: str
    country: str
    street_name: str | None = None
    building_number: str | None = None
    post_code: str | None = None


@dataclass(frozen=True, slots=True)
class Payout:
    """What a payout asks the bank to do. Where it stands is in its instruction."""

    issuer_id: str
    id: str
    token_class_id: str
    account_id: str
    amount_minor: int
    uetr: str
    beneficiary: Beneficiary
    remittance: str | None
    purpose: str | None
    created_at: datetime

    @property
    def end_to_end_id(self) -> str:
        """What every bank on the way repeats: the id without its prefix, which the character set has no room for."""
        return self.id[-26:]


class StepKind(StrEnum):
    """What moved money for a payout; each once."""

    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    SETTLED = "settled"
    RETURNED = "returned"
    GIVEN_BACK = "given_back"


class Step(NamedTuple):
    """One step of a payout. `source_id` is the entry or the status message that says so."""

    payout_id: str
    step: StepKind
    amount_minor: int
    event_index: int
    done_by: str
    done_at: datetime
    source_id: str | None = None
    reason_code: str | None = None
    reason: str | None = None


class FileFormat(StrEnum):
    """The ISO 20022 messages that a file can be."""

    PAIN_001 = "pain.001.001.09"
    PACS_008 = "pacs.008.001.08"


@dataclass(frozen=True, slots=True)
class PayoutFile:
    """A file for the bank, without its bytes."""

    issuer_id: str
    id: str
    token_class_id: str
    sequence: int
    format: str
    message_id: str
    execution_date: date
    payout_count: int
    control_sum_minor: int
    content_hash: bytes
    made_by: str
    event_index: int
    made_at: datetime


class FiledItem(NamedTuple):
    """A payout's place in its file, and the instruction that will settle it."""

    payout_id: str
    file_id: str
    number: int
    settlement_id: str


@dataclass(frozen=True, slots=True)
class StatusMessage:
    """A message of the bank about files of ours."""

    issuer_id: str
    id: str
    message_id: str
    content_hash: bytes
    said_to_be_of: str | None
    received_by: str
    received_at: datetime


class NewStatusItem(NamedTuple):
    """What a status message says of one payout, with the bank's reason."""

    payout_id: str
    status: str
    reason_code: str | None
    reason: str | None


class StatusItem(NamedTuple):
    """As `NewStatusItem`, with where it was said and when that came."""

    payout_id: str
    status: str
    reason_code: str | None
    reason: str | None
    status_id: str
    number: int
    received_at: datetime


class FindingKind(StrEnum):
    """What contradicts the books, or each other, and is left to people.

    `rejected_too_late`: rejected although the bank has paid, or the tokens were given back in another way.
    `accepted_after_end`: reported as under way or paid although it was rejected. `status_unknown_payout`: a status of
    what is in no file. `amount_differs`: a debit with the payout's references and another amount. `debited_again`: a
    second debit. `debited_after_end`: a debit although the tokens were given back. `return_amount_differs`,
    `returned_again`, `return_without_payment`: a return of another amount, a second one, and one of what was never
    paid. `give_back_refused`: the money is back and the account can't take the tokens.
    """

    REJECTED_TOO_LATE = "rejected_too_late"
    ACCEPTED_AFTER_END = "accepted_after_end"
    STATUS_UNKNOWN_PAYOUT = "status_unknown_payout"
    AMOUNT_DIFFERS = "amount_differs"
    DEBITED_AGAIN = "debited_again"
    DEBITED_AFTER_END = "debited_after_end"
    RETURN_AMOUNT_DIFFERS = "return_amount_differs"
    RETURNED_AGAIN = "returned_again"
    RETURN_WITHOUT_PAYMENT = "return_without_payment"
    GIVE_BACK_REFUSED = "give_back_refused"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something for people. `source_id` is what said it; `subject` is the payout, or what the bank called it.

    Where it stands follows from what people did: `owner_id` has it, `instruction_id` is what corrected it, if anything.
    """

    issuer_id: str
    id: str
    kind: str
    source_id: str
    subject: str
    payout_id: str | None
    detail: str
    found_at: datetime
    owner_id: str | None = None
    instruction_id: str | None = None
    ended_at: datetime | None = None

    @property
    def state(self) -> "FindingState":
        """Where the work on it stands."""
        if self.ended_at is not None:
            return FindingState.RESOLVED
        return FindingState.OPEN if self.owner_id is None else FindingState.ASSIGNED


class FindingState(StrEnum):
    """Where the work on a finding stands: it waits while it is `open` or `assigned`."""

    OPEN = "open"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"


class FindingActionKind(StrEnum):
    """What people did about a finding."""

    ASSIGNED = "assigned"
    NOTED = "noted"
    RESOLVED = "resolved"


class FindingAction(NamedTuple):
    """Something that was done about a finding, numbered from 1. `subject_id` names the owner or the instruction."""

    finding_id: str
    action_number: int
    kind: str
    principal_id: str
    note: str | None
    subject_id: str | None
    done_at: datetime
