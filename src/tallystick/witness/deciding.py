"""What a witness answers to a checkpoint (C2SP tlog-witness, add-checkpoint): the checks in the specification's order.

Pure: it takes what was sent and what is recorded, and returns the checkpoint to record and cosign, or a refusal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from tallystick.transparency.add_checkpoint import SIZE_MEDIA_TYPE, parse_add_checkpoint
from tallystick.transparency.checkpoints import Checkpoint, parse_checkpoint
from tallystick.transparency.merkle import EMPTY_ROOT, verify_consistency
from tallystick.transparency.notes import (
    Note,
    NoteSignature,
    NoteSignatureInvalidError,
    VerifierKey,
    parse_note,
    verify_note,
)

__all__ = ["RefusedError", "Submitted", "check_growth", "check_submission"]


class RefusedError(Exception):
    """The witness does not cosign. `status`, `media_type` and `body` are the answer."""

    def __init__(self, status: HTTPStatus, body: str, media_type: str = "text/plain; charset=utf-8") -> None:
        super().__init__(body)
        self.status = status
        self.body = f"{body}\n"
        self.media_type = media_type


@dataclass(frozen=True, slots=True)
class Submitted:
    """A checkpoint with its log's verified signatures, and the proof that comes with it."""

    checkpoint: Checkpoint
    text: str
    signatures: tuple[NoteSignature, ...]
    old_size: int
    proof: Sequence[bytes]


def check_submission(body: bytes, logs: Mapping[str, Sequence[VerifierKey]]) -> Submitted:
    """Read a request about one of the logs (keys by origin), and check that the log has signed the checkpoint.

    Raises RefusedError: 400 for what can't be read or goes backwards, 404 for other logs, 403 without a signature of
    a key of the log, or with one that does not verify.
    """
    try:
        asked = parse_add_checkpoint(body)
        note = parse_note(asked.note)
        checkpoint = parse_checkpoint(note.text)
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from None
    if checkpoint.origin not in logs:
        raise RefusedError(HTTPStatus.NOT_FOUND, "this log is not witnessed here")
    signatures = _verified_signatures(note, logs[checkpoint.origin])
    if asked.old_size > checkpoint.size:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the old size is larger than the checkpoint's")
    return Submitted(checkpoint, note.text, signatures, asked.old_size, asked.proof)


def check_growth(submitted: Submitted, last: Checkpoint | None) -> None:
    """Check a checkpoint against the one that was cosigned last; to be called under the log's lock.

    Raises RefusedError: 409 where the old size is not the last one's or the same size has another root, 422 where the
    proof does not show that the last tree was continued.
    """
    checkpoint, old_size = submitted.checkpoint, submitted.old_size
    last_size = 0 if last is None else last.size
    if old_size != last_size:
        raise RefusedError(HTTPStatus.CONFLICT, str(last_size), SIZE_MEDIA_TYPE)
    if last is not None and old_size == checkpoint.size and checkpoint.root != last.root:
        raise RefusedError(HTTPStatus.CONFLICT, "another root was cosigned at this size")
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "this is not the root of an empty tree")
    if old_size == 0:
        # From nothing everything follows, and there is nothing to prove it with.
        continued = not submitted.proof
    else:
        assert last is not None
        continued = verify_consistency(old_size, checkpoint.size, last.root, checkpoint.root, submitted.proof)
    if not continued:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "the consistency proof does not verify")


def _verified_signatures(note: Note, keys: Sequence[VerifierKey]) -> tuple[NoteSignature, ...]:
    try:
        signed = verify_note(note, keys)
    except NoteSignatureInvalidError as error:
        raise RefusedError(HTTPStatus.FORBIDDEN, str(error)) from None
    if not signed:
        raise RefusedError(HTTPStatus.FORBIDDEN, "the checkpoint is not signed by a key of this log")
    known = {(key.name, key.hash) for key in signed}
    return tuple(one for one in note.signatures if (one.name, one.key_hash) in known)
