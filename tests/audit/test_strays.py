"""Strays: some are written, the rest are counted, and no count is lost."""

from hypothesis import given
from hypothesis import strategies as st

from tallystick.audit.strays import WINDOW_SECONDS, StrayLimit


def test_the_first_of_a_minute_are_written_and_the_rest_counted() -> None:
    limit = StrayLimit(2)

    assert [limit.admit("a", 0.0) for _ in range(5)] == [True, True, False, False, False]
    assert limit.admit("b", 0.0), "every issuer has its own"
    assert limit.overdue(WINDOW_SECONDS - 0.1) == []
    assert limit.seconds_until_due(10.0) == WINDOW_SECONDS - 10.0
    assert limit.overdue(WINDOW_SECONDS) == [("a", 3)]
    assert limit.seconds_until_due(WINDOW_SECONDS) is None
    assert limit.admit("a", WINDOW_SECONDS), "a new minute"


def test_nothing_is_due_where_all_were_written() -> None:
    limit = StrayLimit(2)
    limit.admit("a", 0.0)

    assert limit.seconds_until_due(0.0) is None
    assert limit.overdue(1_000.0) == []


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 40, allow_nan=False)), max_size=60),
)
def test_every_stray_is_written_or_counted_and_a_minute_is_bounded(
    per_minute_max: int, sent: list[tuple[str, float]]
) -> None:
    limit = StrayLimit(per_minute_max)
    now_seconds = 0.0
    written: dict[str, list[float]] = {"a": [], "b": []}
    counted = 0
    for issuer, pause_seconds in sent:
        now_seconds += pause_seconds
        counted += sum(count for _, count in limit.overdue(now_seconds))
        if limit.admit(issuer, now_seconds):
            written[issuer].append(now_seconds)
    counted += sum(count for _, count in limit.overdue(float("inf")))

    assert counted + sum(map(len, written.values())) == len(sent)
    for times in written.values():
        # Minutes of their own: within any sixty seconds there is at most the end of one and the beginning of another.
        for at in times:
            assert sum(at <= other < at + WINDOW_SECONDS for other in times) <= 2 * per_minute_max
