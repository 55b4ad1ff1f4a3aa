"""Crashes that strike at the n-th effect of what runs: before it, or right behind it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tallystick.core.database import Database

__all__ = ["CrashError", "Faults", "crashing"]


class CrashError(Exception):
    """The process died here."""


class Faults:
    """Dies at the n-th effect of a step: before it, or right behind it."""

    def __init__(self, at: int, *, persisted: bool) -> None:
        self.left = at
        self.persisted = persisted

    def around(self, effect: Callable[..., Any]) -> Callable[..., Any]:
        def faulty(*given: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.persisted:
                raise CrashError
            done = effect(*given, **named)
            if self.left == 0:
                raise CrashError
            return done

        return faulty


@contextmanager
def crashing(database: Database, faults: Faults, *effects: tuple[str, Callable[..., Any]]) -> Iterator[None]:
    """Let a fault strike at any statement, at the commit, or at another effect: its dotted name, and itself."""
    dialect = database.engine.dialect
    with pytest.MonkeyPatch.context() as patch:
        for name in ("do_execute", "do_executemany", "do_commit"):
            patch.setattr(dialect, name, faults.around(getattr(dialect, name)))
        for name, effect in effects:
            patch.setattr(name, faults.around(effect))
        yield
