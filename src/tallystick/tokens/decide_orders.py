"""Deciding what orders do: place, top up and expire at once, lift and seize with other people's consent.

No rule of a class decides on these: an authority's order binds whatever the class allows. How much each takes, gives
back or may seize is the orders' own rule; here it meets the account's balances.
"""

from tallystick import orders
from tallystick.core.money import format_amount
from tallystick.ledger import Code, Posting, ledger_account_id
from tallystick.orders import Order, OrderNotFoundError, OrderState, Step
from tallystick.participants import AccountFacts, AccountStatus, AccountStatusConflictError
from tallystick.tokens.instructions import Instruction, Request
from tallystick.tokens.journals import journal
from tallystick.tokens.outlines import settled_now, settles, waits
from tallystick.tokens.plans import Facts, Plan
from tallystick.tokens.refusals import OrderChangedError
from tallystick.tokens.sides import amount_of, may_act_for, own_account

__all__ = [
    "order",
    "order_expiry",
    "order_lift",
    "order_seizure",
    "order_top_up",
    "settle_lift",
    "settle_seizure",
]


def order(facts: Facts, request: Request) -> Plan:
    """Return the plan of an order that is placed: one person may stop, and it takes what is there."""
    account = own_account(facts, request.principal, request.payer_account_id, "account_id")
    if account.status == AccountStatus.CLOSED:
        raise AccountStatusConflictError("The account is closed.")
    asked = request.payload or {}
    new = Order(
        issuer_id=request.principal.issuer_id,
        id=request.id,
        account_id=account.account_id,
        kind=asked["kind"],
        scope=asked["scope"],
        amount_minor=None if request.amount is None else amount_of(request, account),
        restricted_minor=0,
        seized_minor=0,
        authority=asked["authority"],
        authority_reference=request.reference,
        reason=request.reason or "",
        expires_at=request.expires_at,
        state=OrderState.ACTIVE,
        created_by=request.principal.id,
        created_at=facts.booked_at,
    )
    of_account = _orders_on(facts, account)
    step = orders.placing(new, of_account, _available_minor(facts, account), facts.now)
    return _settles(facts, request, account, step)


def order_top_up(facts: Facts, request: Request) -> Plan:
    """Return the plan of a top-up: the account's orders take what has come in since."""
    found, account = _order(facts, request)
    of_account = _orders_on(facts, account)
    step = orders.topping_up(found, of_account, _available_minor(facts, account), facts.now)
    return _settles(facts, request, account, step)


def order_expiry(facts: Facts, request: Request) -> Plan:
    """Return the plan that ends an order whose time is over."""
    found, account = _order(facts, request)
    step = orders.ending(found, _orders_on(facts, account), OrderState.EXPIRED, facts.now)
    return _settles(facts, request, account, step)


def order_lift(facts: Facts, request: Request) -> Plan:
    """Return the plan of a lift that waits for other people, with the amount that it would give back now."""
    found, account = _order(facts, request)
    step = orders.ending(found, _orders_on(facts, account), OrderState.LIFTED, facts.now)
    postings = _postings(request.kind, account, step.moved_minor)
    facts.book.check(postings)
    plan = waits(facts, request._replace(payer_account_id=account.account_id), account, step.moved_minor)
    passed_on_minor = found.held_minor - step.moved_minor
    details = {"order_id": found.id, "passed_on": format_amount(passed_on_minor, account.scale)}
    return plan._replace(details=details)


def order_seizure(facts: Facts, request: Request) -> Plan:
    """Return the plan of a seizure that waits for other people."""
    found, account = _order(facts, request)
    amount_minor = amount_of(request, account)
    _orders_on(facts, account)
    step = orders.seizing(found, amount_minor, facts.now)
    facts.book.check(_postings(request.kind, account, step.moved_minor))
    plan = waits(facts, request._replace(payer_account_id=account.account_id), account, amount_minor)
    return plan._replace(details={"order_id": found.id})


def settle_lift(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    """Return the plan of a lift that was approved: what people consented to is what happens, or nothing."""
    found = facts.orders[of_account.account_id][subject.related_id or ""]
    step = orders.ending(found, _orders_on(facts, of_account), OrderState.LIFTED, facts.now)
    if step.moved_minor != subject.amount_minor:
        raise OrderChangedError
    return _settles_subject(facts, subject, of_account, step)


def settle_seizure(facts: Facts, subject: Instruction, of_account: AccountFacts) -> Plan:
    """Return the plan of a seizure that was approved, by everything that held when it was asked for."""
    found = facts.orders[of_account.account_id][subject.related_id or ""]
    _orders_on(facts, of_account)
    step = orders.seizing(found, subject.amount_minor, facts.now)
    return _settles_subject(facts, subject, of_account, step)


def _order(facts: Facts, request: Request) -> tuple[Order, AccountFacts]:
    """Return the order that a request names, and its account; raises OrderNotFoundError."""
    placed = facts.instructions.get(request.related_id or "")
    account = None if placed is None else facts.accounts.get(placed.payer_account_id or "")
    if placed is None or account is None or not may_act_for(request.principal, account):
        raise OrderNotFoundError
    # Of what is no order, such as a transfer, there is none by this id.
    found = facts.orders.get(account.account_id, {}).get(placed.id)
    if found is None:
        raise OrderNotFoundError
    return found, account


def _orders_on(facts: Facts, account: AccountFacts) -> list[Order]:
    """Return the account's orders; raises InvariantError where its restricted balance is not what they hold."""
    found = facts.orders_on(account.account_id)
    restricted_id = ledger_account_id(Code.TOKENS_RESTRICTED, account.account_id)
    orders.check_held(found, facts.book.available_minor(restricted_id))
    return found


def _settles(facts: Facts, request: Request, account: AccountFacts, step: Step) -> Plan:
    postings = _postings(request.kind, account, step.moved_minor)
    facts.book.check(postings)
    asked = request._replace(payer_account_id=account.account_id)
    return settles(facts, asked, account, step.moved_minor, postings)._replace(step=step)


def _settles_subject(facts: Facts, subject: Instruction, account: AccountFacts, step: Step) -> Plan:
    postings = _postings(subject.kind, account, step.moved_minor)
    facts.book.check(postings)
    settled = settled_now(facts, subject)
    return Plan(
        settled, account.currency, account.scale, postings, settled=settled, changed=(settled,), step=step
    )


def _postings(kind: str, account: AccountFacts, moved_minor: int) -> tuple[Posting, ...]:
    """Return the entry of what a step moves: none where it moves nothing."""
    if not moved_minor:
        return ()
    return journal(kind, moved_minor, account.token_class_id, account.account_id, None)


def _available_minor(facts: Facts, account: AccountFacts) -> int:
    return facts.book.available_minor(ledger_account_id(Code.TOKENS_AVAILABLE, account.account_id))
