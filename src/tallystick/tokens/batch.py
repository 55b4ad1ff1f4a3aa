"""One transaction's work: decided in memory in order, written in parts as it goes."""

from collections import deque
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
from tallystick.core.money import format_amount
from tallystick.core.pipeline import Pipeline
from tallystick.events import EventDraft
from tallystick.participants import AccountStatus
from tallystick.signing import CompactSigning, Signer
from tallystick.tokens import store
from tallystick.tokens.decide import decide
from tallystick.tokens.instructions import Instruction, Kind, Outcome, Request, State
from tallystick.tokens.locking import Locked, Settler
from tallystick.tokens.plans import Plan
from tallystick.tokens.refusals import IdempotencyKeyReusedError
from tallystick.tokens.render import EVENT_TYPES, event_payload, resource, settled_transfer
from tallystick.tokens.store import Added, Answer

__all__ = ["Batch"]

_STATUS: Final = {State.PENDING_APPROVAL.value: 202, State.UNASSIGNED.value: 202}
# So many answers are written at once: enough to make a statement worth its trip, and few enough to keep the server
# busy while the next ones are decided. The first are fewer, since until then the server has nothing to do.
_FIRST_PART_SIZE: Final = 64
# So many parts may still be being signed while later ones are decided.
_SIGNING_MAX: Final = 3
_PART_SIZE: Final = 200


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
        self._atomic: tuple[int, int, int, int, int] | None = None
        self._checks: list[Callable[[], None]] = []
        self._signing: deque[tuple[list[EventDraft], CompactSigning]] = deque()

    def decide(self, request: Request) -> Outcome:
        """Decide one request: its earlier answer, a refusal, or what it does."""
        if request.key_digest in self.known:
            return self._answered_before(request)
        try:
            plan = decide(self.facts, request)
        except DomainError as refusal:
            return Outcome(refusal=refusal)
        if request.kind == Kind.TRANSFER:
            outcome = self._carry_out_transfer(request, plan)
        else:
            outcome = self._carry_out(request, plan)
        if len(self._keys) >= self._part_size and self._atomic is None:
            self._write_part()
        return outcome

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
        return Outcome(status, body, resource_id, event_index)

    def begin_atomic(self) -> None:
        """From here on nothing is written until `end_atomic`, so that `undo_atomic` can take all of it back."""
        self._atomic = (
            len(self.facts.book.lines),
            len(self._drafts),
            len(self._answers),
            len(self._keys),
            self.facts.next_index,
        )

    def end_atomic(self) -> None:
        """What was decided since `begin_atomic` stands."""
        self._atomic = None

    def undo_atomic(self) -> None:
        """Take back what was decided since `begin_atomic`: lines, events, new instructions and answers of transfers."""
        assert self._atomic is not None
        lines_kept, drafts_kept, answers_kept, keys_kept, self.facts.next_index = self._atomic
        self._atomic = None
        self.facts.book.undo_to(lines_kept)
        for draft in self._drafts[drafts_kept:]:
            del self._added[draft.subject_id]
        for key in self._keys[keys_kept:]:
            del self.known[key]
        self.answer_count -= len(self._keys) - keys_kept
        del self._drafts[drafts_kept:]
        del self._answers[answers_kept:]
        del self._keys[keys_kept:]

    def write_rest(self) -> None:
        """Write what is left, the balances and the log's head."""
        if not self.answer_count:
            return
        if self._keys:
            self._write_part()
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

    def _answered_before(self, request: Request) -> Outcome:
        known = self.known[request.key_digest]
        if known.request_hash != request.request_hash:
            return Outcome(refusal=IdempotencyKeyReusedError(existing_id=known.resource_id))
        return Outcome(known.status, known.body.encode(), known.resource_id, known.event_index, replayed=True)

    def _take_key(self, answer: Answer) -> None:
        self._keys.append(answer.key_digest)
        self.answer_count += 1
        self.known[answer.key_digest] = answer

    def _write_part(self) -> None:
        pipeline, issuer_id = self.pipeline, self.issuer_id
        # First, so that this part is signed while its other rows are written and the next one is decided.
        if self._drafts:
            self._signing.append((self._drafts, events.begin_signing(self._drafts, self._signer)))
        ledger.write_lines(pipeline, issuer_id, self.facts.book, self.booked_at)
        store.insert_instructions(pipeline, issuer_id, list(self._added.values()), self.booked_at)
        store.insert_answers(pipeline, issuer_id, self._answers, self.booked_at)
        self._write_signed(under_way=_SIGNING_MAX)
        self._added, self._keys, self._answers, self._drafts = {}, [], [], []
        self._part_size = _PART_SIZE

    def _write_signed(self, *, under_way: int) -> None:
        """Write the events that are signed, and wait for more until only so many parts are still being signed."""
        while self._signing and (len(self._signing) > under_way or self._signing[0][1].ready()):
            drafts, signing = self._signing.popleft()
            signed = signing.result()
            events.append(self.pipeline, self.issuer_id, self.booked_at, drafts, self._signer.key_id, signed)
            self.signed_events.update(zip([draft.event_index for draft in drafts], signed, strict=True))

    def _carry_out_transfer(self, request: Request, plan: Plan) -> Outcome:
        """Take up the plan of a transfer, whose row keeps its key and makes its answer."""
        row = plan.answers_with
        if plan.settled is None:
            body = orjson.dumps(resource(self.issuer_id, row, plan.currency, plan.scale)).decode()
            first_answer: str | None = body
            status = 202
            self._waiting.append((request, plan))
        else:
            amount = format_amount(row.amount_minor, plan.scale)
            body = settled_transfer(self.issuer_id, row, plan.currency, amount)
            first_answer = None
            status = 201
            self._record(plan, row, amount)
        self._added[row.id] = Added(row, request.key_digest, first_answer, request.source)
        self._take_key(
            Answer(request.key_digest, request.request_hash, row.id, status, body, row.event_index)
        )
        return Outcome(status, body.encode(), row.id, row.event_index)

    def _carry_out(self, request: Request, plan: Plan) -> Outcome:
        """Take up a plan in memory. From here it must succeed: what fails now is a fault of ours, not the caller's."""
        shown = plan.answers_with
        event_index = None
        if plan.settled is not None:
            event_index = plan.settled.event_index
            self._record(plan, plan.settled, format_amount(plan.settled.amount_minor, plan.scale))
        if plan.added is not None:
            self._added[plan.added.id] = Added(plan.added, None, None, request.source)
            if plan.added.state == State.PENDING_APPROVAL:
                self._waiting.append((request, plan))
        for row in plan.changed:
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

    def _record(self, plan: Plan, settled: Instruction, amount: str) -> None:
        """Post the plan's entry and draft its event."""
        event_index, value_date = settled.event_index, settled.value_date
        assert event_index is not None and value_date is not None  # noqa: PT018 Both come with settling.
        lines = self.facts.book.post(event_index, value_date, plan.postings) if plan.postings else ()
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
        )
        self.facts.next_index += 1
        self._drafts.append(
            EventDraft(
                event_index,
                with_prefix("event", settled.id),
                EVENT_TYPES[settled.kind],
                settled.id,
                settled.token_class_id,
                payload,
            )
        )


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
