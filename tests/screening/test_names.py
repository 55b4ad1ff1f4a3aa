"""Names are compared without what spelling, alphabet and legal form put around them."""

# ruff: noqa: RUF001 Letters that look like others are what this is about.

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.screening.names import read_name
from tallystick.screening.similarity import similarity
from tallystick.screening.words import COMMON_WORDS, LEGAL_FORMS, SMALL_WORDS

LETTERS = "abcdefghijklmnopqrstuvwxyzäöüéèçñøł"
words = st.text(LETTERS, min_size=3, max_size=9).filter(
    lambda word: word not in LEGAL_FORMS | SMALL_WORDS | COMMON_WORDS
)
names = st.lists(words, min_size=1, max_size=4).map(" ".join)


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "Umbral Freight Ltd",
            "UMBRAL FREIGHT LIMITED",
            "umbral-freight, Ltd.",
            "Umbral  Freight",
            "Umbral Freight L.T.D.",
        ),
        ("Müller & Söhne GmbH", "Mueller und Soehne", "MULLER SOHNE G.m.b.H."),
        ("Straße AG", "Strasse", "STRASSE A.G."),
        ("S.A. Éclat", "Eclat SA", "S. A. Eclat"),
        ("J. P. Beispiel", "J.P. Beispiel", "JP Beispiel"),
        ("O'Nemo Trading", "ONemo Trading", "O’Nemo Trading"),
        ("Ｎｉｍｂｕｓ　Ｇｒｅｙ", "Nimbus Grey"),
        ("Юрий Жуков", "Yuri Zhukov", "ЮРИЙ ЖУКОВ"),
        ("Dmitri Volkov", "Dmitry Volkow"),
        ("Αθηνα", "Athina"),
        ("丝绸之路有限公司", "丝绸之路"),
        ("The Order of the Lantern", "Order Lantern"),
    ],
)
def test_spellings_of_one_name_are_read_alike(spellings: tuple[str, ...]) -> None:
    read = {read_name(one)[:3] for one in spellings}
    assert len(read) == 1, read


@pytest.mark.parametrize(
    ("written", "core"),
    [
        ("Nimbus Grey General Trading FZE", "grei nimbus"),
        ("General Trading Company", "general trading"),
        ("Holding AG", "holding"),
    ],
)
def test_common_words_are_left_out_where_others_remain(written: str, core: str) -> None:
    assert read_name(written).sorted_text == core


@pytest.mark.parametrize("written", ["AG", "Co. Ltd.", "and", "***", "-", "Ъ", "🦊", " x "])
def test_a_name_is_never_read_as_nothing(written: str) -> None:
    name = read_name(written)
    assert all(name.core)
    assert name.joined_text
    assert similarity(name, read_name(written)).score == 100


@given(st.text(min_size=1, max_size=30).filter(str.strip))
def test_any_text_is_read_and_is_like_itself(text: str) -> None:
    name = read_name(text)
    assert all(name.core)
    assert similarity(name, name).score == 100


@given(names)
def test_case_and_marks_do_not_count(name: str) -> None:
    read = read_name(name)
    bare = "".join(one for one in unicodedata.normalize("NFD", name) if not unicodedata.combining(one))
    assert read_name(name.upper()) == read
    assert read_name(unicodedata.normalize("NFD", name)) == read
    assert read_name(bare) == read
    assert read_name(f"  {name.replace(' ', ' - ')} GmbH") == read
