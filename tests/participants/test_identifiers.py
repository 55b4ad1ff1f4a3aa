"""Identifiers of the outside world: right check digits, one compact spelling, or a refusal."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.errors import MalformedError
from tallystick.participants.identifiers import check_country, compact_bic, compact_iban, compact_lei

LEI = "529900T8BM49AURSDO55"


@pytest.mark.parametrize(
    ("compact", "given_text", "expected"),
    [
        (compact_lei, LEI, LEI),
        (compact_lei, "5299 00T8 BM49 AURS DO55", LEI),
        (compact_lei, LEI.lower(), LEI),
        (compact_bic, "DEUTDEFF", "DEUTDEFF"),
        (compact_bic, "deutdeff500", "DEUTDEFF500"),
        (compact_iban, "DE02 1203 0000 0000 2020 51", "DE02120300000000202051"),
        (compact_iban, "GB29NWBK60161331926819", "GB29NWBK60161331926819"),
        (compact_iban, "FR1420041010050500013M02606", "FR1420041010050500013M02606"),
        (check_country, "DE", "DE"),
    ],
)
def test_right_ones_are_made_compact(compact: object, given_text: str, expected: str) -> None:
    assert callable(compact)
    assert compact(given_text) == expected


@pytest.mark.parametrize(
    ("compact", "code", "wrong"),
    [
        (
            compact_lei,
            "lei_malformed",
            ["", "98", LEI[:-1], LEI + "0", "529900T8BM49AURSDO54", "52990\u0660T8BM49AURSDO55"],
        ),
        (compact_bic, "bic_malformed", ["", "DEUT", "DEUTDEF", "DEUTDEFFX", "1EUTDEFF", "DEUT00FF"]),
        (
            compact_iban,
            "iban_malformed",
            [
                "",
                "DE",
                "DE02120300000000202052",
                "XX02120300000000202051",
                "DE0212030000000020205",
                "DE02\x00",
            ],
        ),
        (check_country, "country_unknown", ["", "de", "DEU", "XX", "ZZ", "UK", "D", "DE "]),
    ],
)
def test_wrong_ones_are_refused(compact: object, code: str, wrong: list[str]) -> None:
    assert callable(compact)
    for text in wrong:
        with pytest.raises(MalformedError) as refused:
            compact(text)
        assert refused.value.code == code
        assert len(text) < 4 or text not in refused.value.detail


@given(st.sampled_from([compact_lei, compact_bic, compact_iban, check_country]), st.text(max_size=40))
def test_no_text_breaks_a_check(compact: object, text: str) -> None:
    assert callable(compact)
    with suppress(MalformedError):
        assert compact(text).isascii()


@given(st.integers(0, 19), st.sampled_from("0123456789"))
def test_one_wrong_digit_of_a_lei_is_noticed(position: int, digit: str) -> None:
    changed = LEI[:position] + digit + LEI[position + 1 :]
    if LEI[position].isdigit() and changed != LEI:
        with pytest.raises(MalformedError):
            compact_lei(changed)
