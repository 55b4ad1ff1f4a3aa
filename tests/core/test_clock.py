"""Time: read in one place, written in one way."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tallystick.core.clock import FixedClock, SystemClock, format_time, parse_time


def test_the_machines_clock_tells_utc() -> None:
    assert abs(SystemClock().now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_a_fixed_clock_moves_only_when_it_is_moved() -> None:
    clock = FixedClock(datetime(2026, 11, 22, tzinfo=UTC))
    assert clock.now() == clock.now()
    clock.at += timedelta(days=1)
    assert clock.now() == datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 11, 22, 7, 8, 9, 10, tzinfo=UTC), "2026-11-22T07:08:09.000010Z"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000000Z"),
    ],
)
def test_moments_are_written_with_six_fractional_digits(at: datetime, text: str) -> None:
    assert format_time(at) == text
    assert parse_time(text) == at


def test_any_offset_is_read_and_none_is_refused() -> None:
    shanghai = datetime(2026, 11, 22, 8, tzinfo=timezone(timedelta(hours=8)))
    assert parse_time("2026-11-22T08:00:00+08:00") == shanghai
    assert format_time(parse_time("2026-11-22T08:00:00+08:00")) == "2026-11-22T00:00:00.000000Z"
    with pytest.raises(ValueError, match="offset"):
        parse_time("2026-11-22T08:00:00")
