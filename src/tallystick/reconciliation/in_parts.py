"""A long log is looked at in several processes at once: verifying a million signatures takes one processor a minute.

Each part is read by itself, up to an index that was fixed before, so it does not matter who reads when. What the parts
leave behind is put together in the order of the log: the result is that of one process.
"""

import multiprocessing
import os
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Final

from sqlalchemy import Connection

from tallystick.core.database import Database
from tallystick.reconciliation.breaks import BreakCollector
from tallystick.reconciliation.replay import Part, Scope, replay_part

__all__ = ["replay"]

#: Below this a process of its own costs more than it saves.
_PARTED_FROM: Final = 60_000
_PART_SIZE: Final = 25_000
_PROCESSES_MAX: Final = 4
_ALIVE_SECONDS: Final = 10.0


def replay(connection: Connection, scope: Scope, last_index: int) -> Part:
    """Return what the whole log up to `last_index` says of a class; see `replay_part`."""
    processes = min(_PROCESSES_MAX, len(os.sched_getaffinity(0)))
    if last_index < _PARTED_FROM or processes < 2:
        return replay_part(connection, scope, 0, last_index)
    url = connection.engine.url.render_as_string(hide_password=False)
    whole = Part(BreakCollector(scope.money))
    # A process that is forked would inherit the service's locks and connections.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _begin, (url, scope)) as pool:
        parts = [
            pool.submit(_replay_part, first, min(first + _PART_SIZE - 1, last_index))
            for first in range(0, last_index + 1, _PART_SIZE)
        ]
        try:
            for part in parts:
                whole.take(_result(connection, part))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return whole


def _result(connection: Connection, part: "Future[Part]") -> Part:
    """Wait for a part, and let the server see meanwhile that this transaction is still wanted."""
    while True:
        try:
            return part.result(_ALIVE_SECONDS)
        except TimeoutError:
            if part.done():
                raise
            connection.exec_driver_sql("SELECT 1")


class _Process:
    """What one process reads with."""

    database: Database
    scope: Scope


def _begin(url: str, scope: Scope) -> None:
    _Process.database = Database(url, pool_size=2, application_name="tallystick reconcile")
    _Process.scope = scope


def _replay_part(first_index: int, last_index: int) -> Part:
    with _Process.database.read() as connection:
        return replay_part(connection, _Process.scope, first_index, last_index)
