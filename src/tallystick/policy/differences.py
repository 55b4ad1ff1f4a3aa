"""What one policy document changes of another, as JSON Pointers (RFC 6901), for whoever has to approve it."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

__all__ = ["ADDED", "CHANGED", "REMOVED", "Difference", "differences"]

ADDED: Final = "added"
CHANGED: Final = "changed"
REMOVED: Final = "removed"


class Difference(NamedTuple):
    """One member or element that differs. The pointer leads to it in the new document; in the old one if it's removed.

    What was added or removed is told whole, once.
    """

    pointer: str
    change: str
    old: Any
    new: Any


def differences(old: Any, new: Any) -> list[Difference]:
    """Return what differs between two JSON values, in the order of the documents; nothing where they are equal.

    Of two lists what they begin and end with alike is left out, so that one row put in between is one difference and
    not one for every row behind it.
    """
    return list(_differing("", old, new))


def _differing(pointer: str, old: Any, new: Any) -> Iterator[Difference]:
    if type(old) is type(new) and old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _members(pointer, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _elements(pointer, old, new)
    else:
        yield Difference(pointer, CHANGED, old, new)


def _members(pointer: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Difference]:
    for name in [*old, *(name for name in new if name not in old)]:
        at = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in new:
            yield Difference(at, REMOVED, old[name], None)
        elif name not in old:
            yield Difference(at, ADDED, None, new[name])
        else:
            yield from _differing(at, old[name], new[name])


def _elements(pointer: str, old: list[Any], new: list[Any]) -> Iterator[Difference]:
    shorter = min(len(old), len(new))
    begin = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    alike = next(
        (back for back in range(shorter - begin) if old[-1 - back] != new[-1 - back]), shorter - begin
    )
    old_end, new_end = len(old) - alike, len(new) - alike
    for place in range(begin, min(old_end, new_end)):
        yield from _differing(f"{pointer}/{place}", old[place], new[place])
    for place in range(min(old_end, new_end), new_end):
        yield Difference(f"{pointer}/{place}", ADDED, None, new[place])
    for place in range(min(old_end, new_end), old_end):
        yield Difference(f"{pointer}/{place}", REMOVED, old[place], None)
