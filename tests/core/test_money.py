"""Amounts: exact, unambiguous, and within what an account can hold."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.core.money import (
    AMOUNT_MINOR_MAX,
    SCALE_MAX,
    AmountMalformedError,
    CurrencyUnknownError,
    currency_scale,
    format_amount,
    parse_amount,
    parse_positive_amount,
)

SCALES = st.integers(0, SCALE_MAX)


@given(st.integers(0, AMOUNT_MINOR_MAX), SCALES)
@example(0, 0)
@example(0, SCALE_MAX)
@example(AMOUNT_MINOR_MAX, 0)
@example(AMOUNT_MINOR_MAX, SCALE_MAX)
def test_what_is_formatted_is_parsed_to_the_same_minor_units(minor: int, scale: int) -> None:
    assert parse_amount(format_amount(minor, scale), scale) == minor


@given(st.from_regex(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,9})?", fullmatch=True, alphabet="0123456789."))
def test_what_is_parsed_is_formatted_to_the_same_text(text: str) -> None:
    scale = len(text.partition(".")[2])
    assert format_amount(parse_amount(text, scale), scale) == text


@given(st.text(alphabet="0123456789.-+ eE_,\u0663\uff11\n", max_size=12), SCALES)
def test_whatever_is_taken_has_one_spelling(text: str, scale: int) -> None:
    try:
        minor = parse_amount(text, scale)
    except AmountMalformedError:
        return
    assert format_amount(minor, scale) == text


@pytest.mark.parametrize(
    ("text", "scale", "minor"),
    [
        ("0", 0, 0),
        ("7", 0, 7),
        ("0.00", 2, 0),
        ("12.30", 2, 1230),
        ("0.01", 2, 1),
        ("1.000000001", 9, 10**9 + 1),
    ],
)
def test_amounts_are_read(text: str, scale: int, minor: int) -> None:
    assert parse_amount(text, scale) == minor
    assert format_amount(minor, scale) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.",
        "1.0",
        "1.000",
        ".10",
        "01.00",
        "00.00",
        "+1.00",
        "-1.00",
        "-0.00",
        " 1.00",
        "1.00 ",
        "1.00\n",
        "1 000.00",
        "1,000.00",
        "1_000.00",
        "1,00",
        "1e2",
        "1.0e1",
        "0x1.00",
        "NaN",
        "Infinity",
        "\u0661.\u0660\u0660",
        "\uff11.\uff10\uff10",
        "1.0\uff10",
        "1\uff0e00",
        "1.00\x00",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(AmountMalformedError):
        parse_amount(text, 2)


@pytest.mark.parametrize(("scale", "text"), [(0, "1."), (0, "1.0"), (3, "1.00"), (9, "1.00000000")])
def test_the_scale_is_exact(scale: int, text: str) -> None:
    with pytest.raises(AmountMalformedError, match=f"exactly {scale} decimals"):
        parse_amount(text, scale)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("9223372036854775808", 0),
        ("92233720368547758.08", 2),
        ("9999999999999999999", 0),
        ("9999999999999999999.99", 2),
        ("10000000000000000000", 0),
    ],
)
def test_more_than_a_bigint_is_refused(text: str, scale: int) -> None:
    with pytest.raises(AmountMalformedError):
        parse_amount(text, scale)


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(AmountMalformedError) as refused:
        parse_amount("canary", 2)
    assert "canary" not in refused.value.detail


def test_zero_is_no_amount_to_move() -> None:
    assert parse_positive_amount("0.01", 2) == 1
    with pytest.raises(AmountMalformedError, match="more than zero"):
        parse_positive_amount("0.00", 2)


@pytest.mark.parametrize(
    ("minor", "scale", "text"),
    [(-1, 2, "-0.01"), (-1230, 2, "-12.30"), (-7, 0, "-7"), (-1, 9, "-0.000000001")],
)
def test_negative_balances_are_shown_with_a_minus_sign(minor: int, scale: int, text: str) -> None:
    assert format_amount(minor, scale) == text


@pytest.mark.parametrize(
    ("currency", "scale"),
    [
        ("USD", 2),
        ("EUR", 2),
        ("CNY", 2),
        ("JPY", 0),
        ("KRW", 0),
        ("IQD", 3),
        ("KWD", 3),
        ("CLF", 4),
        ("UYW", 4),
    ],
)
def test_scales_are_those_of_iso_4217(currency: str, scale: int) -> None:
    assert currency_scale(currency) == scale


@pytest.mark.parametrize(
    "currency", ["XAU", "XXX", "XTS", "XDR", "BTC", "usd", "US Dollar", "840", "", "US", "USDX"]
)
def test_what_has_no_minor_units_is_no_currency(currency: str) -> None:
    with pytest.raises(CurrencyUnknownError):
        currency_scale(currency)
