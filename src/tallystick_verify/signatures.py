"""Signatures of a long log, verified by processes beside the one that replays it.

Half of the work of verifying a pack is arithmetic on the curve, which needs nothing but key, message and signature. It
is handed on in batches, few of which are under way at a time. What a batch finds is reported a little later than where
it stands, and before the log is judged.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from typing import Final, TypeAlias

from tallystick_verify.ed25519 import PublicKey

__all__ = ["Signatures"]

#: An event's index, its key's octets, its signature, and what that is over.
_Signed: TypeAlias = tuple[int, bytes, bytes, bytes]

_BATCH: Final = 256
_BATCHES_PER_HELPER: Final = 3
# To start a helper takes longer than to verify fewer than these.
_EVENTS_MIN: Final = 5_000


class Signatures:
    """Verifies what it is given, with `helpers` beside it where that is worth it; `found` is told whose don't hold.

    A context manager: the helpers are gone at the end.
    """

    def __init__(self, helpers: int, events: int, found: Callable[[int], None]) -> None:
        self._found = found
        self._helpers = max(helpers, 0) if events >= _EVENTS_MIN else 0
        self._pool: ProcessPoolExecutor | None = None
        self._batch: list[_Signed] = []
        self._under_way: deque[Future[list[int]]] = deque()

    def __enter__(self) -> "Signatures":
        if self._helpers:
            # Not forked: this process may have threads, and has a database open.
            self._pool = ProcessPoolExecutor(self._helpers, multiprocessing.get_context("spawn"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def check(self, index: int, key: PublicKey, signature: bytes, message: bytes) -> bool:
        """Verify a signature, here or soon; tell whether nothing is known against it."""
        if self._pool is None:
            holds = key.verifies(signature, message)
            if not holds:
                self._found(index)
            return holds
        self._batch.append((index, key.octets, signature, message))
        if len(self._batch) >= _BATCH:
            self._hand_on(self._pool)
        return True

    def finish(self) -> None:
        """Wait until everything given so far is verified."""
        if self._pool is not None and self._batch:
            self._hand_on(self._pool)
        while self._under_way:
            self._collect()

    def _hand_on(self, pool: ProcessPoolExecutor) -> None:
        while len(self._under_way) >= _BATCHES_PER_HELPER * self._helpers:
            self._collect()
        self._under_way.append(pool.submit(failing, self._batch))
        self._batch = []

    def _collect(self) -> None:
        for index in self._under_way.popleft().result():
            self._found(index)


def failing(batch: Sequence[_Signed]) -> list[int]:
    """Return the indexes of those whose signature is not the key's."""
    return [
        index for index, octets, signature, message in batch if not _key(octets).verifies(signature, message)
    ]


@lru_cache(maxsize=256)
def _key(octets: bytes) -> PublicKey:
    return PublicKey(octets)
