"""What instructions and other objects look like on the wire, for the OpenAPI document."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

__all__ = [
    "AccountActionView",
    "ApprovalDecisionView",
    "BatchView",
    "DepositView",
    "HoldMoveView",
    "HoldView",
    "ListView",
    "MintView",
    "OrderMoveView",
    "OrderView",
    "PayoutMoveView",
    "PayoutView",
    "ProblemView",
    "RecordedOrderView",
    "RecordedPayoutView",
    "RedemptionView",
    "ReleaseView",
    "ReversalView",
    "TransferBatchView",
    "TransferView",
    "View",
    "WaitingBatchView",
]

Item = TypeVar("Item")


class View(BaseModel):
    """An object as it is returned. New members may be added; none is taken away."""

    model_config = ConfigDict(extra="allow")


class ListView(View, Generic[Item]):
    """A page of objects."""

    object: str
    data: list[Item]
    has_more: bool
    next_cursor: str | None


class ProblemView(View):
    """An RFC 9457 problem. `code` is stable; further members depend on it."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class _InstructionView(View):
    id: str
    object: str
    created_at: str
    issuer_id: str
    state: str
    token_class_id: str
    currency: str
    reference: str | None
    reason: str | None = None
    settled_at: str | None
    final_at: str | None
    value_date: str | None = None
    event_id: str | None
    event_index: int | None
    signed_event: str | None = None


class _AmountView(_InstructionView):
    amount: str


class TransferView(_AmountView):
    """Tokens moved from one account to another."""

    payer_account_id: str
    payee_account_id: str
    reversed_amount: str | None = None


class MintView(_AmountView):
    """Tokens made from a confirmed deposit, once another person has approved."""

    account_id: str
    approval_id: str


class RedemptionView(_AmountView):
    """Tokens given back for the deposit they stand for."""

    account_id: str


class ReleaseView(_AmountView):
    """A confirmed deposit given back to the core bank's books."""

    account_id: str


class DepositView(_AmountView):
    """A confirmed deposit, or one that waits for an account or an approval."""

    account_id: str | None
    statement_entry_id: str | None
    approval_id: str | None = None


class HoldView(_AmountView):
    """Tokens set aside for a payee."""

    payer_account_id: str
    payee_account_id: str
    remaining_amount: str
    expires_at: str | None


class HoldMoveView(_AmountView):
    """A hold's execution or release."""

    payer_account_id: str
    payee_account_id: str | None
    hold_id: str


class ReversalView(_AmountView):
    """A transfer undone by a new, linked entry."""

    payer_account_id: str
    payee_account_id: str
    transfer_id: str
    approval_id: str


class AccountActionView(_InstructionView):
    """An account frozen, unfrozen or closed."""

    account_id: str
    approval_id: str | None = None


class OrderMoveView(_AmountView):
    """A top-up, lift or seizure of an order, with what it moves."""

    account_id: str
    order_id: str
    approval_id: str | None = None


class OrderView(View):
    """A freeze or court order, and what it has taken; `amount` is null for the whole account."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    state: str
    token_class_id: str
    currency: str
    account_id: str
    kind: str
    scope: str
    amount: str | None
    restricted: str
    seized: str
    held: str
    authority: str
    authority_reference: str | None
    reason: str
    created_by: str
    expires_at: str | None
    ended_at: str | None
    settled_at: str
    final_at: str
    value_date: str
    event_id: str
    event_index: int
    signed_event: str | None = None


class OrderActionView(View):
    """One thing done under an order; `approvals` are the hashes of other people's votes."""

    number: int
    action: str
    amount: str
    reason: str
    done_by: str
    approvals: list[str]
    done_at: str


class RecordedOrderView(OrderView):
    """An order with everything that was done under it."""

    actions: list[OrderActionView]


class BeneficiaryView(View):
    """Who is paid, and where."""

    name: str
    iban: str | None
    account_number: str | None
    bic: str | None
    street_name: str | None
    building_number: str | None
    post_code: str | None
    town_name: str
    country: str


class PayoutView(_AmountView):
    """Tokens redeemed to an account at another bank.

    `accepted_at` is when they left the holder's account, `settled_at` when the bank's statement showed the payment. The
    answer to the request itself leaves the beneficiary out.
    """

    account_id: str
    approval_id: str | None = None
    accepted_at: str | None
    uetr: str
    end_to_end_id: str
    purpose: str | None = None
    beneficiary: BeneficiaryView | None = None
    remittance: str | None = None
    payout_file_id: str | None = None
    bank_status: str | None = None
    in_progress: bool | None = None
    reason_code: str | None = None
    ended_reason: str | None = None


class PayoutHistoryView(View):
    """One thing that happened to a payout: a step that moved money, its file, or a status of the bank."""

    what: str
    at: str
    event_index: int | None = None
    done_by: str | None = None
    source_id: str | None = None
    status: str | None = None
    reason_code: str | None = None
    reason: str | None = None


class RecordedPayoutView(PayoutView):
    """A payout with everything that happened to it."""

    history: list[PayoutHistoryView]


class PayoutMoveView(_AmountView):
    """What ends a payout: here its cancellation."""

    account_id: str
    payout_id: str


class ApprovalDecisionView(View):
    """One person's decision and what it brought about."""

    id: str
    object: str
    state: str
    operation: str
    decision: str
    person: str
    decided_at: str
    hash: str
    instruction: dict[str, Any]
    signed_event: str | None = None


class BatchView(View):
    """The outcome of each item of a batch, in order."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    state: str
    principal_id: str
    atomic: bool
    settled_count: int
    pending_count: int
    refused_count: int
    items: list[dict[str, Any]]


class WaitingBatchView(View):
    """A batch whose total people have to approve: nothing of it is settled yet."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    state: str
    principal_id: str
    token_class_id: str
    currency: str
    amount: str
    approval_id: str
    settled_at: str | None
    final_at: str | None
    event_id: str | None
    event_index: int | None


class TransferBatchView(View):
    """A batch as it stands. One that waited for people has an approval, and the event that closed it."""

    id: str
    object: str
    created_at: str
    issuer_id: str
    state: str
    principal_id: str
    atomic: bool
    token_class_id: str | None = None
    currency: str | None = None
    amount: str | None = None
    approval_id: str | None = None
    expires_at: str | None = None
    items_count: int | None = None
    settled_count: int | None = None
    refused_count: int | None = None
    pending_count: int | None = None
    items: list[dict[str, Any]] | None = None
    event_index: int | None = None
    signed_event: str | None = None
