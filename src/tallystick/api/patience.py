"""How long a caller is kept waiting: one timer for all that wait, since one for each costs a request as much as
reading its body.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

__all__ = ["Patience"]

_LOOK_SECONDS: Final = 1.0


class Patience:
    """Ends the waiting of those who have waited for `seconds`, at the next of its looks, which come once a second."""

    def __init__(self, seconds: float, failure: Callable[[], Exception]) -> None:
        self._seconds = seconds
        self._failure = failure
        self._waiting: list[tuple[float, asyncio.Future[Any]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def watch(self, loop: asyncio.AbstractEventLoop, waiting: "asyncio.Future[Any]") -> None:
        """Give `waiting`, of the running loop, so many seconds from now."""
        self._waiting.append((loop.time() + self._seconds, waiting))
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(_LOOK_SECONDS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now_seconds = loop.time()
        still_waiting = []
        for until_seconds, waiting in self._waiting:
            if waiting.done() or waiting.get_loop() is not loop:
                continue
            if until_seconds <= now_seconds:
                waiting.set_exception(self._failure())
            else:
                still_waiting.append((until_seconds, waiting))
        self._waiting = still_waiting
        if still_waiting:
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        else:
            self._loop = None
