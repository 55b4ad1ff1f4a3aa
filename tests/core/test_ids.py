"""Ids: unique, sorted by the moment of their making, and recognisable."""

import re
import time

import pytest

from tallystick.core.ids import ID_PATTERN, is_id, new_id, new_suffix, suffix_of, with_prefix

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def milliseconds_of(suffix: str) -> int:
    value = 0
    for character in suffix:
        value = value * 32 + ALPHABET.index(character)
    return value >> 80


def test_ids_are_unique() -> None:
    assert len({new_suffix() for _ in range(50_000)}) == 50_000


def test_an_id_tells_when_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    told = milliseconds_of(new_suffix())
    assert before <= told <= time.time_ns() // 1_000_000


def test_ids_sort_by_time() -> None:
    made = [new_id("event") for _ in range(2_000)]
    times = [milliseconds_of(suffix_of(one)) for one in made]
    assert times == sorted(times)
    assert [milliseconds_of(suffix_of(one)) for one in sorted(made)] == times


def test_one_fact_wears_one_suffix() -> None:
    transfer = new_id("transfer")
    event = with_prefix("event", transfer)
    assert event.startswith("event_")
    assert suffix_of(event) == suffix_of(transfer)
    assert with_prefix("transfer", event) == transfer


def test_what_is_made_is_an_id_of_its_prefix_only() -> None:
    for prefix in ("mint", "account", "deposit_release"):
        made = new_id(prefix)
        assert is_id(prefix, made)
        assert re.match(ID_PATTERN, made)
        assert not is_id("transfer", made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mint",
        "mint_",
        "mint_01h455vb4pex5vsknk084sn02",
        "mint_01h455vb4pex5vsknk084sn02qq",
        "mint-01h455vb4pex5vsknk084sn02q",
        "mint_81h455vb4pex5vsknk084sn02q",
        "mint_01H455VB4PEX5VSKNK084SN02Q",
        "mint_01h455vb4pex5vsknk084sn02i",
        "mint_01h455vb4pex5vsknk084sn02l",
        "mint_01h455vb4pex5vsknk084sn02o",
        "mint_01h455vb4pex5vsknk084sn02u",
        "mint_01h455vb4pex5vsknk084sn02\n",
        "mint_\u06601h455vb4pex5vsknk084sn02q",
        "xint_01h455vb4pex5vsknk084sn02q",
        " mint_01h455vb4pex5vsknk084sn02",
    ],
)
def test_other_texts_are_no_ids(text: str) -> None:
    assert is_id("mint", "mint_01h455vb4pex5vsknk084sn02q")
    assert not is_id("mint", text)
