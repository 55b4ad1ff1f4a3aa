"""What participants ask, and how it is kept.

received → settled, or refused without a trace in the books; with four eyes: received → pending_approval → settled or
rejected, or expired when nobody decided; a deposit that no account could be found for: unassigned → settled; a hold:
held → executed or voided; a payout: accepted → cancelled, rejected or settled → returned → given back.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from tallystick.core.errors import DomainError
from tallystick.participants import Principal

__all__ = [
    "ID_PREFIX",
    "ConfirmedByHand",
    "Instruction",
    "Kind",
    "Outcome",
    "Request",
    "State",
    "Submission",
]


class Kind(StrEnum):
    """What can be asked of the write path."""

    DEPOSIT = "deposit"
    DEPOSIT_ASSIGNMENT = "deposit_assignment"
    DEPOSIT_RELEASE = "deposit_release"
    MINT = "mint"
    TRANSFER = "transfer"
    TRANSFER_BATCH = "transfer_batch"
    REDEMPTION = "redemption"
    HOLD = "hold"
    HOLD_EXECUTION = "hold_execution"
    HOLD_VOID = "hold_void"
    REVERSAL = "reversal"
    ACCOUNT_FREEZE = "account_freeze"
    ACCOUNT_UNFREEZE = "account_unfreeze"
    ACCOUNT_CLOSURE = "account_closure"
    ORDER = "order"
    ORDER_TOP_UP = "order_top_up"
    ORDER_LIFT = "order_lift"
    ORDER_SEIZURE = "order_seizure"
    ORDER_EXPIRY = "order_expiry"
    PAYOUT = "payout"
    PAYOUT_CANCELLATION = "payout_cancellation"
    PAYOUT_REJECTION = "payout_rejection"
    PAYOUT_SETTLEMENT = "payout_settlement"
    PAYOUT_RETURN = "payout_return"
    PAYOUT_GIVE_BACK = "payout_give_back"
    CHANGE = "change"
    APPROVE = "approve"
    REJECT = "reject"
    APPROVAL_EXPIRY = "approval_expiry"
    ATTESTATION = "attestation"


class State(StrEnum):
    """Where an instruction stands."""

    UNASSIGNED = "unassigned"
    PENDING_APPROVAL = "pending_approval"
    SETTLED = "settled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    HELD = "held"
    EXECUTED = "executed"
    VOIDED = "voided"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"
    RETURNED = "returned"
    GIVEN_BACK = "given_back"


ID_PREFIX: Final[dict[str, str]] = {
    Kind.DEPOSIT: "deposit",
    Kind.DEPOSIT_ASSIGNMENT: "assignment",
    Kind.DEPOSIT_RELEASE: "release",
    Kind.MINT: "mint",
    Kind.TRANSFER: "transfer",
    Kind.TRANSFER_BATCH: "batch",
    Kind.REDEMPTION: "redemption",
    Kind.HOLD: "hold",
    Kind.HOLD_EXECUTION: "execution",
    Kind.HOLD_VOID: "void",
    Kind.REVERSAL: "reversal",
    Kind.ACCOUNT_FREEZE: "freeze",
    Kind.ACCOUNT_UNFREEZE: "unfreeze",
    Kind.ACCOUNT_CLOSURE: "closure",
    Kind.ORDER: "order",
    Kind.ORDER_TOP_UP: "top_up",
    Kind.ORDER_LIFT: "lift",
    Kind.ORDER_SEIZURE: "seizure",
    Kind.ORDER_EXPIRY: "order_expiry",
    Kind.PAYOUT: "payout",
    Kind.PAYOUT_CANCELLATION: "payout_cancellation",
    Kind.PAYOUT_REJECTION: "payout_rejection",
    Kind.PAYOUT_SETTLEMENT: "payout_settlement",
    Kind.PAYOUT_RETURN: "payout_return",
    Kind.PAYOUT_GIVE_BACK: "payout_give_back",
    Kind.CHANGE: "change",
    Kind.APPROVE: "decision",
    Kind.REJECT: "decision",
    Kind.APPROVAL_EXPIRY: "expiry",
    Kind.ATTESTATION: "attestation",
}


class Request(NamedTuple):
    """One thing asked of the write path, understood but not decided.

    `key_digest` finds the answer again for ever; `request_hash` is the SHA-256 of the canonical request; `amount` is
    still text, since only the token class tells its scale. `evidence` says that a bank statement shows the deposit;
    `source` where the request came from, as it is kept for the audit trail;
    `purpose` is a payment's purpose code; `operation` and `payload` say what a change does to `related_id`. A batch's
    `payload` is its body as it was sent, an order's who ordered what of the account, an attestation's what it says, a
    payout's whom it pays, and that of a payout's step what the bank said and where;
    `approval_hashes` are of the votes that let an item's whole batch through.
    """

    id: str
    kind: str
    principal: Principal
    key_digest: bytes
    request_hash: bytes
    amount: str | None = None
    currency: str | None = None
    payer_account_id: str | None = None
    payee_account_id: str | None = None
    token_class_id: str | None = None
    related_id: str | None = None
    reference: str | None = None
    reason: str | None = None
    value_date: date | None = None
    expires_at: datetime | None = None
    evidence: bool = False
    source: str | None = None
    purpose: str | None = None
    operation: str | None = None
    payload: Mapping[str, Any] | None = None
    approval_hashes: tuple[bytes, ...] = ()


class Submission(NamedTuple):
    """What one caller hands in at once: one request, or a batch of them under a key of its own.

    With `atomic`, all items settle or none does.
    """

    requests: tuple[Request, ...]
    batch: Request | None = None
    atomic: bool = False


class Instruction(NamedTuple):
    """A request as it is kept, one row; `remaining_minor` is what a hold or a transfer can still give back.

    A change has no token class, and an `operation`; everything else has a token class and none.
    """

    id: str
    kind: str
    state: str
    principal_id: str
    token_class_id: str | None
    amount_minor: int
    remaining_minor: int | None
    payer_account_id: str | None
    payee_account_id: str | None
    related_id: str | None
    reference: str | None
    reason: str | None
    request_hash: bytes
    value_date: date | None
    created_at: datetime
    expires_at: datetime | None
    settled_at: datetime | None
    event_index: int | None
    operation: str | None = None
    purpose: str | None = None
    source: str | None = None


class ConfirmedByHand(NamedTuple):
    """A settled deposit that two people confirmed without a statement; `value_date` is the one that was signed."""

    deposit_id: str
    account_id: str
    amount_minor: int
    value_date: date


class Outcome(NamedTuple):
    """What became of one request: an answer to give (`body` is JSON, `status` is HTTP's) or a refusal.

    `resource_id` names what the answer tells of; `event_index` its place in the log, once it is settled, and
    `signed_events` holds the signed event that stands there, once its batch is. `answer` is the body without that, or
    what makes it: of a file's thousand transfers nobody asks for one.
    """

    status: int = 0
    answer: bytes | Callable[[], str] = b""
    resource_id: str = ""
    event_index: int | None = None
    refusal: DomainError | None = None
    replayed: bool = False
    signed_events: Mapping[int, str] | None = None

    def __repr__(self) -> str:
        # Neither the answer nor the events: a batch's are megabytes.
        told = f"status={self.status}, resource_id={self.resource_id!r}, event_index={self.event_index}"
        return f"Outcome({told}, refusal={self.refusal!r}, replayed={self.replayed})"

    @property
    def body(self) -> bytes:
        """The answer's bytes, made on demand: a JSON object with `signed_event` as its last member, if there is one."""
        answer = self.answer if isinstance(self.answer, bytes) else self.answer().encode()
        if self.event_index is None or self.signed_events is None:
            return answer
        return b'%b,"signed_event":"%b"}' % (answer[:-1], self.signed_events[self.event_index].encode())
