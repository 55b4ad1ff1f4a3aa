"""Deciding payouts: accepted by everything that a redemption meets, and ended by the bank's word, once each.

What comes behind the acceptance is bounded by the payout itself: each step takes its whole amount, from the one state
in which that can be, and the payout is locked meanwhile. So nothing is paid or given back twice, and giving back is no
second way to make tokens.
"""

from typing import Final

from tallystick import payouts
from tallystick.participants import AccountFacts, AccountStatus, AccountStatusConflictError
from tallystick.payouts import (
    Payout,
    PayoutFiledError,
    PayoutNotFoundError,
    PayoutStateConflictError,
    PayoutUetrTakenError,
    Step,
    StepKind,
)
from tallystick.tokens.instructions import Instruction, Kind, Request, State
from tallystick.tokens.journals import journal
from tallystick.tokens.outlines import settled_now, settles, settles_or_waits
from tallystick.tokens.plans import Facts, Plan
from tallystick.tokens.ruling import Asking, rule
from tallystick.tokens.sides import amount_of, may_act_for, own_account

__all__ = ["payout", "payout_step", "settle_payout"]

# Of each step: the state that the payout must be in, the one that it is in behind it, and what the step is called.
_STEPS: Final[dict[str, tuple[State, State, StepKind]]] = {
    Kind.PAYOUT_CANCELLATION: (State.ACCEPTED, State.CANCELLED, StepKind.CANCELLED),
    Kind.PAYOUT_REJECTION: (State.ACCEPTED, State.REJECTED, StepKind.REJECTED),
    Kind.PAYOUT_SETTLEMENT: (State.ACCEPTED, State.SETTLED, StepKind.SETTLED),
    Kind.PAYOUT_RETURN: (State.SETTLED, State.RETURNED, StepKind.RETURNED),
    Kind.PAYOUT_GIVE_BACK: (State.RETURNED, State.GIVEN_BACK, StepKind.GIVEN_BACK),
}
_GIVES_BACK: Final = frozenset({Kind.PAYOUT_CANCELLATION, Kind.PAYOUT_REJECTION, Kind.PAYOUT_GIVE_BACK})


def payout(facts: Facts, request: Request) -> Plan:
    """Return the plan of a payout: accepted, or waiting for people. Whom it pays is kept either way."""
    payer = own_account(facts, request.principal, request.payer_account_id, "account_id")
    amount_minor = amount_of(request, payer)
    said = payouts.asked(request.payload or {})
    payouts.check_payable(amount_minor, payer.currency, payer.scale)
    if said.uetr in facts.uetrs:
        raise PayoutUetrTakenError(field="uetr")
    asking = Asking(request.kind, payer, payer, None, request.purpose, request.principal.id)
    ruling = rule(facts, asking, amount_minor, beneficiary=facts.beneficiaries.get(request.id))
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, None)
    facts.book.check(postings)
    plan = settles_or_waits(facts, request, payer, amount_minor, postings, ruling, state=State.ACCEPTED)
    facts.uetrs.add(said.uetr)
    new = Payout(
        issuer_id=request.principal.issuer_id,
        id=request.id,
        token_class_id=payer.token_class_id,
        account_id=payer.account_id,
        amount_minor=amount_minor,
        uetr=said.uetr,
        beneficiary=said.beneficiary,
        remittance=said.remittance,
        purpose=request.purpose,
        created_at=plan.answers_with.created_at,
    )
    accepted = None if plan.settled is None else _accepted(facts, plan.settled)
    return plan._replace(payout=new, payout_step=accepted)


def settle_payout(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    """Return the plan of a payout that was approved: what the rules deny by now stays denied."""
    asking = Asking(subject.kind, of_account, of_account, None, subject.purpose, subject.principal_id)
    ruling = rule(facts, asking, subject.amount_minor, beneficiary=facts.beneficiaries.get(subject.id))
    postings = journal(
        subject.kind, subject.amount_minor, of_account.token_class_id, of_account.account_id, None
    )
    facts.book.check(postings)
    settled = settled_now(facts, subject, State.ACCEPTED)
    return Plan(
        settled,
        of_account.currency,
        of_account.scale,
        postings,
        settled=settled,
        changed=(settled,),
        ruling=ruling,
        payout_step=_accepted(facts, settled),
    )


def payout_step(facts: Facts, request: Request) -> Plan:
    """Return the plan of what ends a payout: its cancellation, the bank's rejection or payment, its return.

    No rule of a class decides on these: the bank has done them, or the holder's own tokens come back.
    """
    found = facts.instructions.get(request.related_id or "")
    payer = None if found is None else facts.accounts.get(found.payer_account_id or "")
    if found is None or found.kind != Kind.PAYOUT or payer is None:
        raise PayoutNotFoundError
    if not may_act_for(request.principal, payer):
        raise PayoutNotFoundError
    before, behind, step = _STEPS[request.kind]
    if found.state != before:
        raise PayoutStateConflictError(f"The payout is {found.state}.", state=found.state)
    _check_file(facts, request.kind, found.id)
    if request.kind in _GIVES_BACK and payer.status == AccountStatus.CLOSED:
        raise AccountStatusConflictError("The account is closed.")
    amount_minor = found.amount_minor
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, None)
    facts.book.check(postings)
    said = request.payload or {}
    taken = Step(
        found.id,
        step,
        amount_minor,
        facts.next_index,
        request.principal.id,
        facts.booked_at,
        said.get("source_id"),
        said.get("reason_code"),
        request.reason,
    )
    asked = request._replace(payer_account_id=payer.account_id)
    plan = settles(facts, asked, payer, amount_minor, postings, changed=(found._replace(state=behind.value),))
    return plan._replace(payout_step=taken)


def _check_file(facts: Facts, kind: str, payout_id: str) -> None:
    """Only what no bank has can be cancelled, and only what the bank has can be rejected or paid."""
    is_filed = payout_id in facts.filed_payouts
    if kind == Kind.PAYOUT_CANCELLATION and is_filed:
        raise PayoutFiledError
    if kind in (Kind.PAYOUT_REJECTION, Kind.PAYOUT_SETTLEMENT) and not is_filed:
        raise PayoutStateConflictError("The payout is in no file.")


def _accepted(facts: Facts, settled: Instruction) -> Step:
    return Step(
        settled.id,
        StepKind.ACCEPTED,
        settled.amount_minor,
        settled.event_index or 0,
        settled.principal_id,
        facts.booked_at,
    )
