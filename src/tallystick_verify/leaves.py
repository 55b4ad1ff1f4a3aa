"""Leaves of a long log, taken apart by processes beside the one that replays it: event, hash and signature of each.

Four fifths of the work of verifying a pack need nothing but one row and the public keys: its encoding, its form, the
arithmetic on the curve. Rows are handed on in batches, few of which are under way at a time, and come back in order.
"""

import multiprocessing
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import lru_cache
from typing import Final, NamedTuple

from tallystick_verify.ed25519 import PublicKey
from tallystick_verify.events import Event, read_event
from tallystick_verify.facts import Fact
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.jws import EVENT_TYPE, read_token
from tallystick_verify.merkle import leaf_hash

__all__ = ["Leaf", "Leaves", "take_apart"]

_BATCH: Final = 256
_BATCHES_PER_HELPER: Final = 3
# To start a helper takes longer than to take apart fewer than these.
_EVENTS_MIN: Final = 5_000


class Leaf(NamedTuple):
    """What a leaf says by itself: its hash in the tree, and the event that it is.

    `kid` names the key; without one, it is no JWS. `holds` tells whether the signature is that key's: of keys that
    were not given, none is. Where there is no event, `refused` says why: a class and a sentence.
    """

    hash: bytes
    kid: str | None
    holds: bool
    event: Event | Fact | None
    refused: tuple[ExitCode, str] | None

    def required(self) -> Event | Fact:
        """Return the event. Raises Failure (signature, unsupported)."""
        if self.event is None:
            raise Failure(*(self.refused or (ExitCode.INTERNAL, "The leaf was not read.")))
        return self.event


class Leaves:
    """Takes leaves apart, with `helpers` where the log of so many `events` is worth it; `keys` are octets by kid.

    A context manager: the helpers are gone at the end.
    """

    def __init__(self, keys: Mapping[str, bytes], helpers: int, events: int) -> None:
        self._keys = dict(keys)
        self._helpers = max(helpers, 0) if events >= _EVENTS_MIN else 0
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Leaves":
        if self._helpers:
            # Not forked: this process may have threads, and has a database open.
            self._pool = ProcessPoolExecutor(self._helpers, multiprocessing.get_context("spawn"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def each(self, rows: Iterator[bytes]) -> Iterator[Leaf]:
        """Yield each row's leaf in order. What `rows` raises is raised behind all that stood in front of it."""
        batches = _batches(rows)
        if self._pool is None:
            for batch in batches:
                yield from take_apart(batch, self._keys)
            return
        under_way: deque[Future[list[Leaf]]] = deque()
        stopped: Failure | None = None
        more = True
        while more or under_way:
            while more and len(under_way) < _BATCHES_PER_HELPER * self._helpers:
                try:
                    under_way.append(self._pool.submit(take_apart, next(batches), self._keys))
                except StopIteration:
                    more = False
                except Failure as failure:
                    more, stopped = False, failure
            if under_way:
                yield from under_way.popleft().result()
        if stopped is not None:
            raise stopped


def take_apart(leaves: Sequence[bytes], keys: Mapping[str, bytes]) -> list[Leaf]:
    """Take leaves apart; whatever is wrong with one is told in its own place."""
    return [_apart(leaf, keys) for leaf in leaves]


def _apart(leaf: bytes, keys: Mapping[str, bytes]) -> Leaf:
    digest, kid, holds = leaf_hash(leaf), None, False
    try:
        token = read_token(leaf, EVENT_TYPE)
        kid = token.kid
        octets = keys.get(kid)
        holds = octets is not None and _key(octets).verifies(token.signature, token.signing_input)
        return Leaf(digest, kid, holds, read_event(token.payload), None)
    except Failure as failure:
        return Leaf(digest, kid, holds, None, (failure.exit_code, failure.message))


def _batches(rows: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    try:
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                yield batch
                batch = []
    except Failure as failure:
        if batch:
            yield batch
        raise failure from None
    if batch:
        yield batch


@lru_cache(maxsize=256)
def _key(octets: bytes) -> PublicKey:
    return PublicKey(octets)
