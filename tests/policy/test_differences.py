"""What a policy changes of another: all of it, nothing else, and each where its pointer says."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.policy.differences import ADDED, CHANGED, REMOVED, Difference, differences

NAMES = st.sampled_from(["a", "b/c", "d~e", "", "0"])
PLAIN = st.none() | st.integers(0, 3) | st.sampled_from(["x", "y"])
DOCUMENTS = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def steps(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def applied(old: Any, changes: list[Difference]) -> Any:
    """Do what the differences say: what is removed last to first, then the others in their order."""
    whole = {"whole": copy.deepcopy(old)}
    removals = [one for one in changes if one.change == REMOVED]
    for one in [*reversed(removals), *(one for one in changes if one.change != REMOVED)]:
        at: Any = whole
        path = ["whole", *steps(one.pointer)]
        for step in path[:-1]:
            at = at[int(step)] if isinstance(at, list) else at[step]
        last: Any = int(path[-1]) if isinstance(at, list) else path[-1]
        if one.change == REMOVED:
            assert at.pop(last) == one.old
        elif one.change == ADDED and isinstance(at, list):
            at.insert(last, one.new)
        else:
            assert one.change == ADDED or at[last] == one.old
            at[last] = one.new
    return whole["whole"]


@settings(max_examples=300)
@given(DOCUMENTS, DOCUMENTS)
def test_what_differs_is_all_that_differs(old: Any, new: Any) -> None:
    found = differences(old, new)
    assert applied(old, found) == new
    assert bool(found) == (old != new)


def test_a_row_put_in_between_is_one_difference() -> None:
    rows = [{"id": name} for name in "abcdef"]
    assert differences({"rows": rows}, {"rows": [*rows[:2], {"id": "new"}, *rows[2:]]}) == [
        Difference("/rows/2", ADDED, None, {"id": "new"})
    ]
    assert differences({"rows": rows}, {"rows": [*rows[:2], *rows[3:]]}) == [
        Difference("/rows/2", REMOVED, {"id": "c"}, None)
    ]


def test_a_limit_that_is_raised_is_told_with_both_amounts() -> None:
    old = {"limits": {"transaction": "10.00", "payer_day": None}}
    new = {"limits": {"transaction": "1000.00", "payer_day": None}}
    assert differences(old, new) == [Difference("/limits/transaction", CHANGED, "10.00", "1000.00")]
