"""THE write path: a list of submissions, settled each on its own, inside the caller's one transaction.

Locks are always taken in this order, each kind sorted by id: approvals, earlier instructions, ledger accounts, and the
issuer's log head last. Everything that decides is read after them. A crash on any line leaves nothing behind, for
nothing is committed here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import orjson
from sqlalchemy import Connection

from tallystick import approvals, events, ledger, participants, signing
from tallystick.approvals import Approval, Vote
from tallystick.core.clock import Clock, format_time
from tallystick.core.database import confirm_durable
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.events import EventDraft, Head
from tallystick.ledger import HOLDER_CODES, ledger_account_id
from tallystick.participants import AccountFacts, AccountStatus
from tallystick.signing import Signer
from tallystick.tokens import store
from tallystick.tokens.decide import Facts, Plan, decide
from tallystick.tokens.instructions import Instruction, Kind, Outcome, Request, State, Submission
from tallystick.tokens.journals import ledger_accounts_of
from tallystick.tokens.refusals import AtomicBatchRefusedError, IdempotencyKeyReusedError
from tallystick.tokens.render import EVENT_TYPES, event_payload, resource, with_signed_event
from tallystick.tokens.store import Answer

__all__ = ["Settler", "SubmissionOutcome", "settle"]

_POSTS_TO_CLASS: Final = frozenset({Kind.DEPOSIT, Kind.DEPOSIT_ASSIGNMENT, Kind.DEPOSIT_RELEASE})
_TOUCHES_WHOLE_ACCOUNT: Final = frozenset({Kind.ACCOUNT_FREEZE, Kind.ACCOUNT_UNFREEZE, Kind.ACCOUNT_CLOSURE})
_REFUSED_ITEMS_SHOWN_MAX: Final = 100
_STATUS: Final = {State.PENDING_APPROVAL.value: 202, State.UNASSIGNED.value: 202}


@dataclass(frozen=True, slots=True)
class Settler:
    """What the write path needs beside a connection: the time, the issuer's signer, and how long approvals wait."""

    clock: Clock
    load_signer: Callable[[Connection, str], Signer]
    approval_lifetime: timedelta


@dataclass(frozen=True, slots=True)
class SubmissionOutcome:
    """One outcome per request; for a batch also the batch's own, which is what its caller is answered."""

    outcomes: list[Outcome]
    batch: Outcome | None = None


@dataclass(slots=True)
class _Batch:
    """Everything that one transaction will write, in order, and the answers known so far by key."""

    issuer_id: str
    facts: Facts
    next_index: int
    booked_at: datetime
    known: dict[bytes, Answer]
    answers: list[Answer] = field(default_factory=list)
    drafts: list[EventDraft] = field(default_factory=list)
    added: dict[str, Instruction] = field(default_factory=dict)
    changed: dict[str, Instruction] = field(default_factory=dict)
    waiting: list[tuple[Request, Plan]] = field(default_factory=list)
    votes: list[tuple[Approval, Vote, str]] = field(default_factory=list)
    statuses: list[tuple[str, AccountStatus, str]] = field(default_factory=list)


def settle(
    connection: Connection, settler: Settler, issuer_id: str, submissions: Sequence[Submission]
) -> list[SubmissionOutcome]:
    """Decide every submission in order and write what settled; return the outcomes in the same order.

    A refusal is an outcome, not an exception: it leaves nothing behind and harms no neighbour. The caller commits, and
    tells nobody before that.
    """
    requests = [request for submission in submissions for request in submission.requests]
    facts = _lock_facts(connection, settler, issuer_id, requests)
    head = events.lock_head(connection, issuer_id)
    known = store.read_answers(connection, issuer_id, _key_digests(submissions))
    batch = _Batch(issuer_id, facts, head.next_index, max(facts.now, head.last_booked_at), known)
    signed_events = _signed_events(connection, issuer_id, known.values())
    outcomes = [_decide_submission(batch, submission) for submission in submissions]
    if batch.answers:
        signer = settler.load_signer(connection, issuer_id)
        # No signature lands behind its key's retirement or revocation.
        signing.hold_active_key(connection, issuer_id, signer.key_id)
        written = _write(connection, settler, batch, head, signer)
        signed_events.update(
            zip(range(head.next_index, head.next_index + len(written)), written, strict=True)
        )
    elif known:
        confirm_durable(connection)
    return [_finish(outcome, signed_events) for outcome in outcomes]


def _lock_facts(
    connection: Connection, settler: Settler, issuer_id: str, requests: Sequence[Request]
) -> Facts:
    deciding = {
        request.related_id or "" for request in requests if request.kind in (Kind.APPROVE, Kind.REJECT)
    }
    waiting = approvals.lock(connection, issuer_id, deciding) if deciding else {}
    earlier_ids = {request.related_id for request in requests if request.related_id} - deciding
    earlier_ids |= {approval.subject_id for approval, _ in waiting.values()}
    earlier = _lock_earlier(connection, issuer_id, earlier_ids) if earlier_ids else {}
    account_ids = {request.payer_account_id for request in requests}
    account_ids.update([request.payee_account_id for request in requests])
    for row in earlier.values():
        account_ids |= {row.payer_account_id, row.payee_account_id}
    account_ids.discard(None)
    accounts: dict[str, AccountFacts] = {}
    if any(request.kind in _POSTS_TO_CLASS for request in requests) or earlier:
        accounts = participants.account_facts(connection, issuer_id, account_ids)  # type: ignore[arg-type]
    book = ledger.lock(connection, issuer_id, _ledger_account_ids(requests, earlier, accounts, waiting))
    return Facts(
        book=book,
        accounts=participants.account_facts(connection, issuer_id, account_ids),  # type: ignore[arg-type]
        now=settler.clock.now(),
        approval_lifetime=settler.approval_lifetime,
        classes={
            class_id: participants.token_class(connection, issuer_id, class_id)
            for class_id in {request.token_class_id for request in requests}
            if class_id is not None
        },
        instructions=earlier,
        approvals=waiting,
    )


def _lock_earlier(connection: Connection, issuer_id: str, ids: set[str]) -> dict[str, Instruction]:
    # What an approval settles may itself refer to an instruction (a reversal to its transfer), so look twice.
    found = store.lock_instructions(connection, issuer_id, ids)
    further = {row.related_id for row in found.values() if row.kind == Kind.REVERSAL and row.related_id} - ids
    if further:
        found |= store.lock_instructions(connection, issuer_id, further)
    return found


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
        if kind in _TOUCHES_WHOLE_ACCOUNT:
            ids |= {ledger_account_id(code, payer_id or "") for code in HOLDER_CODES}
            continue
        row = earlier.get(request.related_id or "")
        if kind == Kind.APPROVE and request.related_id in waiting:
            row = earlier[waiting[request.related_id][0].subject_id]
            kind = row.kind
            payer_id, payee_id = row.payer_account_id, row.payee_account_id
            if kind in _TOUCHES_WHOLE_ACCOUNT:
                ids |= {ledger_account_id(code, payer_id or "") for code in HOLDER_CODES}
        elif row is not None and kind in (Kind.HOLD_EXECUTION, Kind.HOLD_VOID):
            payer_id, payee_id = row.payer_account_id, row.payee_account_id
        elif row is not None and kind == Kind.REVERSAL:
            payer_id, payee_id = row.payee_account_id, row.payer_account_id
        elif kind == Kind.DEPOSIT_ASSIGNMENT:
            kind = Kind.DEPOSIT
        of_account = accounts.get(payee_id or payer_id or "")
        class_id = of_account.token_class_id if of_account else None
        ids.update(ledger_accounts_of(kind, class_id, payer_id, payee_id))
    return ids


def _key_digests(submissions: Sequence[Submission]) -> list[bytes]:
    digests = [request.key_digest for one in submissions for request in one.requests]
    digests += [one.batch.key_digest for one in submissions if one.batch is not None]
    return digests


def _signed_events(connection: Connection, issuer_id: str, answers: Iterable[Answer]) -> dict[int, str]:
    indexes = [answer.event_index for answer in answers if answer.event_index is not None]
    if not indexes:
        return {}
    return {one.event_index: one.jws for one in events.events_at(connection, issuer_id, indexes)}


def _decide_submission(batch: _Batch, submission: Submission) -> SubmissionOutcome:
    if submission.batch is None:
        return SubmissionOutcome([_decide_request(batch, request) for request in submission.requests])
    replay = _replay(batch, submission.batch)
    if replay is not None:
        return SubmissionOutcome([], replay)
    kept = (len(batch.facts.book.lines), len(batch.drafts), len(batch.answers))
    outcomes = [_decide_request(batch, request) for request in submission.requests]
    refused = [number for number, outcome in enumerate(outcomes) if outcome.refusal is not None]
    if submission.atomic and refused:
        _undo_to(batch, *kept)
        items = [_item(number, outcomes[number]) for number in refused[:_REFUSED_ITEMS_SHOWN_MAX]]
        return SubmissionOutcome([], Outcome(refusal=AtomicBatchRefusedError(items=items)))
    shown = {
        "id": submission.batch.id,
        "object": "transfer_batch",
        "created_at": format_time(batch.booked_at),
        "issuer_id": batch.issuer_id,
        "atomic": submission.atomic,
        "settled_count": len(outcomes) - len(refused),
        "refused_count": len(refused),
        "items": [_item(number, outcome) for number, outcome in enumerate(outcomes)],
    }
    answered = _answer(batch, submission.batch, 200, submission.batch.id, orjson.dumps(shown), None)
    return SubmissionOutcome(outcomes, answered)


def _undo_to(batch: _Batch, lines_kept: int, drafts_kept: int, answers_kept: int) -> None:
    # Items of a batch are transfers only, so lines, events, new instructions and answers are all there is to undo.
    batch.facts.book.undo_to(lines_kept)
    for draft in batch.drafts[drafts_kept:]:
        del batch.added[draft.subject_id]
    for answer in batch.answers[answers_kept:]:
        del batch.known[answer.key_digest]
    del batch.drafts[drafts_kept:]
    del batch.answers[answers_kept:]


def _item(number: int, outcome: Outcome) -> dict[str, object]:
    if outcome.refusal is None:
        return {
            "item": number,
            "status": "settled",
            "id": outcome.resource_id,
            "event_index": outcome.event_index,
        }
    refusal = outcome.refusal
    return {
        "item": number,
        "status": "refused",
        "code": refusal.code,
        "detail": refusal.detail,
        **refusal.members,
    }


def _decide_request(batch: _Batch, request: Request) -> Outcome:
    replay = _replay(batch, request)
    if replay is not None:
        return replay
    try:
        plan = decide(batch.facts, request)
    except DomainError as refusal:
        return Outcome(refusal=refusal)
    return _carry_out(batch, request, plan)


def _replay(batch: _Batch, request: Request) -> Outcome | None:
    known = batch.known.get(request.key_digest)
    if known is None:
        return None
    if known.request_hash != request.request_hash:
        return Outcome(refusal=IdempotencyKeyReusedError(existing_id=known.resource_id))
    return Outcome(known.status, known.body.encode(), known.resource_id, known.event_index, replayed=True)


def _carry_out(batch: _Batch, request: Request, plan: Plan) -> Outcome:
    """Take up a plan in memory. From here it must succeed: whatever fails now is a fault of ours, not the caller's."""
    shown = plan.answers_with
    event_index = None
    if plan.settled is not None:
        event_index = batch.next_index + len(batch.drafts)
        shown = _record(batch, plan, plan.settled, event_index)
    elif plan.added is not None:
        batch.added[plan.added.id] = plan.added
        if plan.added.state == State.PENDING_APPROVAL:
            batch.waiting.append((request, plan))
    for row in plan.changed:
        if row.id != shown.id or plan.settled is None:
            batch.changed[row.id] = batch.facts.instructions[row.id] = row
    if plan.account_status is not None:
        account_id, status, _ = plan.account_status
        batch.statuses.append(plan.account_status)
        batch.facts.accounts[account_id] = batch.facts.accounts[account_id]._replace(status=status)
    if plan.vote is None:
        body = orjson.dumps(resource(batch.issuer_id, shown, plan.currency, plan.scale))
        return _answer(batch, request, _STATUS.get(shown.state, 201), shown.id, body, event_index)
    approval, vote, state = plan.vote
    batch.votes.append(plan.vote)
    _, votes = batch.facts.approvals[approval.id]
    batch.facts.approvals[approval.id] = (replace(approval, state=state), [*votes, vote])
    decided = {
        "id": approval.id,
        "object": "approval",
        "state": state,
        "operation": approval.operation,
        "decision": vote.decision,
        "person": vote.person,
        "decided_at": format_time(vote.decided_at),
        "hash": vote.hash.hex(),
        "instruction": resource(batch.issuer_id, shown, plan.currency, plan.scale),
    }
    return _answer(batch, request, 200, approval.id, orjson.dumps(decided), event_index)


def _record(batch: _Batch, plan: Plan, settled: Instruction, event_index: int) -> Instruction:
    """Post the plan's entry, draft its event, and return the instruction as it now stands."""
    booked_at = batch.booked_at
    value_date = settled.value_date or booked_at.date()
    row = settled._replace(settled_at=booked_at, event_index=event_index, value_date=value_date)
    lines = batch.facts.book.post(event_index, value_date, plan.postings) if plan.postings else ()
    payload = event_payload(
        batch.issuer_id,
        row,
        event_index=event_index,
        currency=plan.currency,
        scale=plan.scale,
        booked_at=booked_at,
        lines=lines,
        approval_hashes=plan.approval_hashes,
    )
    batch.drafts.append(
        EventDraft(
            event_index,
            with_prefix("event", row.id),
            EVENT_TYPES[row.kind],
            row.id,
            row.token_class_id,
            payload,
        )
    )
    if plan.added is not None:
        batch.added[row.id] = row
    else:
        batch.changed[row.id] = batch.facts.instructions[row.id] = row
    return row


def _answer(
    batch: _Batch, request: Request, status: int, resource_id: str, body: bytes, event_index: int | None
) -> Outcome:
    answer = Answer(request.key_digest, request.request_hash, resource_id, status, body.decode(), event_index)
    batch.answers.append(answer)
    batch.known[request.key_digest] = answer
    return Outcome(status, body, resource_id, event_index)


def _write(connection: Connection, settler: Settler, batch: _Batch, head: Head, signer: Signer) -> list[str]:
    """Write the batch and return the JWS of each of its events, in order."""
    issuer_id = batch.issuer_id
    ledger.write(connection, issuer_id, batch.facts.book, batch.booked_at)
    store.insert_instructions(connection, issuer_id, list(batch.added.values()))
    store.update_instructions(connection, issuer_id, list(batch.changed.values()))
    store.insert_answers(connection, issuer_id, batch.answers, batch.booked_at)
    for request, plan in batch.waiting:
        _ask_for_approval(connection, settler, batch, request, plan)
    for approval, vote, state in batch.votes:
        approvals.record_vote(connection, approval, vote, state)
    for account_id, status, reason in batch.statuses:
        participants.set_account_status(connection, settler.clock, issuer_id, account_id, status, reason)
    return events.append(connection, issuer_id, head, batch.booked_at, batch.drafts, signer)


def _ask_for_approval(
    connection: Connection, settler: Settler, batch: _Batch, request: Request, plan: Plan
) -> None:
    asked = plan.answers_with
    approvals.request(
        connection,
        issuer_id=batch.issuer_id,
        operation=asked.kind,
        subject_id=asked.id,
        request_hash=asked.request_hash,
        amount_minor=asked.amount_minor or None,
        currency=plan.currency if asked.amount_minor else None,
        scale=plan.scale if asked.amount_minor else None,
        maker_principal_id=request.principal.id,
        maker_person=request.principal.person or "",
        created_at=asked.created_at,
        lifetime=settler.approval_lifetime,
    )


def _finish(submitted: SubmissionOutcome, signed_events: dict[int, str]) -> SubmissionOutcome:
    """Join each answer with its signed event, now that there is one."""
    return SubmissionOutcome(
        [_finish_one(outcome, signed_events) for outcome in submitted.outcomes],
        None if submitted.batch is None else _finish_one(submitted.batch, signed_events),
    )


def _finish_one(outcome: Outcome, signed_events: dict[int, str]) -> Outcome:
    if outcome.event_index is None:
        return outcome
    return outcome._replace(body=with_signed_event(outcome.body, signed_events[outcome.event_index]))
