"""The index finds whom the rule finds, and nobody else."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.screening.matching import basis_hash, find_hits, subject_hash
from tallystick.screening.name_index import NameIndex, weak_threshold
from tallystick.screening.names import read_name
from tallystick.screening.records import Subject
from tallystick.screening.similarity import similarity
from tests.screening.listed import company, entities

SYLLABLES = [a + b for a in "bdfglmnrst" for b in "aeiou"]
LEI = "529900T8BM49AURSDO55"


def word(chance: random.Random) -> str:
    return "".join(chance.choice(SYLLABLES) for _ in range(chance.randint(1, 4)))


def near(chance: random.Random, name: str) -> str:
    """Return a name as somebody else may write it."""
    letters = list(name)
    for _ in range(chance.randint(0, 3)):
        letters[chance.randrange(len(letters))] = chance.choice(["", "x", "a", " "])
    found = "".join(letters).split() or ["x"]
    chance.shuffle(found)
    return " ".join(found + chance.choice([[], ["Trading"], [word(chance)], ["Ltd"]]))


@settings(max_examples=60)
@given(st.integers(0, 10**9), st.integers(60, 100))
def test_it_finds_what_scoring_everybody_finds(seed: int, threshold: int) -> None:
    chance = random.Random(seed)
    vocabulary = [word(chance) for _ in range(12)]
    listed = entities(
        *(
            company(
                f"e-{number:02}",
                " ".join(chance.choices([*vocabulary, "General", "Holding"], k=chance.randint(1, 4))),
                weakAlias=[chance.choice(vocabulary)],
            )
            for number in range(40)
        )
    )
    index = NameIndex(listed)
    for _ in range(5):
        name = read_name(near(chance, chance.choice(chance.choice(listed).names)))
        expected = {}
        for entity in listed:
            strong = max(similarity(name, read_name(one)).score for one in entity.names)
            weak = max((similarity(name, read_name(one)).score for one in entity.weak_aliases), default=0)
            scores = [strong] * (strong >= threshold) + [weak] * (weak >= weak_threshold(threshold))
            if scores:
                expected[entity.entity_id] = max(scores)
        found = {match.entity.entity_id: match.likeness.score for match in index.alike(name, threshold)}
        assert found == expected


def test_a_listed_name_is_found_within_one_of_more_words_and_fewer_letters() -> None:
    index = NameIndex(entities(company("e", "Ra Birebu")))
    [match] = index.alike(read_name("B Rebu Ra"), 80)
    assert (match.entity.entity_id, match.likeness) == ("e", (82, "word_subset"))


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
    str.strip
)


@settings(max_examples=60)
@given(st.lists(texts, min_size=1, max_size=8), st.integers(50, 100))
def test_a_listed_name_always_hits(written: list[str], threshold: int) -> None:
    index = NameIndex(entities(*(company(f"e-{number}", one) for number, one in enumerate(written))))
    for number, one in enumerate(written):
        hits = find_hits(Subject(one, "DE", "DE", None), index, threshold)
        assert f"e-{number}" in {hit.entity_id for hit in hits if hit.score == 100}


@pytest.fixture
def index() -> NameIndex:
    return NameIndex(
        entities(
            company("lei", "Something Else", leiCode=[f" {LEI.lower()}"]),
            company("here", "Umbral Freight", country=["de"]),
            company("there", "Umbral Freight", country=["zz"]),
            company("anywhere", "Umbral Freight"),
            company("weak", "Order of the Paper Lantern", weakAlias=["Lumen Forward"]),
            company("alias", "Nobody Knows", alias=["Glasschmiede"], previousName=["Steinschmiede"]),
        )
    )


def found(
    index: NameIndex, name: str, lei: str | None = None, country: str = "DE"
) -> list[tuple[str, str, int, int]]:
    hits = find_hits(Subject(name, country, country, lei), index, 85)
    return [(hit.entity_id, hit.algorithm, hit.score, hit.confidence) for hit in hits]


def test_a_legal_entity_identifier_is_a_hit_whatever_the_name(index: NameIndex) -> None:
    assert found(index, "Quite Another", LEI) == [("lei", "lei", 100, 100)]
    assert found(index, "Quite Another", "894500T8BM49AURSDO11") == []


def test_countries_order_hits_and_hide_none(index: NameIndex) -> None:
    assert found(index, "Umbral Freight GmbH") == [
        ("anywhere", "sorted_words", 100, 100),
        ("here", "sorted_words", 100, 100),
        ("there", "sorted_words", 100, 90),
    ]
    assert [one[0] for one in found(index, "Umbrall Freigt", country="FR")] == ["anywhere", "here", "there"]


def test_a_weak_alias_takes_more(index: NameIndex) -> None:
    assert [one[0] for one in found(index, "Lumen Forward")] == ["weak"]
    assert found(index, "Lumen Forwart") == [], "92 would do for a name"
    assert similarity(read_name("Lumen Forward"), read_name("Lumen Forwart")).score >= 85
    assert (weak_threshold(85), weak_threshold(95)) == (95, 100)


def test_a_hit_tells_which_name_matched(index: NameIndex) -> None:
    [by_alias] = find_hits(Subject("Glasschmiede Ltd", "DE", "DE", None), index, 85)
    [by_earlier] = find_hits(Subject("Steinschmiede", "DE", "DE", None), index, 85)
    assert (by_alias.matched_name, by_alias.matched_property) == ("Glasschmiede", "alias")
    assert by_earlier.matched_name == "Steinschmiede"
    assert (by_alias.schema, by_alias.datasets) == ("Company", ("fictitious",))


def test_what_was_compared_and_how_is_hashed() -> None:
    subject = Subject("Umbral", "DE", "DE", None)
    others = [subject._replace(**{name: "FR"}) for name in Subject._fields]
    assert len({subject_hash(one) for one in (subject, *others)}) == 5
    assert len({basis_hash(one, 85) for one in (subject, *others)} | {basis_hash(subject, 86)}) == 6
