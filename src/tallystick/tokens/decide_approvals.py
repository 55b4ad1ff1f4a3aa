"""Deciding what people decide: an approval settles what it lets through, by everything that held when it was asked."""

from collections.abc import Callable
from typing import Final

from tallystick.approvals import (
    Approval,
    ApprovalNotExpiredError,
    ApprovalNotFoundError,
    Vote,
    check_amount,
    check_vote,
    make_vote,
)
from tallystick.participants import AccountFacts, AccountStatus, AccountStatusConflictError
from tallystick.tokens.decide_changes import settle_change
from tallystick.tokens.decide_orders import settle_lift, settle_seizure
from tallystick.tokens.decide_payouts import settle_payout
from tallystick.tokens.instructions import Instruction, Kind, Request, State
from tallystick.tokens.issuance import BreakerTrippedError, Trip, trips
from tallystick.tokens.journals import journal
from tallystick.tokens.outlines import settled_now
from tallystick.tokens.plans import Facts, Plan
from tallystick.tokens.refusals import HoldExpiredError, RemainingExceededError
from tallystick.tokens.reversing import can_take_back, reversible_minor
from tallystick.tokens.ruling import Asking, rule

__all__ = ["approval_expiry", "approve", "reject"]


def approve(facts: Facts, request: Request) -> Plan:
    """Take an approving vote, and settle its subject if that makes the quorum.

    The vote's own event comes first in the log, and what it settles right behind it.
    """
    approval, votes, subject = _approval(facts, request)
    person = check_vote(approval, votes, request.principal.person, facts.now)
    check_amount(approval, request.amount, request.currency)
    vote = _vote(facts, request, approval, person, "approve")
    of_account = _account_of(facts, subject)
    currency, scale = _money_of(approval, of_account)
    hashes = tuple(one.hash for one in (*votes, vote))
    if len(hashes) < max(approval.quorum, _checkers_now(facts, subject, of_account)):
        return Plan(subject, currency, scale, vote=(approval, vote, "pending"))
    facts.next_index += 1
    try:
        plan = _settle(facts, approval, subject, of_account)
    finally:
        facts.next_index -= 1
    return plan._replace(vote=(approval, vote, "approved"), approval_hashes=hashes)


def reject(facts: Facts, request: Request) -> Plan:
    """Take a rejecting vote: one is enough."""
    approval, votes, subject = _approval(facts, request)
    person = check_vote(approval, votes, request.principal.person, facts.now)
    vote = _vote(facts, request, approval, person, "reject")
    rejected = _ended(subject, State.REJECTED)
    currency, scale = _money_of(approval, _account_of(facts, subject))
    return Plan(rejected, currency, scale, changed=(rejected,), vote=(approval, vote, "rejected"))


def approval_expiry(facts: Facts, request: Request) -> Plan:
    """Close what nobody decided in time, so that it is seen in the log and not only by who looks."""
    approval, _, subject = _approval(facts, request)
    if approval.state != "pending" or approval.expires_at > facts.now:
        raise ApprovalNotExpiredError
    expired = _ended(subject, State.EXPIRED)
    currency, scale = _money_of(approval, _account_of(facts, subject))
    return Plan(expired, currency, scale, changed=(expired,), expired=approval)


def _ended(subject: Instruction, state: State) -> Instruction:
    """Return what became of a subject that nobody let through.

    What a statement shows has come, whoever it is for: such a deposit waits to be assigned again.
    """
    if subject.kind == Kind.DEPOSIT and subject.related_id is not None:
        return subject._replace(state=State.UNASSIGNED, payee_account_id=None)
    return subject._replace(state=state)


def _settle(facts: Facts, approval: Approval, subject: Instruction, of_account: AccountFacts | None) -> Plan:
    if of_account is None:
        return settle_change(facts, subject, approval)
    return _SETTLERS[subject.kind](facts, subject, of_account)


def _settle_posting(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    """Settle what moves money. What the rules refer, people have looked at; what they deny stays denied."""
    if subject.kind == Kind.HOLD and subject.expires_at is not None and subject.expires_at <= facts.now:
        raise HoldExpiredError("Its time was over before it was approved.")
    payer = facts.accounts.get(subject.payer_account_id or "")
    payee = facts.accounts.get(subject.payee_account_id or "")
    asking = Asking(subject.kind, of_account, payer, payee, subject.purpose, subject.principal_id)
    ruling = rule(facts, asking, subject.amount_minor)
    postings = journal(
        subject.kind,
        subject.amount_minor,
        of_account.token_class_id,
        subject.payer_account_id,
        subject.payee_account_id,
    )
    facts.book.check(postings)
    if subject.kind == Kind.HOLD:
        settled = settled_now(facts, subject, State.HELD)._replace(remaining_minor=subject.amount_minor)
    else:
        settled = settled_now(facts, subject)
    return Plan(
        settled,
        of_account.currency,
        of_account.scale,
        postings,
        settled=settled,
        changed=(settled,),
        ruling=ruling,
    )


def _settle_mint(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    facts.check_issuance_open(of_account)
    plan = _settle_posting(facts, subject, of_account)
    lately = facts.issuance[of_account.token_class_id]
    why = trips(facts.policy_of(of_account).breaker, lately, subject.amount_minor)
    if why is not None:
        raise BreakerTrippedError(Trip(of_account.token_class_id, why), detail=why)
    return plan


def _settle_reversal(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    transfer = facts.instructions[subject.related_id or ""]
    remaining_minor = reversible_minor(transfer) - subject.amount_minor
    if remaining_minor < 0:
        raise RemainingExceededError
    can_take_back(facts, transfer)
    postings = journal(
        subject.kind,
        subject.amount_minor,
        of_account.token_class_id,
        subject.payer_account_id,
        subject.payee_account_id,
    )
    facts.book.check(postings)
    settled = settled_now(facts, subject)
    changed = (settled, transfer._replace(remaining_minor=remaining_minor))
    return Plan(settled, of_account.currency, of_account.scale, postings, settled=settled, changed=changed)


def _settle_batch(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    """Let a batch's items be decided, each by everything that holds now."""
    return Plan(subject, of_account.currency, of_account.scale, batch=facts.batches[subject.id])


def _settle_unfreeze(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    if of_account.status != AccountStatus.FROZEN:
        raise AccountStatusConflictError(f"The account is {of_account.status}.")
    settled = settled_now(facts, subject)
    return Plan(
        settled,
        of_account.currency,
        of_account.scale,
        settled=settled,
        changed=(settled,),
        account_status=(of_account.account_id, AccountStatus.OPEN, subject.reason or ""),
    )


def _checkers_now(facts: Facts, subject: Instruction, of_account: AccountFacts | None) -> int:
    """Return how many people the subject takes by what is in force now: a stricter rule counts at once."""
    if of_account is not None:
        return facts.policy_of(of_account).checkers(subject.kind, subject.amount_minor)
    return 1


def _account_of(facts: Facts, subject: Instruction) -> AccountFacts | None:
    if subject.id in facts.batches:
        # All of its items are of one class.
        return facts.accounts[facts.batches[subject.id].requests[0].payer_account_id or ""]
    return facts.accounts.get(subject.payer_account_id or subject.payee_account_id or "")


def _money_of(approval: Approval, of_account: AccountFacts | None) -> tuple[str | None, int]:
    if of_account is None:
        return approval.currency, approval.scale or 0
    return of_account.currency, of_account.scale


def _approval(facts: Facts, request: Request) -> tuple[Approval, list[Vote], Instruction]:
    found = facts.approvals.get(request.related_id or "")
    if found is None:
        raise ApprovalNotFoundError
    approval, votes = found
    return approval, votes, facts.instructions[approval.subject_id]


def _vote(facts: Facts, request: Request, approval: Approval, person: str, decision: str) -> Vote:
    return make_vote(
        approval,
        person=person,
        principal_id=request.principal.id,
        decision=decision,
        reason=request.reason,
        decided_at=facts.now,
    )


_SETTLERS: Final[dict[str, Callable[[Facts, Instruction, AccountFacts], Plan]]] = {
    Kind.MINT: _settle_mint,
    Kind.DEPOSIT: _settle_posting,
    Kind.TRANSFER: _settle_posting,
    Kind.TRANSFER_BATCH: _settle_batch,
    Kind.HOLD: _settle_posting,
    Kind.REDEMPTION: _settle_posting,
    Kind.PAYOUT: settle_payout,
    Kind.DEPOSIT_RELEASE: _settle_posting,
    Kind.REVERSAL: _settle_reversal,
    Kind.ACCOUNT_UNFREEZE: _settle_unfreeze,
    Kind.ORDER_LIFT: settle_lift,
    Kind.ORDER_SEIZURE: settle_seizure,
}
