"""One transaction's work: decided in memory in order, written in parts as it goes."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from http import HTTPStatus
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from tallystick import approvals, business_dates, events, ledger, orders, participants, payouts, policy
from tallystick.approvals import Approval, Vote
from tallystick.business_dates import LateItem
from tallystick.core.clock import format_time
from tallystick.core.errors import DomainError
from tallystick.core.ids import new_id, with_prefix
from tallystick.core.money import format_amount
from tallystick.core.pipeline import Pipeline
from tallystick.core.records import maker
from tallystick.events import EventDraft
from tallystick.orders import Step
from tallystick.participants import AccountStatus
from tallystick.signing import CompactSigning, Signer
from tallystick.tokens import store
from tallystick.tokens.asking_people import ask_for_approval, decided, told
from tallystick.tokens.changing import Applied, CheckedChange
from tallystick.tokens.decide import decide
from tallystick.tokens.decide_changes import applied_change, change_members
from tallystick.tokens.instructions import Instruction, Kind, Outcome, Request, State, Submission
from tallystick.tokens.issuance import BreakerTrippedError, Trip
from tallystick.tokens.locking import Locked
from tallystick.tokens.outlines import settled_now
from tallystick.tokens.plans import Mark, Plan, count
from tallystick.tokens.refusals import ApprovalNeededError, IdempotencyKeyReusedError
from tallystick.tokens.render import (
    EVENT_TYPES,
    event_payload,
    fact_payload,
    resource,
    settled_transfer,
)
from tallystick.tokens.settler import Settler
from tallystick.tokens.store import Added, Answer
from tallystick.tokens.transfer_batches import atomic_refusal, batch_settled, outcome_key

__all__ = ["Batch", "FactsOutdatedError"]

_STATUS: Final = {State.PENDING_APPROVAL.value: 202, State.UNASSIGNED.value: 202}
# So many answers are written at once: enough to make a statement worth its trip, and few enough to keep the server
# busy while the next ones are decided. The first are fewer, since until then the server has nothing to do.
_FIRST_PART_SIZE: Final = 64
# So many parts may still be being signed while later ones are decided.
_SIGNING_MAX: Final = 3
_PART_SIZE: Final = 200
# Looking a member up takes as long as comparing two.
_TRANSFER: Final = Kind.TRANSFER

_added = maker(Added)
_answer = maker(Answer)
_event_draft = maker(EventDraft)
_outcome = maker(Outcome)


class FactsOutdatedError(Exception):
    """A change has taken effect in this batch, so what was read before it decides nothing any more."""


class Batch:
    """What is decided but not written yet, and what was written so far, of one issuer's batch.

    `pipeline` must be set before the first decision. `known` holds the answers to keys seen before, in this batch too,
    and `answered_before` those that were given before it.
    """

    pipeline: Pipeline

    def __init__(self, issuer_id: str, locked: Locked, settler: Settler) -> None:
        self.issuer_id = issuer_id
        self.facts = locked.facts
        self.head = locked.head
        self.known: dict[bytes, Answer] = {}
        self.answered_before: list[Answer] = []
        self.take_answered(locked.answered)
        self.booked_at = locked.facts.booked_at
        self.answer_count = 0
        self.signed_events: dict[int, str] = {}
        self._ask_signer = locked.signer
        self._settler = settler
        # The keys that were answered since the last part was written, and those of their answers that `answer` keeps.
        self._keys: list[bytes] = []
        self._part_size = _FIRST_PART_SIZE
        self._answers: list[Answer] = []
        self._drafts: list[EventDraft] = []
        self._added: dict[str, Added] = {}
        self._changed: dict[str, Instruction] = {}
        self._waiting: list[tuple[Request, Plan]] = []
        self._votes: list[tuple[Approval, Vote, str]] = []
        self._statuses: list[tuple[str, AccountStatus, str]] = []
        self._expired: list[Approval] = []
        self._changes: list[tuple[Callable[[Connection, Applied], None], Applied]] = []
        self._breakers: list[store.BreakerRow] = []
        self._steps: list[tuple[Step, Instruction, tuple[bytes, ...]]] = []
        self._late: list[LateItem] = []
        self._plans: list[Plan] = []
        self._atomic: Mark | None = None
        self._checks: list[Callable[[], None]] = []
        self._signing: deque[tuple[list[EventDraft], str, CompactSigning]] = deque()

    def decide(self, request: Request) -> Outcome:
        """Decide one request: its earlier answer, a refusal, or what it does. Raises FactsOutdatedError."""
        if request.key_digest in self.known:
            answered = self._answered_before(request)
            if self._atomic is not None and answered.status == HTTPStatus.ACCEPTED:
                return Outcome(refusal=ApprovalNeededError())
            return answered
        if self._changes:
            raise FactsOutdatedError
        is_transfer = request.kind == _TRANSFER
        if not is_transfer and request.kind == Kind.ATTESTATION:
            return self._attest(request)
        try:
            plan = decide(self.facts, request)
        except BreakerTrippedError as refusal:
            self.suspend(refusal.trip)
            return Outcome(refusal=refusal)
        except DomainError as refusal:
            return Outcome(refusal=refusal)
        if self._atomic is not None and plan.settled is None:
            # All or none, now: what waits for people can be neither.
            return Outcome(refusal=ApprovalNeededError())
        outcome = (self._carry_out_transfer if is_transfer else self._carry_out)(request, plan)
        if len(self._keys) >= self._part_size and self._atomic is None:
            self._write_part()
        return outcome

    def take_answered(self, answered: dict[bytes, Answer]) -> None:
        """Take up what keys of this batch were answered before it; to be called before their requests are decided."""
        self.known |= answered
        self.answered_before += answered.values()

    def suspend(self, trip: Trip) -> None:
        """Suspend a class's issuance: written although the mint that tripped it is refused."""
        index = self._draft(
            "breaker.tripped",
            new_id("event"),
            trip.token_class_id,
            token_class_id=trip.token_class_id,
            reason=trip.reason,
        )
        class_id, why = trip
        self._breakers.append(store.BreakerRow(class_id, "tripped", why, self.booked_at, index))
        if trip.token_class_id in self.facts.issuance:
            self.facts.issuance[trip.token_class_id].tripped = True

    def let_wait(self, request: Request, plan: Plan) -> Outcome:
        """Take up a batch that waits for people."""
        return self._carry_out(request, plan)

    def replay(self, request: Request) -> Outcome | None:
        """Return the answer that the request's key got before, or None."""
        return self._answered_before(request) if request.key_digest in self.known else None

    def answer(
        self, request: Request, status: int, resource_id: str, body: bytes, event_index: int | None
    ) -> Outcome:
        """Keep an answer for ever and return it as an outcome."""
        answer = Answer(
            request.key_digest, request.request_hash, resource_id, status, body.decode(), event_index
        )
        self._answers.append(answer)
        self._take_key(answer)
        return Outcome(status, body, resource_id, event_index, signed_events=self.signed_events)

    def begin_atomic(self) -> None:
        """From here on nothing is written until `end_atomic`, so that `undo_atomic` can take all of it back."""
        self._atomic = Mark(
            len(self.facts.book.lines),
            len(self._drafts),
            len(self._answers),
            len(self._keys),
            self.facts.next_index,
            None if self.facts.usage is None else self.facts.usage.mark(),
        )

    def end_atomic(self) -> None:
        """What was decided since `begin_atomic` stands."""
        self._atomic = None

    def undo_atomic(self) -> None:
        """Take back what was decided since `begin_atomic`: lines, events, new instructions and answers of transfers."""
        assert self._atomic is not None
        lines_kept, drafts_kept, answers_kept, keys_kept, self.facts.next_index, usage_kept = self._atomic
        self._atomic = None
        if self.facts.usage is not None and usage_kept is not None:
            self.facts.usage.undo_to(usage_kept)
        self.facts.book.undo_to(lines_kept)
        for draft in self._drafts[drafts_kept:]:
            # The vote's event, if people let the group through, is of no new instruction.
            self._added.pop(draft.subject_id, None)
        for key in self._keys[keys_kept:]:
            del self.known[key]
        self.answer_count -= len(self._keys) - keys_kept
        del self._drafts[drafts_kept:]
        del self._answers[answers_kept:]
        del self._keys[keys_kept:]

    def write_rest(self) -> None:
        """Write what is left, the balances and the log's head."""
        if not self.writes:
            return
        if self._keys or self._drafts:
            self._write_part()
        if self.facts.usage is not None:
            policy.write_usage(self.pipeline, self.issuer_id, self.facts.usage)
        store.update_instructions(self.pipeline, self.issuer_id, list(self._changed.values()))
        self._checks.append(ledger.write_balances(self.pipeline, self.issuer_id, self.facts.book))
        self._checks.append(
            events.move_head(self.pipeline, self.issuer_id, self.head, self.facts.next_index, self.booked_at)
        )
        self._write_signed(under_way=0)

    def check_written(self) -> None:
        """Raise InvariantError if a locked row was not as it was locked; to be called behind the pipeline."""
        for check in self._checks:
            check()

    def write_people(self, connection: Connection) -> None:
        """Write what concerns people: approvals asked for, votes, changes, orders, and the standing of accounts."""
        for request, plan in self._waiting:
            ask_for_approval(connection, self._settler, self.issuer_id, request, plan)
        for approval, vote, state in self._votes:
            approvals.record_vote(connection, approval, vote, state)
        for approval in self._expired:
            approvals.expire(connection, approval)
        for account_id, status, reason in self._statuses:
            participants.set_account_status(
                connection, self._settler.clock, self.issuer_id, account_id, status, reason
            )
        for row in self._breakers:
            store.write_breaker(connection, self.issuer_id, row)
        for step, settled, approval_hashes in self._steps:
            orders.record(
                connection,
                step,
                reason=settled.reason or "",
                done_by=settled.principal_id,
                approvals=[one.hex() for one in approval_hashes],
                done_at=self.booked_at,
            )
        payouts.record(
            connection,
            self.issuer_id,
            [plan.payout for plan in self._plans if plan.payout is not None],
            [plan.payout_step for plan in self._plans if plan.payout_step is not None],
        )
        business_dates.record_late(connection, self.issuer_id, self._late)
        for apply, applied in self._changes:
            apply(connection, applied)

    @property
    def writes(self) -> bool:
        """Tell whether anything was decided that is written: an answer, or a breaker that tripped."""
        return bool(self.answer_count or self._breakers)

    @cached_property
    def _signer(self) -> Signer:
        return self._ask_signer.result()

    def _answered_before(self, request: Request) -> Outcome:
        known = self.known[request.key_digest]
        if known.request_hash != request.request_hash:
            return Outcome(refusal=IdempotencyKeyReusedError(existing_id=known.resource_id))
        status, body, resource_id = known.status, known.text.encode(), known.resource_id
        return _outcome((status, body, resource_id, known.event_index, None, True, self.signed_events))

    def _take_key(self, answer: Answer) -> None:
        self._keys.append(answer.key_digest)
        self.answer_count += 1
        self.known[answer.key_digest] = answer

    def _write_part(self) -> None:
        pipeline, issuer_id = self.pipeline, self.issuer_id
        # First, so that this part is signed while its other rows are written and the next one is decided.
        self._begin_signing(None)
        ledger.write_lines(pipeline, issuer_id, self.facts.book, self.booked_at)
        store.insert_instructions(pipeline, issuer_id, list(self._added.values()), self.booked_at)
        store.insert_answers(pipeline, issuer_id, self._answers, self.booked_at)
        self._write_signed(under_way=_SIGNING_MAX)
        self._added, self._keys, self._answers = {}, [], []
        self._part_size = _PART_SIZE

    def _begin_signing(self, signer: Signer | None) -> None:
        """Begin to sign what was drafted, by the active key if no other is given."""
        if self._drafts:
            signer = signer or self._signer
            self._signing.append((self._drafts, signer.key_id, events.begin_signing(self._drafts, signer)))
            self._drafts = []

    def _write_signed(self, *, under_way: int) -> None:
        """Write the events that are signed, and wait for more until only so many parts are still being signed."""
        while self._signing and (len(self._signing) > under_way or self._signing[0][2].ready()):
            drafts, key_id, signing = self._signing.popleft()
            signed = signing.result()
            events.append(self.pipeline, self.issuer_id, self.booked_at, drafts, key_id, signed)
            self.signed_events.update(zip([draft.event_index for draft in drafts], signed, strict=True))

    def _carry_out_transfer(self, request: Request, plan: Plan) -> Outcome:
        """Take up the plan of a transfer, whose row keeps its key and makes its answer."""
        row = plan.answers_with
        assert plan.currency is not None
        if plan.settled is None:
            waiting = resource(self.issuer_id, row, plan.currency, plan.scale)
            first_answer: str | None = orjson.dumps(waiting).decode()
            body = partial(str, first_answer)
            status = 202
            self._waiting.append((request, plan))
        else:
            amount = format_amount(row.amount_minor, plan.scale)
            body = partial(settled_transfer, self.issuer_id, row, plan.currency, amount)
            first_answer = None
            status = 201
            self._record(plan, row, amount)
        self._added[row.id] = _added((row, request.key_digest, first_answer))
        answer = _answer((request.key_digest, request.request_hash, row.id, status, body, row.event_index))
        self._take_key(answer)
        return _outcome((status, body, row.id, row.event_index, None, False, self.signed_events))

    def _carry_out(self, request: Request, plan: Plan) -> Outcome:
        """Take up a plan in memory. From here it must succeed: what fails now is a fault of ours, not the caller's."""
        if plan.batch is not None:
            return self._carry_out_items(request, plan, plan.batch)
        shown = plan.answers_with
        event_index = None
        if plan.vote is not None:
            plan = self._take_vote(request, plan)
        if plan.expired is not None:
            self._take_expiry(request, plan.expired)
        if plan.settled is not None:
            event_index = plan.settled.event_index
            if plan.change is not None:
                self._take_change(plan, plan.settled, plan.change)
            else:
                self._record(plan, plan.settled, format_amount(plan.settled.amount_minor, plan.scale))
        if plan.added is not None:
            self._added[plan.added.id] = Added(plan.added, None, None)
            if plan.added.state == State.PENDING_APPROVAL:
                self._waiting.append((request, plan))
        for row in plan.changed:
            self._changed[row.id] = self.facts.instructions[row.id] = row
        if plan.account_status is not None:
            account_id, status, _ = plan.account_status
            self._statuses.append(plan.account_status)
            self.facts.set_status(account_id, status)
        self._plans.append(plan)
        if plan.step is not None and plan.settled is not None:
            self._steps.append((plan.step, plan.settled, plan.approval_hashes))
            self.facts.take_step(plan.step)
        if plan.vote is not None:
            approval, vote, state = plan.vote
            body = orjson.dumps(decided(self.issuer_id, approval, vote, state, plan))
            return self.answer(request, 200, approval.id, body, event_index)
        body = orjson.dumps(told(self.issuer_id, plan, shown))
        return self.answer(request, _STATUS.get(shown.state, 201), shown.id, body, event_index)

    def _carry_out_items(self, request: Request, plan: Plan, items: Submission) -> Outcome:
        """Take up a batch that people let through: the vote, its items in order, and behind them the batch itself.

        If it was asked for as all or none and an item is refused, nothing is done and the approval waits on.
        """
        assert plan.vote is not None
        approval_id = plan.vote[0].id
        before = self.facts.approvals[approval_id]
        if items.atomic:
            self.begin_atomic()
        plan = self._take_vote(request, plan)
        outcomes = [self.decide(one._replace(approval_hashes=plan.approval_hashes)) for one in items.requests]
        refusal = atomic_refusal(outcomes) if items.atomic else None
        if refusal is not None:
            self.undo_atomic()
            self._votes.pop()
            self.facts.approvals[approval_id] = before
            return Outcome(refusal=refusal)
        self.end_atomic()
        outcome, members = batch_settled(self.issuer_id, plan, items, outcomes)
        settled = settled_now(self.facts, plan.answers_with)
        index = self._draft(
            "transfer_batch.settled",
            with_prefix("event", settled.id),
            settled.id,
            **members,
        )
        self._changed[settled.id] = self.facts.instructions[settled.id] = settled
        self.answer(request._replace(key_digest=outcome_key(settled)), 200, settled.id, outcome, None)
        assert plan.vote is not None
        body = orjson.dumps(decided(self.issuer_id, *plan.vote, plan._replace(answers_with=settled)))
        return self.answer(request, 200, approval_id, body, index)

    def _take_vote(self, request: Request, plan: Plan) -> Plan:
        """Let a vote count and draft its event; return the plan with the vote as it is written."""
        assert plan.vote is not None
        approval, vote, state = plan.vote
        index = self._draft(
            "approval.approved" if vote.decision == "approve" else "approval.rejected",
            with_prefix("event", request.id),
            approval.id,
            approval_id=approval.id,
            decision=vote.decision,
            instruction_id=approval.subject_id,
            operation=approval.operation,
            principal_id=vote.principal_id,
            request_hash=approval.request_hash.hex(),
            vote_hash=vote.hash.hex(),
        )
        written = replace(vote, event_index=index)
        self._votes.append((approval, written, state))
        _, votes = self.facts.approvals[approval.id]
        self.facts.approvals[approval.id] = (replace(approval, state=state), [*votes, written])
        return plan._replace(vote=(approval, written, state))

    def _take_expiry(self, request: Request, approval: Approval) -> None:
        self._draft(
            "approval.expired",
            with_prefix("event", request.id),
            approval.id,
            approval_id=approval.id,
            instruction_id=approval.subject_id,
            operation=approval.operation,
            principal_id=request.principal.id,
        )
        self._expired.append(approval)
        votes = self.facts.approvals[approval.id][1]
        self.facts.approvals[approval.id] = (replace(approval, state="expired"), votes)

    def _take_change(self, plan: Plan, settled: Instruction, change: CheckedChange) -> None:
        # A key signs its own beginning, and the one before it what stands in front of that.
        self._begin_signing(None)
        if plan.postings:
            assert settled.value_date is not None, "it comes with settling"
            self.facts.book.post(self.facts.next_index, settled.value_date, plan.postings)
        index = self._draft(
            change.change.event_type,
            with_prefix("event", settled.id),
            settled.id,
            **change_members(settled, change, plan.approval_hashes),
        )
        self._begin_signing(change.signer)
        applied = applied_change(self._settler.clock, self.issuer_id, plan, settled, change, index)
        self._changes.append((change.change.apply, applied))

    def _attest(self, request: Request) -> Outcome:
        """Sign what a reconciliation found, as its own fact: it is no instruction and moves nothing."""
        members = dict(request.payload or {})
        index = self._draft(
            "reconciliation.attested",
            with_prefix("event", request.id),
            members["reconciliation_id"],
            principal_id=request.principal.id,
            token_class_id=request.token_class_id,
            **members,
        )
        body = orjson.dumps({"id": request.id, "booked_at": format_time(self.booked_at)})
        return self.answer(request, 201, request.id, body, index)

    def _draft(self, event_type: str, event_id: str, about: str, **members: Any) -> int:
        """Draft the event of what moves no money, and return its index."""
        index = self.facts.next_index
        payload = fact_payload(self.issuer_id, event_id, index, self.booked_at, event_type, **members)
        of_class = members.get("token_class_id")
        self._drafts.append(EventDraft(index, event_id, event_type, about, of_class, payload))
        self.facts.next_index += 1
        return index

    def _record(self, plan: Plan, settled: Instruction, amount: str) -> None:
        """Post the plan's entry, draft its event, and count it for the rules that limit it."""
        event_index, value_date = settled.event_index, settled.value_date
        assert event_index == self.facts.next_index, "an event is drafted out of its place"
        assert value_date is not None and plan.currency is not None  # noqa: PT018 Both come with settling.
        lines = self.facts.book.post(event_index, value_date, plan.postings) if plan.postings else ()
        original_date = self.facts.late.get(settled.id)
        if original_date is not None:
            self._late.append(LateItem(event_index, settled.id, value_date, original_date))
        payload = event_payload(
            self.issuer_id,
            settled,
            event_index=event_index,
            currency=plan.currency,
            scale=plan.scale,
            amount=amount,
            booked_at=self.booked_at,
            lines=lines,
            approval_hashes=plan.approval_hashes,
            policy_version=count(self.facts, plan, settled),
            original_value_date=original_date,
        )
        self.facts.next_index += 1
        event_id, event_type = with_prefix("event", settled.id), EVENT_TYPES[settled.kind]
        draft = _event_draft((event_index, event_id, event_type, settled.id, settled.token_class_id, payload))
        self._drafts.append(draft)
