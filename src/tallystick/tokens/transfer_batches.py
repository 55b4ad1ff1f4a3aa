"""Batches of transfers: when one waits for people, what is kept of it until then, and how its outcome looks.

The total of a batch is held against the policy's `approvals.transfer_batch`, for a thousand small payments are one
large one. What waits is one instruction, and its items are kept as they were sent: when people let it through, the
request hash that they approved must still be the hash of what is kept, and each item is decided anew.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from tallystick import approvals, participants
from tallystick.approvals import Approval
from tallystick.core.clock import format_time
from tallystick.core.errors import DomainError, InvariantError
from tallystick.core.ids import with_prefix
from tallystick.core.money import AMOUNT_MINOR_MAX, AmountMalformedError, format_amount, parse_positive_amount
from tallystick.ledger import Posting
from tallystick.participants import AccountFacts, Principal
from tallystick.tokens import store
from tallystick.tokens.instructions import Instruction, Kind, Outcome, Request, State, Submission
from tallystick.tokens.journals import journal
from tallystick.tokens.outlines import new_instruction
from tallystick.tokens.plans import Facts, Plan
from tallystick.tokens.refusals import (
    AtomicBatchRefusedError,
    BatchClassesMixedError,
    BatchItemsMalformedError,
    InstructionNotFoundError,
)
from tallystick.tokens.render import resource
from tallystick.tokens.requests import key_digest, new_instruction_id, request_hash
from tallystick.tokens.sides import amount_of, two_sides

__all__ = [
    "atomic_refusal",
    "batch_settled",
    "items_let_through",
    "outcome_key",
    "postings_of_batch",
    "read_batch",
    "shown_batch",
    "waiting_batch",
]

_REFUSED_ITEMS_SHOWN_MAX: Final = 100
_COUNTED: Final = {"settled": "settled", "pending": "pending_approval", "refused": "refused"}


def waiting_batch(facts: Facts, submission: Submission, known: Collection[bytes]) -> Plan | None:
    """Return the plan of a batch whose total is for people to approve; None for one that is settled at once.

    What its items' keys were answered before (`known`) is paid already and counts for nothing. Raises
    BatchClassesMixedError, BatchItemsMalformedError: what people look at must be one sum, and be free of faults.
    """
    payers = {one.payer_account_id for one in submission.requests}
    accounts = [facts.accounts[payer_id] for payer_id in payers if payer_id in facts.accounts]
    if not any(facts.policy_of(account).asks_people for account in accounts):
        return None
    totals, refusals, answered_before = _totals(facts, submission.requests, known)
    by_class = {account.token_class_id: account for account in accounts}
    checkers = (
        max(
            facts.policy_of(by_class[class_id]).checkers(Kind.TRANSFER_BATCH, total_minor)
            for class_id, total_minor in totals.items()
        )
        if totals
        else 0
    )
    if checkers == 0:
        return None
    if len(totals) > 1:
        raise BatchClassesMixedError
    if refusals:
        raise BatchItemsMalformedError(items=_refused_items(refusals))
    [(class_id, total_minor)] = totals.items()
    if total_minor > AMOUNT_MINOR_MAX:
        raise AmountMalformedError("The batch's total is larger than any account can hold.")
    return _waits(facts, submission, by_class[class_id], total_minor, checkers, answered_before)


def items_let_through(
    connection: Connection, issuer_id: str, approval: Approval, subject: Instruction
) -> Submission:
    """Return what a batch that waits asks for, in the name of its maker.

    Raises InvariantError if what is kept is another request than the one that people see the hash of.
    """
    details = approval.details or {}
    body = details["body"]
    if not request_hash(Kind.TRANSFER_BATCH, {"body": body}) == approval.request_hash == subject.request_hash:
        raise InvariantError("a batch that waits is not what was asked for")
    maker = participants.principal(connection, issuer_id, approval.maker_principal_id)
    return Submission(
        tuple(
            _item_request(maker, subject, item, bytes.fromhex(digest))
            for item, digest in zip(body["items"], details["key_digests"], strict=True)
        ),
        atomic=details["atomic"],
    )


def postings_of_batch(row: Instruction, approval: Approval) -> Iterator[Posting]:
    """Yield what a batch that waits would post if each of its items settled."""
    details = approval.details or {}
    before = frozenset(details["answered_before"])
    for number, item in enumerate(details["body"]["items"]):
        if number not in before:
            amount_minor = parse_positive_amount(item["amount"], approval.scale or 0)
            yield from journal(
                Kind.TRANSFER,
                amount_minor,
                row.token_class_id or "",
                item["payer_account_id"],
                item["payee_account_id"],
            )


def read_batch(connection: Connection, viewer: Principal, batch_id: str) -> dict[str, Any]:
    """Return a batch as it stands, with each item's outcome once there is one; without its signed event.

    Raises InstructionNotFoundError: those who asked for it see it, and who sees all of the issuer.
    """
    issuer_id = viewer.issuer_id
    answers = store.read_batch_answers(connection, issuer_id, batch_id)
    if not answers:
        raise InstructionNotFoundError
    outcome: dict[str, Any] = next((orjson.loads(body) for status, body in answers if status == 200), {})
    row = store.read_instruction(connection, issuer_id, batch_id)
    maker_id = outcome["principal_id"] if row is None else row.principal_id
    if not viewer.sees_whole_issuer:
        maker = participants.principal(connection, issuer_id, maker_id)
        if maker.holder_id != viewer.holder_id:
            raise InstructionNotFoundError
    if row is None:
        return outcome
    approval = approvals.approval(connection, issuer_id, with_prefix("approval", row.id))
    details = approval.details or {}
    return {
        **resource(issuer_id, row, approval.currency, approval.scale or 0),
        "expires_at": format_time(approval.expires_at),
        "atomic": details["atomic"],
        "items_count": details["items_count"],
        **outcome,
    }


def outcome_key(batch: Instruction) -> bytes:
    """Return where the outcome of a batch that waited is kept, beside the answer that its maker got first."""
    return key_digest(batch.principal_id, "transfer_batch_outcome", batch.id)


def atomic_refusal(outcomes: Sequence[Outcome]) -> AtomicBatchRefusedError | None:
    """Return what refuses an all-or-none batch of which an item was refused."""
    refusals = [(number, one.refusal) for number, one in enumerate(outcomes) if one.refusal is not None]
    return AtomicBatchRefusedError(items=_refused_items(refusals)) if refusals else None


def batch_settled(
    issuer_id: str, plan: Plan, items: Submission, outcomes: Sequence[Outcome]
) -> tuple[bytes, dict[str, Any]]:
    """Return the outcome of a batch that people let through, as JSON, and the members of its event.

    The event tells the outcome's SHA-256 and what was booked of it: each of those names the batch in its own event.
    """
    asked = plan.answers_with
    created_at = format_time(asked.created_at)
    shown = orjson.dumps(
        shown_batch(issuer_id, asked.id, asked.principal_id, created_at, items.atomic, outcomes)
    )
    booked = [
        parse_positive_amount(request.amount or "", plan.scale)
        for request, outcome in zip(items.requests, outcomes, strict=True)
        if outcome.event_index is not None and not outcome.replayed
    ]
    return shown, {
        "amount": format_amount(asked.amount_minor, plan.scale),
        "approvals": [one.hex() for one in plan.approval_hashes],
        "booked_amount": format_amount(sum(booked), plan.scale),
        "booked_count": len(booked),
        "currency": plan.currency,
        "instruction_id": asked.id,
        "operation": Kind.TRANSFER_BATCH.value,
        "outcome_hash": hashlib.sha256(shown).hexdigest(),
        "principal_id": asked.principal_id,
        "request_hash": asked.request_hash.hex(),
        "scale": plan.scale,
        "token_class_id": asked.token_class_id,
    }


def shown_batch(
    issuer_id: str,
    batch_id: str,
    principal_id: str,
    created_at: str,
    atomic: bool,
    outcomes: Sequence[Outcome],
) -> dict[str, Any]:
    """Return a settled batch with the outcome of each item, as JSON."""
    items = [_item(number, outcome) for number, outcome in enumerate(outcomes)]
    counts = {
        f"{name}_count": sum(one["status"] == status for one in items) for name, status in _COUNTED.items()
    }
    return {
        "id": batch_id,
        "object": "transfer_batch",
        "created_at": created_at,
        "issuer_id": issuer_id,
        "state": State.SETTLED.value,
        "principal_id": principal_id,
        "atomic": atomic,
        **counts,
        "items": items,
    }


def _totals(
    facts: Facts, requests: Iterable[Request], known: Collection[bytes]
) -> tuple[dict[str, int], list[tuple[int, DomainError]], list[int]]:
    """Return what is to be paid by class, what is wrong with which items, and which were answered before."""
    totals: dict[str, int] = {}
    refusals: list[tuple[int, DomainError]] = []
    answered_before: list[int] = []
    seen: set[bytes] = set()
    for number, request in enumerate(requests):
        try:
            payer, _ = two_sides(facts, request)
            amount_minor = amount_of(request, payer)
        except DomainError as refusal:
            refusals.append((number, refusal))
            continue
        if request.key_digest in known or request.key_digest in seen:
            answered_before.append(number)
            continue
        seen.add(request.key_digest)
        totals[payer.token_class_id] = totals.get(payer.token_class_id, 0) + amount_minor
    return totals, refusals, answered_before


def _waits(
    facts: Facts,
    submission: Submission,
    of_account: AccountFacts,
    total_minor: int,
    checkers: int,
    answered_before: list[int],
) -> Plan:
    batch = submission.batch
    assert batch is not None
    assert batch.payload is not None
    waiting = new_instruction(facts, batch, of_account.token_class_id, total_minor, State.PENDING_APPROVAL)
    details = {
        "items_count": len(submission.requests),
        "atomic": submission.atomic,
        "answered_before": answered_before,
        "body": dict(batch.payload),
        "key_digests": [one.key_digest.hex() for one in submission.requests],
    }
    return Plan(
        waiting,
        of_account.currency,
        of_account.scale,
        added=waiting,
        quorum=checkers,
        details=details,
    )


def _item_request(maker: Principal, batch: Instruction, item: dict[str, Any], digest: bytes) -> Request:
    # The key is how an item is found again, not part of what it asks: alone or in a batch it is the same transfer.
    asked = {name: value for name, value in item.items() if name != "idempotency_key"}
    return Request(
        id=new_instruction_id(Kind.TRANSFER),
        kind=Kind.TRANSFER,
        principal=maker,
        key_digest=digest,
        request_hash=request_hash(Kind.TRANSFER, {"body": asked}),
        related_id=batch.id,
        source=batch.source,
        amount=item["amount"],
        currency=item["currency"],
        payer_account_id=item["payer_account_id"],
        payee_account_id=item["payee_account_id"],
        reference=item.get("reference"),
        purpose=item.get("purpose"),
    )


def _refused_items(refusals: Iterable[tuple[int, DomainError]]) -> list[dict[str, Any]]:
    shown = [_item(number, Outcome(refusal=refusal)) for number, refusal in refusals]
    return shown[:_REFUSED_ITEMS_SHOWN_MAX]


def _item(number: int, outcome: Outcome) -> dict[str, Any]:
    refusal = outcome.refusal
    if refusal is not None:
        return {
            "item": number,
            "status": "refused",
            "code": refusal.code,
            "detail": refusal.detail,
            **refusal.members,
        }
    shown: dict[str, Any] = {"item": number, "id": outcome.resource_id}
    if outcome.event_index is None:
        # A person has to look at it first.
        approval_id = with_prefix("approval", outcome.resource_id)
        return shown | {"status": "pending_approval", "approval_id": approval_id}
    return shown | {"status": "settled", "event_index": outcome.event_index}
