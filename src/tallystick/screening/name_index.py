"""A list made ready to be searched: whom `similarity` finds alike enough, without asking it about everybody.

Candidates come from two scans of all spellings at a cutoff, in the matcher's own compiled code, and from the words
that two names share. Each candidate is then scored by the one rule. A property test holds the result
to be what scoring everybody would find.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rapidfuzz import fuzz, process

from tallystick.screening.names import Name, read_name
from tallystick.screening.records import ListedEntity
from tallystick.screening.similarity import (
    Likeness,
    may_be_subset,
    similarity,
)

__all__ = ["Match", "NameIndex", "weak_threshold"]

# Cutoffs are compared as floats; what lies on the edge is let through and scored.
_EDGE: Final = 0.01
_WEAKER_BY: Final = 10


class Match(NamedTuple):
    """A listed name that is alike enough: whose, which one, of which property, and how alike."""

    entity: ListedEntity
    matched_name: str
    matched_property: str
    likeness: Likeness


class _Listed(NamedTuple):
    entity: ListedEntity
    written: str
    of_property: str
    name: Name


class _Texts:
    """One reading of every listed name; names that are read alike are looked at once."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._numbers: dict[str, list[int]] = {}
        for number, text in enumerate(texts):
            self._numbers.setdefault(text, []).append(number)
        self._texts: Sequence[str] = sorted(self._numbers, key=len)
        self._lengths = [len(text) for text in self._texts]

    def alike(self, text: str, cutoff: float) -> Iterable[int]:
        # Of two texts that are alike by `ratio`, the shorter has a least share of the longer's length.
        share = (cutoff - _EDGE) / (200 - cutoff + _EDGE)
        first = bisect_left(self._lengths, int(len(text) * share))
        last = bisect_right(self._lengths, int(len(text) / share) + 1)
        for found, _, _ in process.extract(
            text,
            self._texts[first:last],
            scorer=fuzz.ratio,
            processor=None,
            score_cutoff=cutoff - _EDGE,
            limit=None,
        ):
            yield from self._numbers[found]


def weak_threshold(threshold: int) -> int:
    """Return what a weak alias must reach on its own: it is a nickname, an acronym, a name that many bear."""
    return min(100, threshold + _WEAKER_BY)


class NameIndex:
    """One list version. It never changes, so threads may share it."""

    def __init__(self, entities: Iterable[ListedEntity]) -> None:
        self._listed = [
            _Listed(entity, written, of_property, read_name(written))
            for entity in entities
            for of_property, written_names in (
                ("name", entity.names),
                ("alias", entity.aliases),
                ("weakAlias", entity.weak_aliases),
            )
            for written in written_names
        ]
        names = [one.name for one in self._listed]
        self._sorted = _Texts(name.sorted_text for name in names)
        self._joined = _Texts(name.joined_text for name in names)
        self._core_sizes = [len(name.core) for name in names]
        self._may_be_subsets = [may_be_subset(name.core) for name in names]
        self._by_word: dict[str, list[int]] = {}
        self._by_lei: dict[str, list[ListedEntity]] = {}
        for number, name in enumerate(names):
            for word in name.core:
                self._by_word.setdefault(word, []).append(number)
        for entity in {one.entity.entity_id: one.entity for one in self._listed}.values():
            for lei in entity.leis:
                self._by_lei.setdefault(lei, []).append(entity)

    def with_lei(self, lei: str) -> list[ListedEntity]:
        """Return whoever is listed under this LEI."""
        return self._by_lei.get(lei, [])

    def alike(self, name: Name, threshold: int) -> list[Match]:
        """Return the best match of each entity that reaches the threshold, or for a weak alias the higher one."""
        best: dict[str, Match] = {}
        for number in sorted(self._candidates(name, threshold)):
            entity, written, of_property, listed_name = self._listed[number]
            likeness = similarity(name, listed_name)
            if likeness.score < (weak_threshold(threshold) if of_property == "weakAlias" else threshold):
                continue
            known = best.get(entity.entity_id)
            if known is None or likeness.score > known.likeness.score:
                best[entity.entity_id] = Match(entity, written, of_property, likeness)
        return list(best.values())

    def _candidates(self, name: Name, threshold: int) -> set[int]:
        found = set(self._sorted.alike(name.sorted_text, threshold))
        found.update(self._joined.alike(name.joined_text, threshold))
        found.update(self._sharing_a_word(name))
        return found

    def _sharing_a_word(self, name: Name) -> Iterable[int]:
        # The core with fewer words is the one that may be a part, though the other's words may have fewer letters; of
        # two with as many words, neither is.
        size, may_be_part = len(name.core), may_be_subset(name.core)
        for word in name.core:
            for number in self._by_word.get(word, ()):
                listed_size = self._core_sizes[number]
                if self._may_be_subsets[number] if listed_size < size else may_be_part and listed_size > size:
                    yield number
