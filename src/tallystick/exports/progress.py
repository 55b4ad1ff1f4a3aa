"""Who watches an export while it is made: told of every file's rows now and then, and able to stop it by raising."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

__all__ = ["Watcher", "watched", "watcher"]

#: Told a file's name and how many rows of it are written.
Watcher = Callable[[str, int], None]


def _nobody(_name: str, _rows: int) -> None:
    """Watch nothing."""


# Files are opened deep below whoever makes an export, by writers that have nothing to do with who watches.
_WATCHER: Final[ContextVar[Watcher]] = ContextVar("export watcher", default=_nobody)


@contextmanager
def watched(by: Watcher) -> Iterator[None]:
    """Let `by` watch the files that are opened in this block."""
    token = _WATCHER.set(by)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def watcher() -> Watcher:
    """Return who watches here."""
    return _WATCHER.get()
