"""Nothing happened twice: every event answers one idempotency key, and no key answers two events.

`idempotency.jsonl` is sorted by key digest, so that a digest that occurs twice is seen without remembering any.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from tallystick_verify.failures import ExitCode, Failure

__all__ = ["check_idempotency"]

_ROW: Final = re.compile(rb'\{"key_digest":"([0-9a-f]{64})","event_index":(0|[1-9][0-9]{0,15})\}')


def check_idempotency(rows: Iterator[bytes], tree_size: int, exempt: Collection[int]) -> str:
    """Return what was checked; raises Failure (books). The events at `exempt` may answer no key."""
    answered = bytearray(tree_size)
    previous = b""
    for number, line in enumerate(rows):
        match = _ROW.fullmatch(line)
        if match is None:
            raise _refused(f"Row {number} is malformed.")
        digest, index = match[1], int(match[2])
        if digest <= previous:
            raise _refused("An idempotency key is told twice, or out of order.")
        if index >= tree_size or answered[index]:
            raise _refused(f"Event {index} answers two idempotency keys, or is not in the log.")
        answered[index], previous = 1, digest
    for index in exempt:
        answered[index] = 1
    missing = answered.find(0)
    if missing >= 0:
        raise _refused(
            f"Event {missing} answers no idempotency key: nobody asked for it by the one write path."
        )
    return f"{tree_size:,} events, each under one key of its own"


def _refused(message: str) -> Failure:
    return Failure(ExitCode.BOOKS, message, place="idempotency.jsonl")
