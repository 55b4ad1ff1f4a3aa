"""Two sequences told as one: nothing lost, nothing twice, in the order of time, and always to an end."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.audit.merging import Found, Side, merged

BEGAN = datetime(2026, 11, 20, tzinfo=UTC)


class Sequence(NamedTuple):
    """Times that never fall, by position, and which positions a filter lets through."""

    name: str
    minutes: list[int]
    wanted: list[bool]

    def at(self, position: int) -> datetime:
        return BEGAN + timedelta(minutes=self.minutes[position])

    def looked_through(self, after: int, searched_max: int, limit: int) -> Side[str]:
        """Look through at most `searched_max` positions behind `after`, for at most one more than `limit`."""
        found: list[Found[str]] = []
        reached, last = after, len(self.minutes) - 1
        while reached < last and reached - after < searched_max and len(found) <= limit:
            reached += 1
            if self.wanted[reached]:
                found.append(Found(self.at(reached), reached, f"{self.name}{reached}"))
        return Side(found, reached, None if reached == last else self.at(reached))


def sequences(name: str) -> st.SearchStrategy[Sequence]:
    steps = st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=14)

    def made(drawn: list[tuple[int, bool]]) -> Sequence:
        minutes = [sum(step for step, _ in drawn[: place + 1]) for place in range(len(drawn))]
        return Sequence(name, minutes, [wanted for _, wanted in drawn])

    return steps.map(made)


@settings(max_examples=300)
@given(sequences("a"), sequences("b"), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_pages_add_up_to_the_whole_in_the_order_of_time(
    first: Sequence, second: Sequence, limit: int, first_max: int, second_max: int
) -> None:
    told: list[str] = []
    places = [-1, -1]
    for _ in range(100):
        page = merged(
            first.looked_through(places[0], first_max, limit),
            second.looked_through(places[1], second_max, limit),
            limit,
        )
        assert len(page.values) <= limit
        told += page.values
        if not page.more:
            break
        assert [page.first_position, page.second_position] != places, "it must get on"
        places = [page.first_position, page.second_position]
    else:
        raise AssertionError("the pages do not end")

    everything = [
        (side.at(position), number, position, f"{side.name}{position}")
        for number, side in enumerate((first, second))
        for position, wanted in enumerate(side.wanted)
        if wanted
    ]
    assert told == [name for _, _, _, name in sorted(everything)]


def test_what_may_still_come_earlier_is_waited_for() -> None:
    noon, later = BEGAN, BEGAN + timedelta(minutes=1)
    unfinished = Side([Found(noon, 0, "a0")], 0, noon)
    second = Side([Found(noon, 0, "b0"), Found(later, 1, "b1")], 1)

    page = merged(unfinished, second, 10)

    # Something else of the first sequence may be of the same moment, and comes before the second's.
    assert page.values == ["a0"]
    assert (page.first_position, page.second_position, page.more) == (0, -1, True)


def test_of_one_moment_the_first_sequence_comes_first() -> None:
    page = merged(Side([Found(BEGAN, 7, "a")], 7), Side([Found(BEGAN, 3, "b")], 3), 10)

    assert page == (["a", "b"], 7, 3, False)
