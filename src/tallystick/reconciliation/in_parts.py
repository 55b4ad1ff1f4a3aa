"""A long log is looked at in several processes at once: verifying a million signatures takes one processor a minute.

Each part is read by itself, up to an index that was fixed before, so it does not matter who reads when. What the parts
leave behind is put together in the order of the log: the result is that of one process.
"""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import transparency
from tallystick.core.database import Database
from tallystick.reconciliation.breaks import BreakCollector
from tallystick.reconciliation.replay import LogChangedError, Part, Scope, replay_part

__all__ = ["NOTHING_VERIFIED", "Replayed", "VerifiedLog", "replay"]

#: Below this a process of its own costs more than it saves.
_PARTED_FROM: Final = 60_000
#: A power of two, so that each part but the last is a complete subtree of the log's tree.
_PART_SIZE: Final = 16_384
_PROCESSES_MAX: Final = 4
_ALIVE_SECONDS: Final = 10.0


class VerifiedLog(NamedTuple):
    """How much of the log was verified: every event below `size` was there and valid, and the log had this root."""

    size: int
    root_hash: bytes


NOTHING_VERIFIED: Final = VerifiedLog(0, transparency.root_of_leaves(()))


class Replayed(NamedTuple):
    """What the log says of a class, what all of it hashes to, and how much of it an earlier run had verified.

    `verified` is None where an event of the log is missing or not valid, of whichever class.
    """

    part: Part
    root_hash: bytes
    verified: VerifiedLog | None
    verified_before: VerifiedLog


def replay(
    connection: Connection, scope: Scope, last_index: int, earlier: VerifiedLog = NOTHING_VERIFIED
) -> Replayed:
    """Return what the whole log up to `last_index` says of a class; see `replay_part`.

    `earlier` is what an earlier run signed of the log's beginning. If that is no longer what is there, or the standing
    of a key changed since, all of the log is verified anew.
    """
    if earlier.size:
        try:
            part = _replay(connection, scope, last_index, earlier.size)
            if transparency.root_of_leaves(part.verified_roots) == earlier.root_hash:
                return _replayed(part, last_index, earlier)
        except LogChangedError:
            pass
    return _replayed(_replay(connection, scope, last_index, 0), last_index, NOTHING_VERIFIED)


def _replayed(part: Part, last_index: int, before: VerifiedLog) -> Replayed:
    root_hash = transparency.root_of_leaves(part.roots)
    return Replayed(part, root_hash, VerifiedLog(last_index + 1, root_hash) if part.whole else None, before)


def _replay(connection: Connection, scope: Scope, last_index: int, verified_size: int) -> Part:
    whole = Part(BreakCollector(scope.money))
    for part in _parts(connection, scope, last_index, verified_size):
        whole.take(part)
    return whole


def _parts(connection: Connection, scope: Scope, last_index: int, verified_size: int) -> Iterator[Part]:
    spans = [
        (first, min(first + _PART_SIZE - 1, last_index), verified_size)
        for first in range(0, last_index + 1, _PART_SIZE)
    ]
    processes = min(_PROCESSES_MAX, len(os.sched_getaffinity(0)))
    if last_index < _PARTED_FROM or processes < 2:
        for span in spans:
            yield replay_part(connection, scope, *span)
        return
    url = connection.engine.url.render_as_string(hide_password=False)
    # A process that is forked would inherit the service's locks and connections.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (url, scope)) as pool, _cancelled_if_left(pool):
        for future in [pool.submit(_replay_part, *span) for span in spans]:
            yield _result(connection, future)


@contextmanager
def _cancelled_if_left(pool: ProcessPoolExecutor) -> Iterator[None]:
    try:
        yield
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise


def _result(connection: Connection, part: "Future[Part]") -> Part:
    """Wait for a part, and let the server see meanwhile that this transaction is still wanted.

    It ends one that nobody used for a minute, however fast each part may come.
    """
    while True:
        connection.exec_driver_sql("SELECT 1")
        try:
            return part.result(_ALIVE_SECONDS)
        except TimeoutError:
            if part.done():
                raise


class _Process:
    """What one process reads with."""

    database: Database
    scope: Scope


def _begin(url: str, scope: Scope) -> None:
    _Process.database = Database(url, pool_size=2, application_name="tallystick reconcile")
    _Process.scope = scope


def _replay_part(first_index: int, last_index: int, verified_size: int) -> Part:
    with _Process.database.read() as connection:
        return replay_part(connection, _Process.scope, first_index, last_index, verified_size)
