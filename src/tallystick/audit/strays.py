"""How many strays are written: attempts whose key opens nothing, so that anybody can send any number of them.

An issuer's first ones in a minute are put on record one by one; the rest of that minute are counted, and become one
entry when it is over. Nobody can fill the disk, and nobody's flood is hidden.
"""

from typing import Final

__all__ = ["WINDOW_SECONDS", "StrayLimit"]

WINDOW_SECONDS: Final = 60.0


class _Window:
    """One issuer's minute."""

    __slots__ = ("admitted", "began_seconds", "counted")

    def __init__(self, began_seconds: float) -> None:
        self.began_seconds = began_seconds
        self.admitted = 0
        self.counted = 0


class StrayLimit:
    """Counts the strays of each issuer; times are monotonic seconds. It is for issuers that exist, and so bounded."""

    def __init__(self, per_minute_max: int) -> None:
        self._per_minute_max = per_minute_max
        self._windows: dict[str, _Window] = {}

    def admit(self, issuer_id: str, now_seconds: float) -> bool:
        """Tell whether this stray is to be written; if not, it is counted. `overdue` is to be asked before."""
        window = self._windows.get(issuer_id)
        if window is None:
            window = self._windows[issuer_id] = _Window(now_seconds)
        if window.admitted < self._per_minute_max:
            window.admitted += 1
            return True
        window.counted += 1
        return False

    def overdue(self, now_seconds: float) -> list[tuple[str, int]]:
        """End the minutes that are over; return the issuers of which strays were only counted, with how many."""
        ended = [
            (issuer_id, window)
            for issuer_id, window in self._windows.items()
            if window.began_seconds + WINDOW_SECONDS <= now_seconds
        ]
        for issuer_id, _ in ended:
            del self._windows[issuer_id]
        return [(issuer_id, window.counted) for issuer_id, window in ended if window.counted]

    def seconds_until_due(self, now_seconds: float) -> float | None:
        """Return in how many seconds there will be something overdue to write; None while nothing was only counted."""
        began = [window.began_seconds for window in self._windows.values() if window.counted]
        return max(0.0, min(began) + WINDOW_SECONDS - now_seconds) if began else None
