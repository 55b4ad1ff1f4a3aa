"""Deciding one request: a straight descent of refusals, then a plan from which everything must succeed.

Nothing here touches the database. Facts were read under lock, and the book already holds what the requests before
this one in the batch posted.
"""

from collections.abc import Callable
from typing import Final

from tallystick.business_dates import BusinessDateClosedError
from tallystick.core.money import parse_positive_amount
from tallystick.core.records import maker
from tallystick.ledger import HOLDER_CODES, ledger_account_id
from tallystick.orders import OrderState
from tallystick.participants import (
    AccountNotFoundError,
    AccountStatus,
    AccountStatusConflictError,
    TokenClassNotFoundError,
)
from tallystick.tokens.decide_approvals import approval_expiry, approve, reject
from tallystick.tokens.decide_changes import change
from tallystick.tokens.decide_orders import order, order_expiry, order_lift, order_seizure, order_top_up
from tallystick.tokens.decide_payouts import payout, payout_step
from tallystick.tokens.instructions import Instruction, Kind, Request, State
from tallystick.tokens.journals import journal
from tallystick.tokens.outlines import new_instruction, settled_now, settles, settles_or_waits, waits
from tallystick.tokens.plans import Facts, Plan
from tallystick.tokens.refusals import (
    AccountHasOrdersError,
    AccountHasPayoutsError,
    AccountNotEmptyError,
    CurrencyMismatchError,
    DepositNotAssignableError,
    HoldClosedError,
    HoldExpiredError,
    HoldNotFoundError,
    InstructionNotFoundError,
    NotReversibleError,
    RemainingExceededError,
    TokenClassMismatchError,
)
from tallystick.tokens.reversing import can_take_back, reversible_minor
from tallystick.tokens.ruling import Asking, rule
from tallystick.tokens.sides import amount_of, may_act_for, own_account, two_sides

__all__ = ["decide"]

_asking = maker(Asking)


def decide(facts: Facts, request: Request) -> Plan:
    """Return the plan of one request or raise the DomainError that refuses it."""
    return _DECIDERS[request.kind](facts, request)


def _transfer(facts: Facts, request: Request) -> Plan:
    payer, payee = two_sides(facts, request)
    amount_minor = amount_of(request, payer)
    asking = _asking((request.kind, payer, payer, payee, request.purpose, request.principal.id))
    ruling = rule(facts, asking, amount_minor)
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, payee.account_id)
    facts.book.check(postings)
    return settles_or_waits(facts, request, payer, amount_minor, postings, ruling)


def _hold(facts: Facts, request: Request) -> Plan:
    if request.expires_at is not None and request.expires_at <= facts.now:
        raise HoldExpiredError("`expires_at` lies in the past.")
    payer, payee = two_sides(facts, request)
    amount_minor = amount_of(request, payer)
    asking = Asking(request.kind, payer, payer, payee, request.purpose, request.principal.id)
    ruling = rule(facts, asking, amount_minor)
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, payee.account_id)
    facts.book.check(postings)
    return settles_or_waits(
        facts,
        request,
        payer,
        amount_minor,
        postings,
        ruling,
        state=State.HELD,
        remaining_minor=amount_minor,
    )


def _hold_execution(facts: Facts, request: Request) -> Plan:
    hold = _open_hold(facts, request)
    if hold.expires_at is not None and hold.expires_at <= facts.now:
        raise HoldExpiredError
    payer, payee = facts.accounts[hold.payer_account_id or ""], facts.accounts[hold.payee_account_id or ""]
    amount_minor = amount_of(request, payer)
    remaining_minor = (hold.remaining_minor or 0) - amount_minor
    if remaining_minor < 0:
        raise RemainingExceededError
    asking = Asking(request.kind, payer, payer, payee, hold.purpose, request.principal.id)
    ruling = rule(facts, asking, amount_minor)
    if ruling.referred is not None:
        # The hold itself was looked at; what refers its payment now is new, and the tokens stay where they are.
        raise ruling.refusal()
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, payee.account_id)
    facts.book.check(postings)
    state = State.HELD if remaining_minor else State.EXECUTED
    return settles(
        facts,
        request._replace(payer_account_id=payer.account_id, payee_account_id=payee.account_id),
        payer,
        amount_minor,
        postings,
        changed=(hold._replace(remaining_minor=remaining_minor, state=state),),
        ruling=ruling,
    )


def _hold_void(facts: Facts, request: Request) -> Plan:
    hold = _open_hold(facts, request)
    payer = facts.accounts[hold.payer_account_id or ""]
    amount_minor = hold.remaining_minor or 0
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, None)
    facts.book.check(postings)
    return settles(
        facts,
        request._replace(payer_account_id=payer.account_id),
        payer,
        amount_minor,
        postings,
        changed=(hold._replace(remaining_minor=0, state=State.VOIDED),),
    )


def _giving_back(facts: Facts, request: Request) -> Plan:
    """Decide a redemption or a deposit's release."""
    payer = own_account(facts, request.principal, request.payer_account_id)
    amount_minor = amount_of(request, payer)
    asking = Asking(request.kind, payer, payer, None, request.purpose, request.principal.id)
    ruling = rule(facts, asking, amount_minor)
    postings = journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, None)
    facts.book.check(postings)
    return settles_or_waits(facts, request, payer, amount_minor, postings, ruling)


def _deposit(facts: Facts, request: Request) -> Plan:
    if request.payee_account_id is None:
        return _unassigned_deposit(facts, request)
    if not request.evidence and request.value_date is not None and facts.days.is_closed(request.value_date):
        # What the bank's own data shows has come, and lands in the open date; what people type, they can type again.
        raise BusinessDateClosedError(field="value_date")
    payee = own_account(facts, request.principal, request.payee_account_id, "account_id")
    amount_minor = amount_of(request, payee)
    asking = Asking(request.kind, payee, None, payee, None, request.principal.id)
    ruling = rule(facts, asking, amount_minor)
    postings = journal(request.kind, amount_minor, payee.token_class_id, None, payee.account_id)
    facts.book.check(postings)
    if request.evidence and ruling.referred is None:
        return settles(facts, request, payee, amount_minor, postings, ruling=ruling)
    checkers = ruling.policy.checkers(request.kind, amount_minor)
    return waits(facts, request, payee, amount_minor, checkers=checkers, referred=ruling.referred)


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
    waiting = new_instruction(facts, request, of_class.id, amount_minor, State.UNASSIGNED)
    return Plan(waiting, of_class.currency, of_class.scale, added=waiting)


def _deposit_assignment(facts: Facts, request: Request) -> Plan:
    deposit = facts.instructions.get(request.related_id or "")
    if deposit is None or deposit.kind != Kind.DEPOSIT:
        raise InstructionNotFoundError
    if deposit.state != State.UNASSIGNED:
        raise DepositNotAssignableError
    payee = own_account(facts, request.principal, request.payee_account_id, "account_id")
    if payee.token_class_id != deposit.token_class_id:
        raise TokenClassMismatchError
    asking = Asking(request.kind, payee, None, payee, None, request.principal.id)
    ruling = rule(facts, asking, deposit.amount_minor)
    if ruling.referred is not None:
        raise ruling.refusal()
    postings = journal(Kind.DEPOSIT, deposit.amount_minor, payee.token_class_id, None, payee.account_id)
    facts.book.check(postings)
    # The event names the person who assigned, and the deposit keeps the reason.
    settled = settled_now(facts, deposit)._replace(
        payee_account_id=payee.account_id,
        principal_id=request.principal.id,
        reason=request.reason,
    )
    return Plan(
        settled, payee.currency, payee.scale, postings, settled=settled, changed=(settled,), ruling=ruling
    )


def _mint(facts: Facts, request: Request) -> Plan:
    payee = own_account(facts, request.principal, request.payee_account_id, "account_id")
    amount_minor = amount_of(request, payee)
    asking = Asking(request.kind, payee, None, payee, request.purpose, request.principal.id)
    ruling = rule(facts, asking, amount_minor)
    facts.check_issuance_open(payee)
    facts.book.check(journal(request.kind, amount_minor, payee.token_class_id, None, payee.account_id))
    checkers = ruling.policy.checkers(request.kind, amount_minor)
    return waits(facts, request, payee, amount_minor, checkers=checkers, referred=ruling.referred)


def _reversal(facts: Facts, request: Request) -> Plan:
    transfer = facts.instructions.get(request.related_id or "")
    if transfer is None:
        raise InstructionNotFoundError
    if transfer.kind != Kind.TRANSFER or transfer.state != State.SETTLED:
        raise NotReversibleError
    payer = facts.accounts[transfer.payee_account_id or ""]
    amount_minor = amount_of(request, payer)
    if amount_minor > reversible_minor(transfer):
        raise RemainingExceededError
    can_take_back(facts, transfer)
    facts.book.check(
        journal(request.kind, amount_minor, payer.token_class_id, payer.account_id, transfer.payer_account_id)
    )
    asked = request._replace(payer_account_id=payer.account_id, payee_account_id=transfer.payer_account_id)
    checkers = facts.policy_of(payer).checkers(request.kind, amount_minor)
    return waits(facts, asked, payer, amount_minor, checkers=checkers)


def _account_freeze(facts: Facts, request: Request) -> Plan:
    account = own_account(facts, request.principal, request.payer_account_id, "account_id")
    if account.status != AccountStatus.OPEN:
        raise AccountStatusConflictError(f"The account is {account.status}.")
    status = (account.account_id, AccountStatus.FROZEN, request.reason or "")
    return settles(facts, request, account, 0, ())._replace(account_status=status)


def _account_unfreeze(facts: Facts, request: Request) -> Plan:
    account = own_account(facts, request.principal, request.payer_account_id, "account_id")
    if account.status != AccountStatus.FROZEN:
        raise AccountStatusConflictError(f"The account is {account.status}.")
    return waits(facts, request, account, 0)


def _account_closure(facts: Facts, request: Request) -> Plan:
    account = own_account(facts, request.principal, request.payer_account_id, "account_id")
    if account.status != AccountStatus.OPEN:
        raise AccountStatusConflictError(f"The account is {account.status}.")
    if any(facts.book.available_minor(ledger_account_id(code, account.account_id)) for code in HOLDER_CODES):
        raise AccountNotEmptyError
    if any(one.state == OrderState.ACTIVE for one in facts.orders_on(account.account_id)):
        raise AccountHasOrdersError
    if account.account_id in facts.paying_out:
        raise AccountHasPayoutsError
    status = (account.account_id, AccountStatus.CLOSED, request.reason or "")
    return settles(facts, request, account, 0, ())._replace(account_status=status)


def _open_hold(facts: Facts, request: Request) -> Instruction:
    hold = facts.instructions.get(request.related_id or "")
    if hold is None or hold.kind != Kind.HOLD:
        raise HoldNotFoundError
    payer = facts.accounts[hold.payer_account_id or ""]
    if not may_act_for(request.principal, payer):
        raise HoldNotFoundError
    if hold.state != State.HELD:
        raise HoldClosedError(f"The hold is {hold.state}.")
    return hold


_DECIDERS: Final[dict[str, Callable[[Facts, Request], Plan]]] = {
    Kind.DEPOSIT: _deposit,
    Kind.DEPOSIT_ASSIGNMENT: _deposit_assignment,
    Kind.DEPOSIT_RELEASE: _giving_back,
    Kind.MINT: _mint,
    Kind.TRANSFER: _transfer,
    Kind.REDEMPTION: _giving_back,
    Kind.HOLD: _hold,
    Kind.HOLD_EXECUTION: _hold_execution,
    Kind.HOLD_VOID: _hold_void,
    Kind.REVERSAL: _reversal,
    Kind.ACCOUNT_FREEZE: _account_freeze,
    Kind.ACCOUNT_UNFREEZE: _account_unfreeze,
    Kind.ACCOUNT_CLOSURE: _account_closure,
    Kind.ORDER: order,
    Kind.ORDER_TOP_UP: order_top_up,
    Kind.ORDER_LIFT: order_lift,
    Kind.ORDER_SEIZURE: order_seizure,
    Kind.ORDER_EXPIRY: order_expiry,
    Kind.PAYOUT: payout,
    Kind.PAYOUT_CANCELLATION: payout_step,
    Kind.PAYOUT_REJECTION: payout_step,
    Kind.PAYOUT_SETTLEMENT: payout_step,
    Kind.PAYOUT_RETURN: payout_step,
    Kind.PAYOUT_GIVE_BACK: payout_step,
    Kind.CHANGE: change,
    Kind.APPROVE: approve,
    Kind.REJECT: reject,
    Kind.APPROVAL_EXPIRY: approval_expiry,
}
