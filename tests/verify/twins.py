"""Malformed twins of a format: bytes cut short or turned; a member that is missing, new, or of another type."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

__all__ = ["OTHERS", "byte_twins", "member_twins", "of_other_types"]

_PLACES: Final = 40
OTHERS: Final[tuple[Any, ...]] = (None, True, 7, "7", [], [7], {}, {"another": 7})


def byte_twins(golden: bytes, places: int = _PLACES) -> Iterator[tuple[str, bytes]]:
    """Yield twins of bytes, each with what was done to it."""
    step = max(len(golden) // places, 1)
    for place in range(0, len(golden), step):
        yield f"cut at {place}", golden[:place]
        yield f"bit at {place}", golden[:place] + bytes([golden[place] ^ 1]) + golden[place + 1 :]
    yield "something behind it", golden + b"x"
    yield "a byte that is no text", golden + b"\xff"


def of_other_types(value: Any, others: tuple[Any, ...] = OTHERS) -> Iterator[Any]:
    """Yield values of every other type that JSON has; what is true is no number, whatever Python thinks of it."""
    yield from (one for one in others if type(one) is not type(value))


def member_twins(
    golden: Any, place: str = "", others: tuple[Any, ...] = OTHERS
) -> Iterator[tuple[str, str, Any]]:
    """Yield twins of an object, of every object and list within, each with what was done and at which place."""
    if isinstance(golden, dict):
        yield "new", f"{place}.another", golden | {"another": "1"}
    members = golden.items() if isinstance(golden, dict) else enumerate(golden)
    for name, value in members:
        here = f"{place}.{name}" if isinstance(golden, dict) else f"{place}[]"
        if isinstance(golden, dict):
            yield "missing", here, {other: one for other, one in golden.items() if other != name}
        for other in of_other_types(value, others):
            yield ("null" if other is None else "type"), here, _with(golden, name, other)
        if isinstance(value, dict | list):
            for what, there, twin in member_twins(value, here, others):
                yield what, there, _with(golden, name, twin)


def _with(golden: Any, name: Any, value: Any) -> Any:
    twin = deepcopy(golden)
    twin[name] = value
    return twin
