"""Failed attempts to authenticate, counted by address in one process, in bounded memory.

An address that fails too often within a minute is refused before anything is asked of the database. What it presents
that was found good before is not held up: behind one proxy or one router somebody else's guesses lock nobody out.
"""

from typing import Final

__all__ = ["FailedAttempts"]

_WINDOW_SECONDS: Final = 60.0
_ADDRESSES_MAX: Final = 10_000


class FailedAttempts:
    """Counts failures by address. Times are monotonic seconds, given by the caller."""

    def __init__(self, per_minute_max: int) -> None:
        self._per_minute_max = per_minute_max
        self._counts: dict[str, tuple[float, int]] = {}

    def wait_seconds(self, address: str, now_seconds: float) -> float:
        """Return how long the address must wait; 0 if it needn't."""
        began, count = self._counts.get(address, (now_seconds, 0))
        left = began + _WINDOW_SECONDS - now_seconds
        return left if count >= self._per_minute_max and left > 0 else 0.0

    def note(self, address: str, now_seconds: float) -> None:
        """Count one failure."""
        began, count = self._counts.get(address, (now_seconds, 0))
        if began + _WINDOW_SECONDS <= now_seconds:
            began, count = now_seconds, 0
        if address not in self._counts and len(self._counts) >= _ADDRESSES_MAX:
            # Dictionaries keep the order of arrival: the address that was noted first gives way.
            del self._counts[next(iter(self._counts))]
        self._counts[address] = (began, count + 1)
