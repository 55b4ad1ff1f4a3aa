"""How alike two names are: 0 to 100, and by which reading. The one rule that every hit rests on.

Four readings, of which the best counts; the measure is rapidfuzz's `ratio` (100 times twice the longest common
subsequence over both lengths):

* `sorted_words`: all words in alphabetical order;
* `joined_words`: all words as written, without blanks;
* `core_words`: only the words that tell companies apart, at 97 % of what they yield;
* `word_subset`: every core word of the shorter name has a partner of its own in the longer one, at 97 %.

Short names: below five letters only the same letters count, for any two short words are alike. A core of less than
five letters is not compared at all, and a subset takes two words and eight letters.
"""

from typing import Final, NamedTuple

from rapidfuzz import fuzz

from tallystick.screening.names import Name

__all__ = ["PARTIAL_PERCENT", "WORD_ALIKE_MIN", "Likeness", "are_partners", "may_be_subset", "similarity"]

_COMPARED_LENGTH_MIN: Final = 5
_SUBSET_WORDS_MIN: Final = 2
_SUBSET_LENGTH_MIN: Final = 8
# Words shorter than this are partners only if they are the same.
_ALIKE_LENGTH_MIN: Final = 4
WORD_ALIKE_MIN: Final = 80
PARTIAL_PERCENT: Final = 97


class Likeness(NamedTuple):
    """A score from 0 to 100, whole, rounded down; and the reading that yields it."""

    score: int
    algorithm: str


def similarity(one: Name, other: Name) -> Likeness:
    """Return how alike two names are. Symmetric; 100 for names that are read alike, whatever their word order."""
    if one.sorted_text == other.sorted_text:
        return Likeness(100, "sorted_words")
    if one.joined_text == other.joined_text:
        return Likeness(100, "joined_words")
    if min(len(one.joined_text), len(other.joined_text)) < _COMPARED_LENGTH_MIN:
        return Likeness(0, "sorted_words")
    likenesses = [
        Likeness(_ratio(one.sorted_text, other.sorted_text, 100), "sorted_words"),
        Likeness(_ratio(one.joined_text, other.joined_text, 100), "joined_words"),
    ]
    if min(len("".join(one.core)), len("".join(other.core))) >= _COMPARED_LENGTH_MIN:
        likenesses.append(Likeness(_ratio(one.core_text, other.core_text, PARTIAL_PERCENT), "core_words"))
        likenesses.append(Likeness(_subset(one, other), "word_subset"))
    return max(likenesses, key=lambda likeness: likeness.score)


def may_be_subset(name: Name) -> bool:
    """Tell whether a name has enough of a core to be looked for within longer ones."""
    words = set(name.core)
    return len(words) >= _SUBSET_WORDS_MIN and sum(map(len, words)) >= _SUBSET_LENGTH_MIN


def are_partners(one: str, other: str) -> bool:
    """Tell whether two words pass for the same one in a subset."""
    if one == other:
        return True
    if min(len(one), len(other)) < _ALIKE_LENGTH_MIN:
        return False
    return fuzz.ratio(one, other) >= WORD_ALIKE_MIN


def _ratio(one: str, other: str, percent: int) -> int:
    return int(fuzz.ratio(one, other) * percent / 100)


def _subset(one: Name, other: Name) -> int:
    shorter, longer = sorted((set(one.core), set(other.core)), key=lambda words: (len(words), sorted(words)))
    if len(shorter) == len(longer) or not may_be_subset(Name(tuple(shorter), tuple(shorter))):
        return 0
    left = set(longer)
    yielded = 0.0
    for word in sorted(shorter):
        partners = [(fuzz.ratio(word, found), found) for found in left if are_partners(word, found)]
        if not partners:
            return 0
        ratio, partner = max(partners)
        left.remove(partner)
        yielded += ratio * len(word)
    return int(yielded / sum(map(len, shorter)) * PARTIAL_PERCENT / 100)
