"""Which of some amounts come to a sum: a search that is bounded, and that answers only if there is one way."""

from collections.abc import Sequence
from typing import Final

__all__ = ["CANDIDATES_MAX", "PARTS_MAX", "STEPS_MAX", "only_subset"]

#: More candidates than this, and chance alone would find sums: nothing is suggested then.
CANDIDATES_MAX: Final = 24
PARTS_MAX: Final = 8
STEPS_MAX: Final = 20_000


def only_subset(amounts: Sequence[int], total: int) -> list[int]:
    """Return the places of two to `PARTS_MAX` of these positive amounts that come to `total`, if there is one way.

    Nothing if there is none or more than one, if there are more than `CANDIDATES_MAX` amounts, or if the search takes
    more than `STEPS_MAX` steps. Two ways that differ only by which of equal amounts they take are two ways.
    """
    if not 2 <= len(amounts) <= CANDIDATES_MAX or sum(amounts) < total:
        return []
    order = sorted(range(len(amounts)), key=lambda place: (-amounts[place], place))
    sorted_amounts = [amounts[place] for place in order]
    behind = [0]
    for amount in reversed(sorted_amounts):
        behind.append(behind[-1] + amount)
    behind.reverse()
    found: list[list[int]] = []
    steps = 0

    def search(place: int, left: int, chosen: list[int]) -> bool:
        """Return whether to go on."""
        nonlocal steps
        steps += 1
        if steps > STEPS_MAX:
            return False
        if left == 0:
            if len(chosen) > 1:
                found.append(list(chosen))
            return len(found) < 2
        if place == len(sorted_amounts) or len(chosen) == PARTS_MAX or behind[place] < left:
            return True
        if sorted_amounts[place] <= left:
            chosen.append(place)
            if not search(place + 1, left - sorted_amounts[place], chosen):
                return False
            chosen.pop()
        return search(place + 1, left, chosen)

    if not search(0, total, []) or len(found) != 1:
        return []
    return sorted(order[place] for place in found[0])
