"""Gathering cosignatures: the newest checkpoint is put before a witness, and its answer kept once it verifies.

No transaction is open while a witness is asked, so nobody waits for one. A crash loses an answer at most; the next
round gets another.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

import httpx

from tallystick.core.database import Database
from tallystick.transparency import store
from tallystick.transparency.add_checkpoint import SIZE_MEDIA_TYPE, format_add_checkpoint
from tallystick.transparency.checkpoints import parse_size
from tallystick.transparency.integrating import stored_tree
from tallystick.transparency.notes import (
    NoteMalformedError,
    NoteSignature,
    cosigned_at_seconds,
    format_signature,
    parse_note,
    parse_signature,
    verified,
)
from tallystick.transparency.records import Cosignature
from tallystick.transparency.tile_stores import TileStore
from tallystick.transparency.witness_policy import Witness

__all__ = ["Asked", "ask_witness", "witness_client"]

_ANSWER_SIZE_MAX_BYTES: Final = 65_536
_TIMEOUT_SECONDS: Final = 5.0
# However slowly it drips: the thread is to end when the process does.
_ANSWER_SECONDS_MAX: Final = 10.0
_CONFLICT: Final = 409


class Asked(StrEnum):
    """How a witness answered. `ahead` means that it has seen more of this log than is here: the log was put back."""

    NOTHING_NEW = "nothing_new"
    COSIGNED = "cosigned"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    AHEAD = "ahead"


class _Question(NamedTuple):
    size: int
    note: str
    old_size: int
    proof: list[bytes]


class _Answer(NamedTuple):
    status: int
    media_type: str
    body: str


def witness_client() -> httpx.Client:
    """Return the client to ask witnesses with: impatient, and not to be led elsewhere."""
    return httpx.Client(timeout=_TIMEOUT_SECONDS, follow_redirects=False, trust_env=False)


def ask_witness(
    database: Database, tiles: TileStore, issuer_id: str, witness: Witness, client: httpx.Client
) -> Asked:
    """Put the newest checkpoint before a witness that has not cosigned it, and keep its cosignature."""
    question = _question(database, tiles, issuer_id, witness, None)
    if question is None:
        return Asked.NOTHING_NEW
    answer = _send(client, witness, question)
    known_size = _conflicting_size(answer)
    if known_size is not None:
        # It has cosigned more than was kept here, or lost what it had: ask again from where it stands, once.
        if known_size > question.size:
            return Asked.AHEAD
        question = _question(database, tiles, issuer_id, witness, known_size)
        if question is None:
            return Asked.NOTHING_NEW
        answer = _send(client, witness, question)
    if answer is None:
        return Asked.UNREACHABLE
    if answer.status != httpx.codes.OK:
        return Asked.REFUSED
    line = _cosignature(answer.body, question, witness)
    if line is None:
        return Asked.REFUSED
    new = Cosignature(
        question.size,
        str(witness.key),
        format_signature(line),
        datetime.fromtimestamp(0, UTC) + timedelta(seconds=cosigned_at_seconds(line)),
    )
    database.run(lambda connection: store.insert_cosignature(connection, issuer_id, new))
    return Asked.COSIGNED


def _question(
    database: Database, tiles: TileStore, issuer_id: str, witness: Witness, known_size: int | None
) -> _Question | None:
    with database.read() as connection:
        newest = store.read_newest_checkpoint(connection, issuer_id)
        cosigned = store.read_newest_cosigned(connection, issuer_id, str(witness.key))
        if newest is None or (cosigned is not None and cosigned.size >= newest.size):
            return None
        old_size = (0 if cosigned is None else cosigned.size) if known_size is None else known_size
        proof: Sequence[bytes] = ()
        if 0 < old_size < newest.size:
            proof = stored_tree(connection, tiles, issuer_id).consistency(old_size, newest.size)
    return _Question(newest.size, newest.note, old_size, list(proof))


def _send(client: httpx.Client, witness: Witness, question: _Question) -> _Answer | None:
    body = format_add_checkpoint(question.old_size, question.proof, question.note)
    deadline_seconds = time.monotonic() + _ANSWER_SECONDS_MAX
    try:
        with client.stream("POST", f"{witness.url}/add-checkpoint", content=body) as response:
            read = b""
            for chunk in response.iter_bytes():
                read += chunk
                if len(read) > _ANSWER_SIZE_MAX_BYTES or time.monotonic() > deadline_seconds:
                    return None
            media_type = response.headers.get("content-type", "")
            return _Answer(response.status_code, media_type, read.decode("utf-8", "replace"))
    except httpx.HTTPError:
        return None


def _conflicting_size(answer: _Answer | None) -> int | None:
    if answer is None or (answer.status, answer.media_type) != (_CONFLICT, SIZE_MEDIA_TYPE):
        return None
    try:
        return parse_size(answer.body.removesuffix("\n"))
    except ValueError:
        return None


def _cosignature(body: str, question: _Question, witness: Witness) -> NoteSignature | None:
    """Return the witness's own verified line; lines of other keys mean nothing to us."""
    text = parse_note(question.note.encode()).text
    for line in body.splitlines():
        try:
            signature = parse_signature(line)
        except NoteMalformedError:
            continue
        if verified(text, signature, witness.key) and cosigned_at_seconds(signature) < _YEAR_9999_SECONDS:
            return signature
    return None


# What a moment can hold; a witness far in the future is no better than a silent one.
_YEAR_9999_SECONDS: Final = 253_370_764_800
