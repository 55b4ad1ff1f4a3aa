"""Lists: a page, whether there is more, and the cursor to go on from. No totals: they would be out of date."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeVar

from fastapi import Path, Query

__all__ = [
    "LIMIT_MAX",
    "Cursor",
    "IdQuery",
    "IndexCursor",
    "Limit",
    "NumberCursor",
    "PathId",
    "RequiredIdQuery",
    "page",
]

LIMIT_MAX: Final = 1_000

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many items at most.")]
NumberCursor = Annotated[int, Query(ge=0, le=2**31 - 1, description="Go on behind this number of the list.")]
Cursor = Annotated[
    str,
    Query(max_length=128, pattern=r"^[A-Za-z0-9_.\-]*$", description="`next_cursor` of the page before."),
]
IndexCursor = Annotated[int, Query(ge=-1, le=2**63 - 1, description="Go on behind this index of the log.")]

# What can't be an id is an absent object: see `problems.validation_problem`.
PathId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_.\-]+$")]
IdQuery = Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9_.\-]+$")]
RequiredIdQuery = Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9_.\-]+$")]

Item = TypeVar("Item")


def page(
    found: Sequence[Item], limit: int, show: Callable[[Item], Any], cursor: Callable[[Item], str]
) -> dict[str, Any]:
    """Return one page as JSON: `found` was asked for with one more than `limit`, to see whether there is more."""
    shown = found[:limit]
    more = len(found) > limit
    return {
        "object": "list",
        "data": [show(one) for one in shown],
        "has_more": more,
        "next_cursor": cursor(shown[-1]) if more else None,
    }
