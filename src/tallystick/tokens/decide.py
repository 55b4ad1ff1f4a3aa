"""Deciding one request: a straight descent of refusals, then a plan from which everything must succeed.

Nothing here touches the database. Facts were read under lock, and the book already holds what the requests before
this one in the batch posted.
"""

from collections.abc import Callable
from typing import Final

from tallystick.approvals import Approval, ApprovalNotFoundError, Vote, check_amount, check_vote, make_vote
from tallystick.core.money import parse_positive_amount
from tallystick.ledger import HOLDER_CODES, Posting, ledger_account_id
from tallystick.participants import (
    AccountFacts,
    AccountNotFoundError,
    AccountStatus,
    AccountStatusConflictError,
    Principal,
    TokenClassNotFoundError,
)
from tallystick.policy import PartyFacts, PolicyFacts, refusal
from tallystick.policy import decide as decide_policy
from tallystick.tokens.instructions import Instruction, Kind, Request, State
from tallystick.tokens.journals import journal
from tallystick.tokens.plans import Facts, Plan
from tallystick.tokens.refusals import (
    AccountNotEmptyError,
    CurrencyMismatchError,
    DepositNotAssignableError,
    HoldClosedError,
    HoldExpiredError,
    HoldNotFoundError,
    InstructionNotFoundError,
    MakerNotAPersonError,
    NotReversibleError,
    RemainingExceededError,
    SameAccountError,
    TokenClassMismatchError,
)

__all__ = ["decide"]


def decide(facts: Facts, request: Request) -> Plan:
    """Return the plan of one request or raise the DomainError that refuses it."""
    return _DECIDERS[request.kind](facts, request)


def _transfer(facts: Facts, request: Request) -> Plan:
    payer, payee = _two_sides(facts, request)
    amount_minor = _amount(request, payer)
    _allow(facts, payer, (payer, payee))
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, payee.account_id)
    facts.book.check(postings)
    return _settles(facts, request, payer, amount_minor, postings)


def _hold(facts: Facts, request: Request) -> Plan:
    if request.expires_at is not None and request.expires_at <= facts.now:
        raise HoldExpiredError("`expires_at` lies in the past.")
    payer, payee = _two_sides(facts, request)
    amount_minor = _amount(request, payer)
    _allow(facts, payer, (payer, payee))
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, payee.account_id)
    facts.book.check(postings)
    return _settles(
        facts, request, payer, amount_minor, postings, state=State.HELD, remaining_minor=amount_minor
    )


def _hold_execution(facts: Facts, request: Request) -> Plan:
    hold = _open_hold(facts, request)
    if hold.expires_at is not None and hold.expires_at <= facts.now:
        raise HoldExpiredError
    payer, payee = facts.accounts[hold.payer_account_id or ""], facts.accounts[hold.payee_account_id or ""]
    amount_minor = _amount(request, payer)
    remaining_minor = (hold.remaining_minor or 0) - amount_minor
    if remaining_minor < 0:
        raise RemainingExceededError
    _allow(facts, payer, (payer, payee))
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, payee.account_id)
    facts.book.check(postings)
    state = State.HELD if remaining_minor else State.EXECUTED
    return _settles(
        facts,
        request._replace(payer_account_id=payer.account_id, payee_account_id=payee.account_id),
        payer,
        amount_minor,
        postings,
        changed=(hold._replace(remaining_minor=remaining_minor, state=state),),
    )


def _hold_void(facts: Facts, request: Request) -> Plan:
    hold = _open_hold(facts, request)
    payer = facts.accounts[hold.payer_account_id or ""]
    amount_minor = hold.remaining_minor or 0
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, None)
    facts.book.check(postings)
    return _settles(
        facts,
        request._replace(payer_account_id=payer.account_id),
        payer,
        amount_minor,
        postings,
        changed=(hold._replace(remaining_minor=0, state=State.VOIDED),),
    )


def _redemption(facts: Facts, request: Request) -> Plan:
    payer = _own_account(facts, request.principal, request.payer_account_id)
    amount_minor = _amount(request, payer)
    _allow(facts, payer, (payer,), creates_or_moves=False)
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, None)
    facts.book.check(postings)
    return _settles(facts, request, payer, amount_minor, postings)


def _deposit_release(facts: Facts, request: Request) -> Plan:
    payer = _own_account(facts, request.principal, request.payer_account_id)
    amount_minor = _amount(request, payer)
    _allow(facts, payer, (payer,), creates_or_moves=False)
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, None)
    facts.book.check(postings)
    return _settles(facts, request, payer, amount_minor, postings)


def _deposit(facts: Facts, request: Request) -> Plan:
    if request.payee_account_id is None:
        return _unassigned_deposit(facts, request)
    payee = _own_account(facts, request.principal, request.payee_account_id, "account_id")
    amount_minor = _amount(request, payee)
    _allow(facts, payee, (payee,))
    postings = journal(request.kind, amount_minor, payee.token_class_id, None, payee.account_id)
    facts.book.check(postings)
    if not request.evidence:
        return _waits(facts, request, payee, amount_minor)
    return _settles(facts, request, payee, amount_minor, postings)


def _unassigned_deposit(facts: Facts, request: Request) -> Plan:
    if not request.evidence:
        # Assigning takes one person only, so what waits for it must be on a statement.
        raise AccountNotFoundError(field="account_id")
    of_class = facts.classes.get(request.token_class_id or "")
    if of_class is None:
        raise TokenClassNotFoundError
    if request.currency != of_class.currency:
        raise CurrencyMismatchError
    amount_minor = parse_positive_amount(request.amount or "", of_class.scale)
    waiting = _instruction(facts, request, of_class.id, amount_minor, State.UNASSIGNED)
    return Plan(waiting, of_class.currency, of_class.scale, added=waiting)


def _deposit_assignment(facts: Facts, request: Request) -> Plan:
    deposit = facts.instructions.get(request.related_id or "")
    if deposit is None or deposit.kind != Kind.DEPOSIT:
        raise InstructionNotFoundError
    if deposit.state != State.UNASSIGNED:
        raise DepositNotAssignableError
    payee = _own_account(facts, request.principal, request.payee_account_id, "account_id")
    if payee.token_class_id != deposit.token_class_id:
        raise TokenClassMismatchError
    _allow(facts, payee, (payee,))
    postings = journal(Kind.DEPOSIT, deposit.amount_minor, payee.token_class_id, None, payee.account_id)
    facts.book.check(postings)
    # The event names the person who assigned, and the deposit keeps the reason.
    settled = _settled(facts, deposit)._replace(
        state=State.SETTLED,
        payee_account_id=payee.account_id,
        principal_id=request.principal.id,
        reason=request.reason,
    )
    return Plan(settled, payee.currency, payee.scale, postings, settled=settled, changed=(settled,))


def _mint(facts: Facts, request: Request) -> Plan:
    payee = _own_account(facts, request.principal, request.payee_account_id, "account_id")
    amount_minor = _amount(request, payee)
    _allow(facts, payee, (payee,))
    facts.book.check(journal(request.kind, amount_minor, payee.token_class_id, None, payee.account_id))
    return _waits(facts, request, payee, amount_minor)


def _reversal(facts: Facts, request: Request) -> Plan:
    transfer = facts.instructions.get(request.related_id or "")
    if transfer is None:
        raise InstructionNotFoundError
    if transfer.kind != Kind.TRANSFER or transfer.state != State.SETTLED:
        raise NotReversibleError
    payer = facts.accounts[transfer.payee_account_id or ""]
    amount_minor = _amount(request, payer)
    if amount_minor > _reversible_minor(transfer):
        raise RemainingExceededError
    _can_take_back(facts, transfer)
    facts.book.check(
        journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, transfer.payer_account_id)
    )
    asked = request._replace(payer_account_id=payer.account_id, payee_account_id=transfer.payer_account_id)
    return _waits(facts, asked, payer, amount_minor)


def _account_freeze(facts: Facts, request: Request) -> Plan:
    account = _own_account(facts, request.principal, request.payer_account_id, "account_id")
    if account.status != AccountStatus.OPEN:
        raise AccountStatusConflictError(f"The account is {account.status}.")
    change = (account.account_id, AccountStatus.FROZEN, request.reason or "")
    return _settles(facts, request, account, 0, ())._replace(account_status=change)


def _account_unfreeze(facts: Facts, request: Request) -> Plan:
    account = _own_account(facts, request.principal, request.payer_account_id, "account_id")
    if account.status != AccountStatus.FROZEN:
        raise AccountStatusConflictError(f"The account is {account.status}.")
    return _waits(facts, request, account, 0)


def _account_closure(facts: Facts, request: Request) -> Plan:
    account = _own_account(facts, request.principal, request.payer_account_id, "account_id")
    if account.status != AccountStatus.OPEN:
        raise AccountStatusConflictError(f"The account is {account.status}.")
    if any(facts.book.available_minor(ledger_account_id(code, account.account_id)) for code in HOLDER_CODES):
        raise AccountNotEmptyError
    change = (account.account_id, AccountStatus.CLOSED, request.reason or "")
    return _settles(facts, request, account, 0, ())._replace(account_status=change)


def _approve(facts: Facts, request: Request) -> Plan:
    approval, votes, subject = _approval(facts, request)
    person = check_vote(approval, votes, request.principal.person, facts.now)
    check_amount(approval, request.amount, request.currency)
    vote = _vote(facts, request, approval, person, "approve")
    of_account = facts.accounts[subject.payer_account_id or subject.payee_account_id or ""]
    if len(votes) + 1 < approval.quorum:
        return Plan(subject, of_account.currency, of_account.scale, vote=(approval, vote, "pending"))
    hashes = tuple(one.hash for one in (*votes, vote))
    plan = _SETTLERS[subject.kind](facts, subject, of_account)
    return plan._replace(vote=(approval, vote, "approved"), approval_hashes=hashes)


def _reject(facts: Facts, request: Request) -> Plan:
    approval, votes, subject = _approval(facts, request)
    person = check_vote(approval, votes, request.principal.person, facts.now)
    vote = _vote(facts, request, approval, person, "reject")
    of_account = facts.accounts[subject.payer_account_id or subject.payee_account_id or ""]
    rejected = subject._replace(state=State.REJECTED)
    return Plan(
        rejected,
        of_account.currency,
        of_account.scale,
        changed=(rejected,),
        vote=(approval, vote, "rejected"),
    )


def _settle_posting(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    """Settle an approved mint or deposit: everything that held when it was asked for must still hold."""
    _allow(facts, of_account, (of_account,))
    postings = journal(
        subject.kind,
        subject.amount_minor,
        subject.token_class_id,
        subject.payer_account_id,
        subject.payee_account_id,
    )
    facts.book.check(postings)
    settled = _settled(facts, subject)._replace(state=State.SETTLED)
    return Plan(settled, of_account.currency, of_account.scale, postings, settled=settled, changed=(settled,))


def _settle_reversal(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    transfer = facts.instructions[subject.related_id or ""]
    remaining_minor = _reversible_minor(transfer) - subject.amount_minor
    if remaining_minor < 0:
        raise RemainingExceededError
    _can_take_back(facts, transfer)
    postings = journal(
        subject.kind,
        subject.amount_minor,
        subject.token_class_id,
        subject.payer_account_id,
        subject.payee_account_id,
    )
    facts.book.check(postings)
    settled = _settled(facts, subject)._replace(state=State.SETTLED)
    changed = (settled, transfer._replace(remaining_minor=remaining_minor))
    return Plan(settled, of_account.currency, of_account.scale, postings, settled=settled, changed=changed)


def _settle_unfreeze(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    if of_account.status != AccountStatus.FROZEN:
        raise AccountStatusConflictError(f"The account is {of_account.status}.")
    settled = _settled(facts, subject)._replace(state=State.SETTLED)
    return Plan(
        settled,
        of_account.currency,
        of_account.scale,
        settled=settled,
        changed=(settled,),
        account_status=(of_account.account_id, AccountStatus.OPEN, subject.reason or ""),
    )


def _two_sides(facts: Facts, request: Request) -> tuple[AccountFacts, AccountFacts]:
    payer = _own_account(facts, request.principal, request.payer_account_id)
    payee = facts.accounts.get(request.payee_account_id or "")
    if payee is None:
        raise AccountNotFoundError(field="payee_account_id")
    if payer.account_id == payee.account_id:
        raise SameAccountError
    if payer.token_class_id != payee.token_class_id:
        raise TokenClassMismatchError
    return payer, payee


def _own_account(
    facts: Facts, principal: Principal, account_id: str | None, named: str = "payer_account_id"
) -> AccountFacts:
    account = facts.accounts.get(account_id or "")
    if account is None or not _may_act_for(principal, account):
        raise AccountNotFoundError(field=named)
    return account


def _may_act_for(principal: Principal, account: AccountFacts) -> bool:
    if principal.holder_id is None:
        return principal.sees_whole_issuer
    return principal.holder_id in (account.holder_id, account.platform_id)


def _amount(request: Request, account: AccountFacts) -> int:
    if request.currency != account.currency:
        raise CurrencyMismatchError
    return parse_positive_amount(request.amount or "", account.scale)


def _allow(
    facts: Facts, of_class: AccountFacts, parties: tuple[AccountFacts, ...], *, creates_or_moves: bool = True
) -> None:
    decision = decide_policy(
        PolicyFacts(
            of_class.mode,
            creates_or_moves,
            tuple([PartyFacts(party.status, party.kyc_status, party.kyc_expires_on) for party in parties]),
            facts.today,
        )
    )
    if decision.reasons:
        raise refusal(decision)


def _open_hold(facts: Facts, request: Request) -> Instruction:
    hold = facts.instructions.get(request.related_id or "")
    if hold is None or hold.kind != Kind.HOLD:
        raise HoldNotFoundError
    if not _may_act_for(request.principal, facts.accounts[hold.payer_account_id or ""]):
        raise HoldNotFoundError
    if hold.state != State.HELD:
        raise HoldClosedError(f"The hold is {hold.state}.")
    return hold


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


def _reversible_minor(transfer: Instruction) -> int:
    return transfer.amount_minor if transfer.remaining_minor is None else transfer.remaining_minor


def _can_take_back(facts: Facts, transfer: Instruction) -> None:
    # Tokens on a closed account could never leave it again.
    if facts.accounts[transfer.payer_account_id or ""].status == AccountStatus.CLOSED:
        raise AccountStatusConflictError("The original payer's account is closed.")


def _instruction(
    facts: Facts, request: Request, token_class_id: str, amount_minor: int, state: State
) -> Instruction:
    return Instruction(
        request.id,
        request.kind,
        state.value,
        request.principal.id,
        token_class_id,
        amount_minor,
        None,
        request.payer_account_id,
        request.payee_account_id,
        request.related_id,
        request.reference,
        request.reason,
        request.request_hash,
        request.value_date,
        facts.now,
        request.expires_at,
        None,
        None,
    )


def _settled(facts: Facts, row: Instruction) -> Instruction:
    """Return an earlier instruction as it stands once its event is recorded."""
    return row._replace(
        value_date=row.value_date or facts.booked_at.date(),
        settled_at=facts.booked_at,
        event_index=facts.next_index,
    )


def _settles(
    facts: Facts,
    request: Request,
    of_account: AccountFacts,
    amount_minor: int,
    postings: tuple[Posting, ...],
    *,
    state: State = State.SETTLED,
    remaining_minor: int | None = None,
    changed: tuple[Instruction, ...] = (),
) -> Plan:
    settled = Instruction(
        request.id,
        request.kind,
        state.value,
        request.principal.id,
        of_account.token_class_id,
        amount_minor,
        remaining_minor,
        request.payer_account_id,
        request.payee_account_id,
        request.related_id,
        request.reference,
        request.reason,
        request.request_hash,
        request.value_date or facts.booked_at.date(),
        facts.now,
        request.expires_at,
        facts.booked_at,
        facts.next_index,
    )
    return Plan(
        settled,
        of_account.currency,
        of_account.scale,
        postings,
        settled=settled,
        added=settled,
        changed=changed,
    )


def _waits(facts: Facts, request: Request, of_account: AccountFacts, amount_minor: int) -> Plan:
    if request.principal.person is None:
        raise MakerNotAPersonError
    waiting = _instruction(facts, request, of_account.token_class_id, amount_minor, State.PENDING_APPROVAL)
    return Plan(waiting, of_account.currency, of_account.scale, added=waiting)


_DECIDERS: Final[dict[str, Callable[[Facts, Request], Plan]]] = {
    Kind.DEPOSIT: _deposit,
    Kind.DEPOSIT_ASSIGNMENT: _deposit_assignment,
    Kind.DEPOSIT_RELEASE: _deposit_release,
    Kind.MINT: _mint,
    Kind.TRANSFER: _transfer,
    Kind.REDEMPTION: _redemption,
    Kind.HOLD: _hold,
    Kind.HOLD_EXECUTION: _hold_execution,
    Kind.HOLD_VOID: _hold_void,
    Kind.REVERSAL: _reversal,
    Kind.ACCOUNT_FREEZE: _account_freeze,
    Kind.ACCOUNT_UNFREEZE: _account_unfreeze,
    Kind.ACCOUNT_CLOSURE: _account_closure,
    Kind.APPROVE: _approve,
    Kind.REJECT: _reject,
}

_SETTLERS: Final[dict[str, Callable[[Facts, Instruction, AccountFacts], Plan]]] = {
    Kind.MINT: _settle_posting,
    Kind.DEPOSIT: _settle_posting,
    Kind.REVERSAL: _settle_reversal,
    Kind.ACCOUNT_UNFREEZE: _settle_unfreeze,
}
