"""Two gap-free sequences told as one in the order of time, of which either may have been looked through in part only.

What was not looked through may still hold something for the time behind `reached_at`, so nothing is told beyond it
until it has been.
"""

from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Found", "Merged", "Side", "merged"]

Value = TypeVar("Value")


class Found(NamedTuple, Generic[Value]):
    """One thing that was found, and its place in its sequence."""

    at: datetime
    position: int
    value: Value


class Side(NamedTuple, Generic[Value]):
    """What was found in one sequence on the way to position `reached`, in order.

    `reached_at` is the time at that position; None says that the sequence was looked through to its end.
    """

    found: list[Found[Value]]
    reached: int
    reached_at: datetime | None = None


class Merged(NamedTuple, Generic[Value]):
    """What can be told now, up to which position of either sequence that is all, and whether there is more."""

    values: list[Value]
    first_position: int
    second_position: int
    more: bool


def merged(first: Side[Value], second: Side[Value], limit: int) -> Merged[Value]:
    """Return up to `limit` values in the order of time; at one time those of `first` come before those of `second`.

    Either position grows with every call that tells there is more, so that whoever goes on from there comes to an end.
    """
    waiting = [(one.at, 0, one) for one in first.found] + [(one.at, 1, one) for one in second.found]
    waiting.sort(key=lambda one: (one[0], one[1], one[2].position))
    told = 0
    for at, of_second, _ in waiting[:limit]:
        if of_second:
            blocked = first.reached_at is not None and at >= first.reached_at
        else:
            blocked = second.reached_at is not None and at > second.reached_at
        if blocked:
            break
        told += 1
    left = waiting[told:]
    positions = [
        min([one.position - 1 for _, number, one in left if number == side_number], default=side.reached)
        for side_number, side in enumerate((first, second))
    ]
    more = bool(left) or first.reached_at is not None or second.reached_at is not None
    return Merged([one.value for _, _, one in waiting[:told]], positions[0], positions[1], more)
