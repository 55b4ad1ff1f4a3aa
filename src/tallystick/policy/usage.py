"""What limits count, for one issuer's batch: read before, added to in memory, written after.

A rolling day is kept as 25 buckets of one hour: the hour that runs and the 24 before it. It is never shorter than 24
hours and up to one hour longer, so a limit is never exceeded within any 24 hours, and room comes back a little late.
The caller holds the issuer's log head from before the reading until the commit. Nobody else can therefore count
meanwhile, and parallel requests can't exceed a limit together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tallystick.core.errors import InvariantError
from tallystick.core.money import AMOUNT_MINOR_MAX

__all__ = ["HOURS", "Usage", "UsageBook", "hour_of", "stored"]

HOURS: Final = 25


def hour_of(at: datetime) -> int:
    """Return the whole hours since 1970 (UTC)."""
    return int(at.timestamp()) // 3600


@dataclass(slots=True)
class Usage:
    """What one subject has used: by hour, the newest (`hour`) last; their sum; and all that was ever counted."""

    hour: int
    buckets: list[int]
    day_minor: int
    total_minor: int

    @classmethod
    def none(cls, hour: int) -> "Usage":
        """Nothing used yet."""
        return cls(hour, [0] * HOURS, 0, 0)

    @classmethod
    def as_of(cls, hour: int, kept_hour: int, kept: list[int], total_minor: int) -> "Usage":
        """Return what was kept at `kept_hour`, moved on to `hour`: hours that are over fall out.

        A clock that ran backwards moves nothing: what was kept stays in the day.
        """
        passed = min(max(hour - kept_hour, 0), HOURS)
        buckets = kept[passed:] + [0] * passed
        return cls(max(hour, kept_hour), buckets, sum(buckets), total_minor)


@dataclass(slots=True)
class UsageBook:
    """The usage of every subject that a batch may touch. `supplies` holds classes' supplies, told by the caller.

    A subject that was not read is not known: `used_minor` is then None, and what rests on it is denied.
    """

    hour: int
    usages: dict[str, Usage]
    supplies: dict[str, int] = field(default_factory=dict)
    _added: list[tuple[str, int]] = field(default_factory=list)
    _moved: list[tuple[str, int]] = field(default_factory=list)

    def used_minor(self, key: str) -> int | None:
        """Return what the subject has used in the rolling day."""
        usage = self.usages.get(key)
        return None if usage is None else usage.day_minor

    def total_minor(self, key: str) -> int | None:
        """Return what was ever counted for the subject."""
        usage = self.usages.get(key)
        return None if usage is None else usage.total_minor

    def add(self, key: str, amount_minor: int) -> None:
        """Count an amount. Raises InvariantError for a subject that was not read: its count would be lost."""
        usage = self.usages.get(key)
        if usage is None:
            raise InvariantError("usage was counted that had not been read")
        usage.buckets[-1] += amount_minor
        usage.day_minor += amount_minor
        usage.total_minor += amount_minor
        self._added.append((key, amount_minor))

    def set_supply(self, token_class_id: str, supply_minor: int) -> None:
        """Tell the class's supply as the books have it under the lock."""
        self.supplies[token_class_id] = supply_minor

    def move_supply(self, token_class_id: str, movement_minor: int) -> None:
        """Let the supply that was told follow what the batch does; nothing where none was told."""
        if token_class_id in self.supplies:
            self.supplies[token_class_id] += movement_minor
            self._moved.append((token_class_id, movement_minor))

    def mark(self) -> tuple[int, int]:
        """Return the place to which `undo_to` can go back."""
        return len(self._added), len(self._moved)

    def undo_to(self, mark: tuple[int, int]) -> None:
        """Take back what was counted since `mark`: an atomic group that was refused."""
        added_kept, moved_kept = mark
        for key, amount_minor in self._added[added_kept:]:
            usage = self.usages[key]
            usage.buckets[-1] -= amount_minor
            usage.day_minor -= amount_minor
            usage.total_minor -= amount_minor
        for token_class_id, movement_minor in self._moved[moved_kept:]:
            self.supplies[token_class_id] -= movement_minor
        del self._added[added_kept:]
        del self._moved[moved_kept:]

    def changed(self) -> Mapping[str, Usage]:
        """Return what was added to, by subject, in the order of their names."""
        return {key: self.usages[key] for key in sorted({key for key, _ in self._added})}


def stored(amount_minor: int) -> int:
    """Return an amount as it fits a BIGINT: beyond that, full is full."""
    return min(amount_minor, AMOUNT_MINOR_MAX)
