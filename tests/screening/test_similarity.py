"""How alike two names are: one rule, the same from both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.screening.names import Name, read_name
from tallystick.screening.similarity import similarity

words = st.text("abdefgiklmnorstuz", min_size=2, max_size=8)
some_words = st.lists(words, min_size=1, max_size=4)
names = some_words.map(lambda found: read_name(" ".join(found)))


@pytest.mark.parametrize(
    ("one", "other", "score", "algorithm"),
    [
        ("Umbral Freight", "Freight Umbral", 100, "sorted_words"),
        ("Silk Road Textiles", "Silkroad Textiles Co.", 100, "joined_words"),
        ("Harbour Marketplace", "Harbor Market Place", 97, "joined_words"),
        ("Lumbrail", "Lumbrail International Trading", 97, "sorted_words"),
        ("Ivan Petrov", "Petrow, Ivan Sergeevich", 97, "word_subset"),
        ("Ivan Petrov", "Ivan Sergeevich Petrova", 92, "word_subset"),
    ],
)
def test_each_reading_has_its_use(one: str, other: str, score: int, algorithm: str) -> None:
    assert similarity(read_name(one), read_name(other)) == (score, algorithm)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bank", "Bank of Nowhere"),
        ("Lantern Lighting", "Lantern Logistics"),
        ("Northwind Manufacturing", "Northwind Trading"),
        ("Silk Trading", "Silk Road General Trading"),
        ("ABC Trading", "ABC Holding"),
        ("Canto Shipping", "Kicanro Shipping"),
        ("Riverbank", "Riverbend"),
        ("Ana Lin", "Ana Lindqvist"),
        ("Order", "Order of the Paper Lantern"),
    ],
)
def test_what_merely_shares_a_word_is_no_hit(one: str, other: str) -> None:
    assert similarity(read_name(one), read_name(other)).score < 85


@pytest.mark.parametrize(("one", "other"), [("OPL", "OPK"), ("Abel", "Abl"), ("丝绸之路", "丝绸公路")])
def test_below_five_letters_only_the_same_letters_count(one: str, other: str) -> None:
    assert similarity(read_name(one), read_name(other)).score == 0
    assert similarity(read_name(one), read_name(one)).score == 100


@given(names, names)
def test_it_is_the_same_from_both_sides(one: Name, other: Name) -> None:
    assert similarity(one, other) == similarity(other, one)
    assert 0 <= similarity(one, other).score <= 100


@given(some_words.flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_word_order_does_not_count(orders: tuple[list[str], list[str]]) -> None:
    one, other = (read_name(" ".join(found)) for found in orders)
    assert similarity(one, other).score == 100
