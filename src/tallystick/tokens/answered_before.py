"""What keys were answered before.

A look at a key takes PostgreSQL some microseconds, which is a tenth of what settling takes, and nothing can be decided
before it is known. So a large batch is asked about in pieces: where none of the first was answered before, the others'
transfers are presumed to be new too, and that is proven behind their decisions. Each key was either written, which the
database refuses where it stands already, or is looked up then. Where the proof fails, the transaction is run again and
looks everything up first.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final

from tallystick.core.pipeline import Asked, Pipeline
from tallystick.tokens import store
from tallystick.tokens.instructions import Kind, Submission
from tallystick.tokens.store import Answer

__all__ = ["NewKeys", "ask_answers", "ask_unwritten", "in_pieces"]

# Looking a member up takes as long as comparing two.
_TRANSFER: Final = Kind.TRANSFER
_FIRST_SIZE: Final = 400
_PIECE_SIZE: Final = 1_000
# Who sends one file again sends all of it.
_BATCHES_LOOKED_UP: Final = 100


class NewKeys:
    """Whether the next large batch's keys may be presumed new: not soon after some turned out not to be."""

    __slots__ = ("_batches_looked_up",)

    def __init__(self) -> None:
        self._batches_looked_up = 0

    def presume(self) -> bool:
        """Tell whether a batch may presume it; to be asked once for each."""
        if self._batches_looked_up == 0:
            return True
        self._batches_looked_up -= 1
        return False

    def refute(self) -> None:
        """Take note that a batch presumed it wrongly."""
        self._batches_looked_up = _BATCHES_LOOKED_UP


def in_pieces(submissions: Sequence[Submission]) -> list[Sequence[Submission]]:
    """Return the submissions in order, in pieces of so many requests or some more; the first is smaller."""
    pieces = []
    start, size, wanted = 0, 0, _FIRST_SIZE
    for number, one in enumerate(submissions, 1):
        size += len(one.requests)
        if size >= wanted or number == len(submissions):
            pieces.append(submissions[start:number])
            start, size, wanted = number, 0, _PIECE_SIZE
    return pieces


def ask_answers(
    pipeline: Pipeline, issuer_id: str, submissions: Sequence[Submission], *, presumed_new: bool = False
) -> Callable[[], dict[bytes, Answer]]:
    """Ask what the submissions' keys were answered before: a transfer's row tells of its own.

    Where they are `presumed_new`, the keys of transfers are not asked about.
    """
    of_transfers: list[bytes] = []
    others: list[bytes] = []
    for one in submissions:
        if one.batch is not None:
            others.append(one.batch.key_digest)
        for request in one.requests:
            (of_transfers if request.kind == _TRANSFER else others).append(request.key_digest)
    asked: list[Asked[dict[bytes, Answer]]] = []
    if of_transfers and not presumed_new:
        asked.append(store.read_transfers_by_key(pipeline, issuer_id, of_transfers))
    if others:
        asked.append(store.read_answers(pipeline, issuer_id, others))
    return lambda: {digest: known for one in asked for digest, known in one.result().items()}


def ask_unwritten(
    pipeline: Pipeline, issuer_id: str, submissions: Iterable[Submission], written: Container[bytes]
) -> Asked[dict[bytes, Answer]] | None:
    """Ask about those keys of transfers that the batch did not write: they were refused, or wait as a whole batch."""
    unwritten = [
        request.key_digest
        for one in submissions
        for request in one.requests
        if request.key_digest not in written and request.kind == _TRANSFER
    ]
    return store.read_transfers_by_key(pipeline, issuer_id, unwritten) if unwritten else None
