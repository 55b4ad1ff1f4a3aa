"""One transaction's work: decided in memory in order, written in parts as it goes."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Final

import orjson
from sqlalchemy import Connection

from tallystick import approvals, events, ledger, participants
from tallystick.approvals import Approval, Vote
from tallystick.core.clock import format_time
from tallystick.core.errors import DomainError
from tallystick.core.ids import with_prefix
from tallystick.core.pipeline import Pipeline
from tallystick.events import EventDraft
from tallystick.participants import AccountStatus
from tallystick.signing import Signer
from tallystick.tokens import store
from tallystick.tokens.decide import decide
from tallystick.tokens.instructions import Instruction, Outcome, Request, State
from tallystick.tokens.locking import Locked, Settler
from tallystick.tokens.plans import Plan
from tallystick.tokens.refusals import IdempotencyKeyReusedError
from tallystick.tokens.render import EVENT_TYPES, event_payload, resource
from tallystick.tokens.store import Answer

__all__ = ["Batch"]

_STATUS: Final = {State.PENDING_APPROVAL.value: 202, State.UNASSIGNED.value: 202}
# So many answers are written at once: enough to make a statement worth its trip, and few enough to keep the server
# busy while the next ones are decided.
_PART_SIZE: Final = 250
_VALUE_DATE, _CREATED_AT, _SETTLED_AT = map(
    Instruction._fields.index, ("value_date", "created_at", "settled_at")
)


class Batch:
    """What is decided but not written yet, and what was written so far, of one issuer's batch.

    `pipeline` must be set before the first decision; `known` holds the answers to keys seen before, in this batch too.
    """

    pipeline: Pipeline

    def __init__(self, issuer_id: str, locked: Locked, settler: Settler) -> None:
        self.issuer_id = issuer_id
        self.facts = locked.facts
        self.head = locked.head
        self.known = locked.known
        self.booked_at = max(locked.facts.now, locked.head.last_booked_at)
        self.next_index = locked.head.next_index
        self.answer_count = 0
        self.signed_events: dict[int, str] = {}
        self._ask_signer = locked.signer
        self._settler = settler
        self._answers: list[Answer] = []
        self._drafts: list[EventDraft] = []
        self._added: dict[str, Instruction] = {}
        self._changed: dict[str, Instruction] = {}
        self._waiting: list[tuple[Request, Plan]] = []
        self._votes: list[tuple[Approval, Vote, str]] = []
        self._statuses: list[tuple[str, AccountStatus, str]] = []
        self._atomic: tuple[int, int, int, int] | None = None
        self._checks: list[Callable[[], None]] = []

    def decide(self, request: Request) -> Outcome:
        """Decide one request: its earlier answer, a refusal, or what it does."""
        replay = self.replay(request)
        if replay is not None:
            return replay
        try:
            plan = decide(self.facts, request)
        except DomainError as refusal:
            return Outcome(refusal=refusal)
        outcome = self._carry_out(request, plan)
        if len(self._answers) >= _PART_SIZE and self._atomic is None:
            self._write_part()
        return outcome

    def replay(self, request: Request) -> Outcome | None:
        """Return the answer that the request's key got before, or None."""
        known = self.known.get(request.key_digest)
        if known is None:
            return None
        if known.request_hash != request.request_hash:
            return Outcome(refusal=IdempotencyKeyReusedError(existing_id=known.resource_id))
        return Outcome(known.status, known.body.encode(), known.resource_id, known.event_index, replayed=True)

    def answer(
        self, request: Request, status: int, resource_id: str, body: bytes, event_index: int | None
    ) -> Outcome:
        """Keep an answer for ever and return it as an outcome."""
        answer = Answer(
            request.key_digest, request.request_hash, resource_id, status, body.decode(), event_index
        )
        self._answers.append(answer)
        self.answer_count += 1
        self.known[request.key_digest] = answer
        return Outcome(status, body, resource_id, event_index)

    def begin_atomic(self) -> None:
        """From here on nothing is written until `end_atomic`, so that `undo_atomic` can take all of it back."""
        self._atomic = (len(self.facts.book.lines), len(self._drafts), len(self._answers), self.next_index)

    def end_atomic(self) -> None:
        """What was decided since `begin_atomic` stands."""
        self._atomic = None

    def undo_atomic(self) -> None:
        """Take back what was decided since `begin_atomic`: lines, events, new instructions and answers of transfers."""
        assert self._atomic is not None
        lines_kept, drafts_kept, answers_kept, self.next_index = self._atomic
        self._atomic = None
        self.facts.book.undo_to(lines_kept)
        for draft in self._drafts[drafts_kept:]:
            del self._added[draft.subject_id]
        for answer in self._answers[answers_kept:]:
            del self.known[answer.key_digest]
        self.answer_count -= len(self._answers) - answers_kept
        del self._drafts[drafts_kept:]
        del self._answers[answers_kept:]

    def write_rest(self) -> None:
        """Write what is left, the balances and the log's head."""
        if not self.answer_count:
            return
        if self._answers:
            self._write_part()
        store.update_instructions(self.pipeline, self.issuer_id, list(self._changed.values()))
        self._checks.append(ledger.write_balances(self.pipeline, self.issuer_id, self.facts.book))
        self._checks.append(
            events.move_head(self.pipeline, self.issuer_id, self.head, self.next_index, self.booked_at)
        )

    def check_written(self) -> None:
        """Raise InvariantError if a locked row was not as it was locked; to be called behind the pipeline."""
        for check in self._checks:
            check()

    def write_people(self, connection: Connection) -> None:
        """Write what concerns people: approvals asked for, votes, and the standing of accounts."""
        for request, plan in self._waiting:
            _ask_for_approval(connection, self._settler, self.issuer_id, request, plan)
        for approval, vote, state in self._votes:
            approvals.record_vote(connection, approval, vote, state)
        for account_id, status, reason in self._statuses:
            participants.set_account_status(
                connection, self._settler.clock, self.issuer_id, account_id, status, reason
            )

    @cached_property
    def _signer(self) -> Signer:
        return self._ask_signer.result()

    def _write_part(self) -> None:
        pipeline, issuer_id = self.pipeline, self.issuer_id
        ledger.write_lines(pipeline, issuer_id, self.facts.book, self.booked_at)
        store.insert_instructions(pipeline, issuer_id, list(self._added.values()), self.booked_at)
        store.insert_answers(pipeline, issuer_id, self._answers, self.booked_at)
        if self._drafts:
            signed = events.append(pipeline, issuer_id, self.booked_at, self._drafts, self._signer)
            indexes = [draft.event_index for draft in self._drafts]
            self.signed_events.update(zip(indexes, signed, strict=True))
        self._added, self._answers, self._drafts = {}, [], []

    def _carry_out(self, request: Request, plan: Plan) -> Outcome:
        """Take up a plan in memory. From here it must succeed: what fails now is a fault of ours, not the caller's."""
        shown = plan.answers_with
        event_index = None
        if plan.settled is not None:
            event_index = self.next_index
            shown = self._record(plan, plan.settled, event_index)
        elif plan.added is not None:
            self._added[plan.added.id] = plan.added
            if plan.added.state == State.PENDING_APPROVAL:
                self._waiting.append((request, plan))
        for row in plan.changed:
            if row.id != shown.id or plan.settled is None:
                self._changed[row.id] = self.facts.instructions[row.id] = row
        if plan.account_status is not None:
            account_id, status, _ = plan.account_status
            self._statuses.append(plan.account_status)
            self.facts.accounts[account_id] = self.facts.accounts[account_id]._replace(status=status)
        if plan.vote is None:
            body = orjson.dumps(resource(self.issuer_id, shown, plan.currency, plan.scale))
            return self.answer(request, _STATUS.get(shown.state, 201), shown.id, body, event_index)
        approval, vote, state = plan.vote
        self._votes.append(plan.vote)
        _, votes = self.facts.approvals[approval.id]
        self.facts.approvals[approval.id] = (replace(approval, state=state), [*votes, vote])
        decided = {
            "id": approval.id,
            "object": "approval",
            "state": state,
            "operation": approval.operation,
            "decision": vote.decision,
            "person": vote.person,
            "decided_at": format_time(vote.decided_at),
            "hash": vote.hash.hex(),
            "instruction": resource(self.issuer_id, shown, plan.currency, plan.scale),
        }
        return self.answer(request, 200, approval.id, orjson.dumps(decided), event_index)

    def _record(self, plan: Plan, settled: Instruction, event_index: int) -> Instruction:
        """Post the plan's entry, draft its event, and return the instruction as it now stands."""
        booked_at = self.booked_at
        value_date = settled.value_date or booked_at.date()
        row = Instruction._make(
            (*settled[:_VALUE_DATE], value_date, *settled[_CREATED_AT:_SETTLED_AT], booked_at, event_index)
        )
        lines = self.facts.book.post(event_index, value_date, plan.postings) if plan.postings else ()
        payload = event_payload(
            self.issuer_id,
            row,
            event_index=event_index,
            currency=plan.currency,
            scale=plan.scale,
            booked_at=booked_at,
            lines=lines,
            approval_hashes=plan.approval_hashes,
        )
        self.next_index += 1
        self._drafts.append(
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
            self._added[row.id] = row
        else:
            self._changed[row.id] = self.facts.instructions[row.id] = row
        return row


def _ask_for_approval(
    connection: Connection, settler: Settler, issuer_id: str, request: Request, plan: Plan
) -> None:
    asked = plan.answers_with
    approvals.request(
        connection,
        issuer_id=issuer_id,
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
