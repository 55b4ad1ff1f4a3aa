"""What keys were answered before: asked in pieces, so that the first ones are decided while the others are looked up.

A look at a key takes PostgreSQL some microseconds, which is a tenth of what settling takes, and nothing can be decided
before it is known.
"""

from collections.abc import Callable, Sequence
from typing import Final

from tallystick.core.pipeline import Asked, Pipeline
from tallystick.tokens import store
from tallystick.tokens.instructions import Kind, Submission
from tallystick.tokens.store import Answer

__all__ = ["ask_answers", "in_pieces"]

# Looking a member up takes as long as comparing two.
_TRANSFER: Final = Kind.TRANSFER
_FIRST_SIZE: Final = 400
_PIECE_SIZE: Final = 1_000


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
    pipeline: Pipeline, issuer_id: str, submissions: Sequence[Submission]
) -> Callable[[], dict[bytes, Answer]]:
    """Ask what the submissions' keys were answered before: a transfer's row tells of its own."""
    of_transfers: list[bytes] = []
    others: list[bytes] = []
    for one in submissions:
        if one.batch is not None:
            others.append(one.batch.key_digest)
        for request in one.requests:
            (of_transfers if request.kind == _TRANSFER else others).append(request.key_digest)
    asked: list[Asked[dict[bytes, Answer]]] = []
    if of_transfers:
        asked.append(store.read_transfers_by_key(pipeline, issuer_id, of_transfers))
    if others:
        asked.append(store.read_answers(pipeline, issuer_id, others))
    return lambda: {digest: known for one in asked for digest, known in one.result().items()}
