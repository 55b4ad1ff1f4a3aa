"""Doing many things at the same moment, each on a connection of its own."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["at_once"]

Result = TypeVar("Result")


def at_once(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return what the calls return, each made in a thread of its own, all at the same moment."""
    start = threading.Barrier(len(calls), timeout=60)
    results: dict[int, Result] = {}

    def run(number: int, call: Callable[[], Result]) -> None:
        start.wait()
        results[number] = call()

    threads = [threading.Thread(target=run, args=one) for one in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == len(calls), "a call hangs or raised"
    return [results[number] for number in range(len(calls))]
