"""THE write path: a list of submissions, settled each on its own, inside the caller's one transaction.

Lock and read in one trip, decide in memory in the order of arrival, write in another. The server takes up the first
rows while later requests are still being decided and signed. A crash on any line leaves nothing behind, for nothing
is committed here.
"""

from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import orjson
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tallystick import events
from tallystick.core.clock import format_time
from tallystick.core.database import RunAgainError, confirm_durable
from tallystick.core.errors import DomainError, InvariantError
from tallystick.core.pipeline import pipelined
from tallystick.core.records import maker
from tallystick.tokens.answered_before import ask_answers, ask_unwritten
from tallystick.tokens.batch import Batch, FactsOutdatedError
from tallystick.tokens.instructions import Outcome, Submission
from tallystick.tokens.locking import Locked, lock_and_read
from tallystick.tokens.settler import Settler
from tallystick.tokens.store import Answer
from tallystick.tokens.transfer_batches import atomic_refusal, shown_batch, waiting_batch

__all__ = ["FactsOutdatedError", "SubmissionOutcome", "settle"]


class SubmissionOutcome(NamedTuple):
    """One outcome per request; for a batch also the batch's own, which is what its caller is answered."""

    outcomes: list[Outcome]
    batch: Outcome | None = None

    @classmethod
    def refused(cls, refusal: DomainError) -> "SubmissionOutcome":
        """Return the outcome of what never came as far as its requests: for its caller, whichever it is."""
        outcome = Outcome(refusal=refusal)
        return cls([outcome], outcome)


_submission_outcome = maker(SubmissionOutcome)


def settle(
    connection: Connection, settler: Settler, issuer_id: str, submissions: Sequence[Submission]
) -> list[SubmissionOutcome]:
    """Decide every submission in order and write what settled; return the outcomes in the same order.

    A refusal is an outcome, not an exception: it leaves nothing behind and harms no neighbour. The caller commits, and
    tells nobody before that. Raises FactsOutdatedError where a change stands before other submissions: what is behind
    it must be decided by what it made, so each belongs into a transaction of its own. Raises RunAgainError, for
    `Database.run`, where keys of a large batch were presumed new and are not.
    """
    locked = lock_and_read(connection, settler, issuer_id, submissions)
    batch = Batch(issuer_id, locked, settler)
    presumed = len(locked.pieces) > 1 and not locked.answered and settler.new_keys.presume()
    try:
        outcomes, missed = _decide_and_write(connection, batch, locked, presumed_new=presumed)
    except IntegrityError as error:
        if presumed:
            # A key that stands already; what else it may be comes again when they were looked up.
            settler.new_keys.refute()
            raise RunAgainError from error
        raise
    if missed:
        settler.new_keys.refute()
        raise RunAgainError
    batch.check_written()
    if batch.answered_before:
        batch.signed_events.update(_signed_events(connection, issuer_id, batch.answered_before))
    if batch.writes:
        batch.write_people(connection)
    elif batch.answered_before:
        confirm_durable(connection)
    return outcomes


class _Written(NamedTuple):
    """What was decided, and the keys that were wrongly presumed new."""

    outcomes: list[SubmissionOutcome]
    missed: Collection[bytes]


def _decide_and_write(
    connection: Connection, batch: Batch, locked: Locked, *, presumed_new: bool
) -> _Written:
    issuer_id, pieces = batch.issuer_id, locked.pieces
    unwritten = None
    with pipelined(connection) as pipeline:
        batch.pipeline = pipeline
        # The server looks these up while the first piece is decided.
        asked = [ask_answers(pipeline, issuer_id, piece, presumed_new=presumed_new) for piece in pieces[1:]]
        outcomes: list[SubmissionOutcome] = []
        for number, piece in enumerate(pieces):
            if number > 0:
                batch.take_answered(asked[number - 1]())
            outcomes += [_decide(batch, submission) for submission in piece]
        if presumed_new:
            unwritten = ask_unwritten(pipeline, issuer_id, chain.from_iterable(pieces[1:]), batch.known)
        batch.write_rest()
    return _Written(outcomes, () if unwritten is None else unwritten.result().keys())


def _signed_events(connection: Connection, issuer_id: str, answers: Iterable[Answer]) -> dict[int, str]:
    indexes = [answer.event_index for answer in answers if answer.event_index is not None]
    if not indexes:
        return {}
    found = {one.event_index: one.jws for one in events.events_at(connection, issuer_id, indexes)}
    if found.keys() != set(indexes):
        # Here, where it harms nobody else: behind the commit nothing could be answered any more.
        raise InvariantError("an event that was answered with is not in the log")
    return found


def _decide(batch: Batch, submission: Submission) -> SubmissionOutcome:
    if submission.batch is None:
        return _submission_outcome((list(map(batch.decide, submission.requests)), None))
    replay = batch.replay(submission.batch)
    if replay is not None:
        return SubmissionOutcome([], replay)
    try:
        waiting = waiting_batch(batch.facts, submission, batch.known)
    except DomainError as against_all:
        return SubmissionOutcome([], Outcome(refusal=against_all))
    if waiting is not None:
        return SubmissionOutcome([], batch.let_wait(submission.batch, waiting))
    if submission.atomic:
        batch.begin_atomic()
    outcomes = [batch.decide(request) for request in submission.requests]
    refusal = atomic_refusal(outcomes) if submission.atomic else None
    if refusal is not None:
        batch.undo_atomic()
        return SubmissionOutcome([], Outcome(refusal=refusal))
    batch.end_atomic()
    asked = submission.batch
    created_at = format_time(batch.booked_at)
    shown = shown_batch(
        batch.issuer_id, asked.id, asked.principal.id, created_at, submission.atomic, outcomes
    )
    answered = batch.answer(asked, 200, asked.id, orjson.dumps(shown), None)
    return SubmissionOutcome(outcomes, answered)
