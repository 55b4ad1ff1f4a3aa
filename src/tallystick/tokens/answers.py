"""Answering once: any other write than an instruction's, made idempotent by the same table of answers."""

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.database import confirm_durable
from tallystick.core.pipeline import pipelined
from tallystick.tokens import store
from tallystick.tokens.instructions import Outcome
from tallystick.tokens.refusals import IdempotencyKeyReusedError
from tallystick.tokens.store import Answer

__all__ = ["Made", "answer_once", "answered"]


class Made(NamedTuple):
    """What a write made: the resource's id and the JSON object to answer with."""

    resource_id: str
    body: bytes
    status: int = 201


def answered(connection: Connection, issuer_id: str, key_digest: bytes) -> bool:
    """Tell whether this key was answered before, whatever it was asked with: then nothing need be prepared for it."""
    with pipelined(connection) as pipeline:
        answers = store.read_answers(pipeline, issuer_id, [key_digest])
    return bool(answers.result())


def answer_once(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    *,
    key_digest: bytes,
    request_hash: bytes,
    make: Callable[[Connection], Made],
) -> Outcome:
    """Do `make` and keep its answer, or return the answer that this key got before, byte for byte.

    Of two at once, one breaks on the answer's primary key (sqlalchemy.exc.IntegrityError) and is to be run again.
    Raises IdempotencyKeyReusedError, and what `make` raises; then nothing is kept and the key stays free.
    """
    with pipelined(connection) as pipeline:
        answers = store.read_answers(pipeline, issuer_id, [key_digest])
    known = answers.result().get(key_digest)
    if known is None:
        made = make(connection)
        answer = Answer(key_digest, request_hash, made.resource_id, made.status, made.body.decode(), None)
        with pipelined(connection) as pipeline:
            store.insert_answers(pipeline, issuer_id, [answer], clock.now())
        return Outcome(made.status, made.body, made.resource_id)
    if known.request_hash != request_hash:
        raise IdempotencyKeyReusedError(existing_id=known.resource_id)
    confirm_durable(connection)
    return Outcome(known.status, known.text.encode(), known.resource_id, replayed=True)
