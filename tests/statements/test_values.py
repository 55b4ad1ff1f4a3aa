"""Values as XML Schema writes them, read exactly or not at all."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from tallystick.statements.values import (
    UnreadableValueError,
    bic_is_valid,
    iban_is_valid,
    in_words,
    minor_units,
    read_boolean,
    read_date,
    read_moment,
    read_number,
    uetr_is_valid,
)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-11-20", date(2026, 11, 20)),
        ("2026-11-20Z", date(2026, 11, 20)),
        ("2026-11-20+14:00", date(2026, 11, 20)),
        ("2024-02-29", date(2024, 2, 29)),
        ("2026-11-20T23:30:00-05:00", date(2026, 11, 20)),
        ("2025-07-23T00:00:00.000000000", date(2025, 7, 23)),
        ("2026-12-31T24:00:00", date(2027, 1, 1)),
    ],
)
def test_days(text: str, day: date) -> None:
    assert read_date(text) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-29",
        "2026-13-01",
        "2026-00-10",
        "0000-01-01",
        "26-11-20",
        "20261120",
        "-2026-11-20",
        "12026-11-20",
        "2026-11-20 10:00:00",
        "2026-11-20T10:00",
        "2026-11-20T25:00:00",
        "2026-11-20T24:00:01",
        "2026-11-20T10:60:00",
        "2026-11-20T10:00:60",
        "2026-11-20T10:00:00+15:00",
        "2026-11-20+15:00",
        "\u0662\u0660\u0662\u0666-11-20",
        "2026-11-20\n",
        "9999-12-31T24:00:00",
    ],
)
def test_days_that_are_none(text: str) -> None:
    with pytest.raises(UnreadableValueError) as caught:
        read_date(text)
    assert not text or text not in str(caught.value)


def test_moments() -> None:
    assert read_moment("2026-11-20T10:00:00Z") == (datetime(2026, 11, 20, 10, tzinfo=UTC), True)
    assert read_moment("2026-11-20T10:00:00.1234567") == (
        datetime(2026, 11, 20, 10, 0, 0, 123_456, tzinfo=UTC),
        False,
    )
    west = timezone(-timedelta(hours=5, minutes=30))
    for zone in ("-05:30", "-0530"):
        assert read_moment(f"2026-11-20T10:00:00{zone}") == (datetime(2026, 11, 20, 10, tzinfo=west), True)
    with pytest.raises(UnreadableValueError):
        read_moment("0001-01-01T00:00:00+14:00")


def test_numbers_and_booleans() -> None:
    assert [read_number(text) for text in ("0070", "1", "25.0")] == [70, 1, 25]
    assert [read_boolean(text) for text in ("true", "1", "false", "0")] == [True, True, False, False]
    for text in ("", "-1", "1.5", "1e3", "9" * 19, "\u0667"):
        with pytest.raises(UnreadableValueError):
            read_number(text)
    for text in ("", "TRUE", "yes"):
        with pytest.raises(UnreadableValueError):
            read_boolean(text)


def test_amounts_in_words() -> None:
    assert in_words(-1_230, "EUR") == "EUR -12.30"
    assert in_words(7, "JPY") == "JPY 7"
    assert in_words(minor_units("1.234", "KWD"), "KWD") == "KWD 1.234"


def test_identifiers() -> None:
    assert iban_is_valid("NL77ABNA0574908765")
    assert not iban_is_valid("NL78ABNA0574908765")
    assert not iban_is_valid("NL77 ABNA 0574 9087 65")
    assert not iban_is_valid("")
    assert bic_is_valid("ABNANL2A")
    assert bic_is_valid("ABNANL2AXXX")
    assert not bic_is_valid("ABNANL2")
    assert uetr_is_valid("255ae394-9965-4438-ac86-f406feada396")
    assert not uetr_is_valid("255AE394-9965-4438-AC86-F406FEADA396")
    assert not uetr_is_valid("255ae394-9965-1438-ac86-f406feada396")
