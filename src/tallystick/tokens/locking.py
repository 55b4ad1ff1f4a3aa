"""What a batch is decided on: locked in one order, read in one trip.

Locks are always taken in this order, each kind sorted by id: approvals, earlier instructions, ledger accounts, orders,
and the issuer's log head last; who signs is asked behind it. Everything that decides is read after them, so nothing
that was committed before can be missed and nothing can change before the batch has ended. Orders come behind their
accounts' balances, for whoever waited for those must see an order that was placed meanwhile.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import approvals, business_dates, events, ledger, orders, participants, policy
from tallystick.approvals import Approval, Vote
from tallystick.business_dates import BusinessDays
from tallystick.core.pipeline import Asked, pipelined
from tallystick.events import Head
from tallystick.ledger import HOLDER_CODES, ledger_account_id
from tallystick.participants import AccountFacts, TokenClass, TokenClassNotFoundError
from tallystick.signing import Signer
from tallystick.tokens import store
from tallystick.tokens.answered_before import ask_answers, in_pieces
from tallystick.tokens.beyond_transfers import read_beyond_transfers
from tallystick.tokens.changes import CHANGES
from tallystick.tokens.instructions import Instruction, Kind, Request, Submission
from tallystick.tokens.journals import ledger_accounts_of
from tallystick.tokens.known_accounts import KnownAccount, read_accounts
from tallystick.tokens.plans import Facts
from tallystick.tokens.settler import Settler
from tallystick.tokens.store import Answer
from tallystick.tokens.transfer_batches import items_let_through

__all__ = ["Locked", "lock_and_read"]

# Looking a member up takes as long as comparing two.
_TRANSFER: Final = Kind.TRANSFER
_POSTS_TO_CLASS: Final = frozenset({Kind.DEPOSIT, Kind.DEPOSIT_ASSIGNMENT, Kind.DEPOSIT_RELEASE, Kind.PAYOUT})
# What becomes of a payout that was accepted before.
_OF_PAYOUT: Final = frozenset(
    {
        Kind.PAYOUT_CANCELLATION,
        Kind.PAYOUT_REJECTION,
        Kind.PAYOUT_SETTLEMENT,
        Kind.PAYOUT_RETURN,
        Kind.PAYOUT_GIVE_BACK,
    }
)
_DECIDES_APPROVAL: Final = frozenset({Kind.APPROVE, Kind.REJECT, Kind.APPROVAL_EXPIRY})
# What is done under an order that was placed before.
_UNDER_ORDER: Final = frozenset({Kind.ORDER_TOP_UP, Kind.ORDER_LIFT, Kind.ORDER_SEIZURE, Kind.ORDER_EXPIRY})
_DECIDED_BY_ORDERS: Final = _UNDER_ORDER | {Kind.ORDER, Kind.ACCOUNT_CLOSURE}
_TOUCHES_WHOLE_ACCOUNT: Final = _DECIDED_BY_ORDERS | {Kind.ACCOUNT_FREEZE, Kind.ACCOUNT_UNFREEZE}


class Locked(NamedTuple):
    """What one batch holds: its facts, the end of the log, and who signs; `pieces` of it in order, and what the keys of
    the first one were `answered` before. Those of the others are to be asked, under the same locks.
    """

    facts: Facts
    head: Head
    signer: Asked[Signer]
    pieces: list[Sequence[Submission]]
    answered: dict[bytes, Answer]


def lock_and_read(
    connection: Connection, settler: Settler, issuer_id: str, submissions: Sequence[Submission]
) -> Locked:
    """Lock everything that the submissions touch and read what they are decided on."""
    requests = [request for submission in submissions for request in submission.requests]
    # Nearly all are transfers, of which little more is asked than whose they are.
    transfers = [request for request in requests if request.kind == _TRANSFER]
    others = (
        [request for request in requests if request.kind != _TRANSFER]
        if len(transfers) < len(requests)
        else []
    )
    waiting, earlier = _lock_what_is_referred_to(connection, issuer_id, requests, others)
    batches = _batches_let_through(connection, issuer_id, others, waiting, earlier)
    items = [item for batch in batches.values() for item in batch.requests]
    requests += items
    transfers += items
    account_ids = _account_ids(requests, earlier)
    class_of = _class_ids(connection, issuer_id, others, account_ids, earlier)
    with_orders, order_ids = _orders_asked(others, earlier, waiting)
    posted_to = _posted_to_by_transfers(transfers) | _ledger_account_ids(others, earlier, class_of, waiting)
    posted_to |= _accounts_of_changes(connection, issuer_id, others, earlier, waiting)
    pieces = in_pieces(submissions)
    first = pieces[0] if pieces else ()
    now = settler.clock.now()
    with pipelined(connection) as pipeline:
        book = ledger.lock(pipeline, issuer_id, posted_to)
        of_orders = orders.lock(pipeline, issuer_id, with_orders, order_ids) if with_orders else None
        head = events.lock_head(pipeline, issuer_id)
        signer = settler.ask_signer(pipeline, issuer_id)
        version = participants.ask_facts_version(pipeline, issuer_id)
        rules = policy.policies_in_force(pipeline, issuer_id, now)
        answered = ask_answers(pipeline, issuer_id, [*first, *batches.values()])
    log_head = head.result()
    if log_head.last_booked_at > now:
        # Another process, whose clock is ahead or which had the lock while this one waited, may have changed the rules
        # meanwhile: those decide that are in force where the log goes on.
        with pipelined(connection) as pipeline:
            rules = policy.policies_in_force(pipeline, issuer_id, log_head.last_booked_at)
    facts_version = version.result()
    known_accounts = _known_accounts(connection, settler, issuer_id, facts_version, account_ids, now)
    facts = Facts(
        book=book.result(),
        accounts={account_id: one.facts for account_id, one in known_accounts.items()},
        parties={account_id: one.party for account_id, one in known_accounts.items()},
        now=now,
        today=now.date(),
        booked_at=max(now, log_head.last_booked_at),
        next_index=log_head.next_index,
        policies=rules.result(),
        days=_business_days(connection, settler, issuer_id, facts_version),
        classes=_read_classes(connection, issuer_id, {request.token_class_id for request in requests}),
        instructions=earlier,
        approvals=waiting,
        batches=batches,
        orders={} if of_orders is None else of_orders.result(),
    )
    read_beyond_transfers(connection, settler, issuer_id, facts, requests, others)
    return Locked(facts, log_head, signer, pieces, answered())


def _known_accounts(
    connection: Connection,
    settler: Settler,
    issuer_id: str,
    version: int,
    account_ids: set[str],
    now: datetime,
) -> dict[str, KnownAccount]:
    found, missing = settler.remembered.recall(issuer_id, version, account_ids)
    if missing:
        read = read_accounts(connection, issuer_id, missing, now)
        settler.remembered.keep(issuer_id, version, read)
        found |= read
    return found


def _business_days(connection: Connection, settler: Settler, issuer_id: str, version: int) -> BusinessDays:
    """Return how far the books are closed: read behind the log head, like everything that a close changes."""
    found, missing = settler.remembered_days.recall(issuer_id, version, [issuer_id])
    if missing:
        found[issuer_id] = business_dates.days(connection, issuer_id)
        settler.remembered_days.keep(issuer_id, version, found)
    return found[issuer_id]


def _lock_what_is_referred_to(
    connection: Connection, issuer_id: str, requests: Sequence[Request], others: Sequence[Request]
) -> tuple[dict[str, tuple[Approval, list[Vote]]], dict[str, Instruction]]:
    deciding = {request.related_id or "" for request in others if request.kind in _DECIDES_APPROVAL}
    waiting = approvals.lock(connection, issuer_id, deciding) if deciding else {}
    earlier_ids = {
        request.related_id for request in requests if request.related_id and request.kind != Kind.CHANGE
    } - deciding
    earlier_ids |= {approval.subject_id for approval, _ in waiting.values()}
    return waiting, _lock_earlier(connection, issuer_id, earlier_ids) if earlier_ids else {}


def _batches_let_through(
    connection: Connection,
    issuer_id: str,
    requests: Sequence[Request],
    waiting: dict[str, tuple[Approval, list[Vote]]],
    earlier: dict[str, Instruction],
) -> dict[str, Submission]:
    found = {}
    for approval_id in {one.related_id or "" for one in requests if one.kind == Kind.APPROVE}:
        approval, _ = waiting.get(approval_id, (None, ()))
        if approval is not None and approval.operation == Kind.TRANSFER_BATCH and approval.state == "pending":
            subject = earlier[approval.subject_id]
            found[subject.id] = items_let_through(connection, issuer_id, approval, subject)
    return found


def _account_ids(requests: Sequence[Request], earlier: dict[str, Instruction]) -> set[str]:
    sides: list[Request | Instruction] = [*requests, *earlier.values()]
    found = {side.payer_account_id for side in sides} | {side.payee_account_id for side in sides}
    return {account_id for account_id in found if account_id is not None}


def _class_ids(
    connection: Connection,
    issuer_id: str,
    requests: Sequence[Request],
    account_ids: set[str],
    earlier: dict[str, Instruction],
) -> dict[str, AccountFacts]:
    # An account's class never changes, so it may be read before the locks that it is needed for.
    if not earlier and not any(request.kind in _POSTS_TO_CLASS for request in requests):
        return {}
    with pipelined(connection) as pipeline:
        accounts = participants.account_facts(pipeline, issuer_id, account_ids)
    return accounts.result()


def _read_classes(
    connection: Connection, issuer_id: str, class_ids: Iterable[str | None]
) -> dict[str, TokenClass]:
    found = {}
    for class_id in class_ids:
        if class_id is not None:
            with suppress(TokenClassNotFoundError):
                found[class_id] = participants.token_class(connection, issuer_id, class_id)
    return found


def _lock_earlier(connection: Connection, issuer_id: str, ids: set[str]) -> dict[str, Instruction]:
    # What an approval settles may itself refer to an instruction (a reversal to its transfer), so look twice.
    found = store.lock_instructions(connection, issuer_id, ids)
    further = {row.related_id for row in found.values() if row.kind == Kind.REVERSAL and row.related_id} - ids
    if further:
        found |= store.lock_instructions(connection, issuer_id, further)
    return found


def _posted_to_by_transfers(transfers: Sequence[Request]) -> set[str]:
    # Of transfers there are many more than accounts.
    ids: set[str] = set()
    for payer_id in {request.payer_account_id for request in transfers}:
        ids.update(ledger_accounts_of(_TRANSFER, None, payer_id, None))
    for payee_id in {request.payee_account_id for request in transfers}:
        ids.update(ledger_accounts_of(_TRANSFER, None, None, payee_id))
    return ids


def _ledger_account_ids(
    requests: Sequence[Request],
    earlier: dict[str, Instruction],
    accounts: dict[str, AccountFacts],
    waiting: dict[str, tuple[Approval, list[Vote]]],
) -> set[str]:
    ids: set[str] = set()
    for request in requests:
        kind = request.kind
        payer_id, payee_id = request.payer_account_id, request.payee_account_id
        row = earlier.get(request.related_id or "")
        if kind == Kind.APPROVE and request.related_id in waiting:
            row = earlier[waiting[request.related_id][0].subject_id]
            kind = row.kind
            payer_id, payee_id = row.payer_account_id, row.payee_account_id
        elif row is not None and kind in (*_UNDER_ORDER, *_OF_PAYOUT):
            payer_id = row.payer_account_id
        elif row is not None and kind in (Kind.HOLD_EXECUTION, Kind.HOLD_VOID):
            payer_id, payee_id = row.payer_account_id, row.payee_account_id
        elif row is not None and kind == Kind.REVERSAL:
            payer_id, payee_id = row.payee_account_id, row.payer_account_id
        elif kind == Kind.DEPOSIT_ASSIGNMENT:
            kind = Kind.DEPOSIT
        if kind in _TOUCHES_WHOLE_ACCOUNT:
            ids |= {ledger_account_id(code, payer_id or "") for code in HOLDER_CODES}
        of_account = accounts.get(payee_id or payer_id or "")
        class_id = of_account.token_class_id if of_account else None
        ids.update(ledger_accounts_of(kind, class_id, payer_id, payee_id))
    return ids


def _accounts_of_changes(
    connection: Connection,
    issuer_id: str,
    requests: Sequence[Request],
    earlier: dict[str, Instruction],
    waiting: dict[str, tuple[Approval, list[Vote]]],
) -> set[str]:
    """Return the ledger accounts that the changes among these may post to."""
    ids: set[str] = set()
    for request in requests:
        operation, subject_id = request.operation, request.related_id
        if request.kind == Kind.APPROVE and subject_id in waiting:
            subject = earlier[waiting[subject_id][0].subject_id]
            operation, subject_id = subject.operation, subject.related_id
        change = None if operation is None else CHANGES.get(operation)
        if change is not None and change.locks is not None:
            ids.update(change.locks(connection, issuer_id, subject_id or ""))
    return ids


def _orders_asked(
    requests: Sequence[Request],
    earlier: dict[str, Instruction],
    waiting: dict[str, tuple[Approval, list[Vote]]],
) -> tuple[set[str], set[str]]:
    """Return the accounts whose orders decide, and the orders that are named: one may be over already."""
    account_ids: set[str] = set()
    order_ids: set[str] = set()
    for request in requests:
        kind, account_id, order_id = request.kind, request.payer_account_id, request.related_id
        if kind == Kind.APPROVE and order_id in waiting:
            subject = earlier[waiting[order_id][0].subject_id]
            kind, account_id, order_id = subject.kind, subject.payer_account_id, subject.related_id
        elif kind in _UNDER_ORDER and order_id in earlier:
            account_id = earlier[order_id].payer_account_id
        if kind in _DECIDED_BY_ORDERS and account_id is not None:
            account_ids.add(account_id)
            if kind in _UNDER_ORDER and order_id is not None:
                order_ids.add(order_id)
    return account_ids, order_ids
