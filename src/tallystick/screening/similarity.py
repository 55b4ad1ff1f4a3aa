"""How alike two names are: 0 to 100, and by which reading. The one rule that every hit rests on.

Only the core counts, the words that tell a name from others: "Canto Shipping" is not like "Cairo Shipping" for the word
they share. Three readings of it, of which the best counts; the measure is rapidfuzz's `ratio` (100 times twice the
longest common subsequence over both lengths):

* `sorted_words`: the words in alphabetical order;
* `joined_words`: the words as written, without blanks;
* `word_subset`: every word of the shorter name has a partner of its own in the longer one, one of them the very same;
  at 97 %.

Where the common words ("trading", "group", …) are not the same ones, the others count at 97 % too.

Short names: below five letters only the same letters count, and only beside the same common words, for any two short
words are alike. A subset takes two words and eight letters.
"""

from typing import Final, NamedTuple

from rapidfuzz import fuzz

from tallystick.screening.names import Name

__all__ = ["PARTIAL_PERCENT", "Likeness", "may_be_subset", "similarity"]

_COMPARED_LENGTH_MIN: Final = 5
_SUBSET_WORDS_MIN: Final = 2
_SUBSET_LENGTH_MIN: Final = 8
# Words shorter than this are partners only if they are the same.
_PARTNER_LENGTH_MIN: Final = 4
_PARTNER_MIN: Final = 80
PARTIAL_PERCENT: Final = 97


class Likeness(NamedTuple):
    """A score from 0 to 100, whole, rounded down; and the reading that yields it."""

    score: int
    algorithm: str


def similarity(one: Name, other: Name) -> Likeness:
    """Return how alike two names are. Symmetric; 100 for names that are read alike, whatever their word order."""
    percent = 100 if one.common == other.common else PARTIAL_PERCENT
    if min(_letters(one), _letters(other)) < _COMPARED_LENGTH_MIN:
        same = percent == 100 and one.sorted_text == other.sorted_text
        return Likeness(100 if same else 0, "sorted_words")
    likenesses = [
        Likeness(int(fuzz.ratio(one.sorted_text, other.sorted_text) * percent / 100), "sorted_words"),
        Likeness(int(fuzz.ratio(one.joined_text, other.joined_text) * percent / 100), "joined_words"),
        Likeness(_subset(one.core, other.core), "word_subset"),
    ]
    return max(likenesses, key=lambda likeness: likeness.score)


def may_be_subset(core: frozenset[str]) -> bool:
    """Tell whether a name has enough of a core to be looked for within longer ones."""
    return len(core) >= _SUBSET_WORDS_MIN and sum(map(len, core)) >= _SUBSET_LENGTH_MIN


def _letters(name: Name) -> int:
    return len(name.joined_text)


def _subset(one: frozenset[str], other: frozenset[str]) -> int:
    shorter, longer = sorted((one, other), key=len)
    same = shorter & longer
    if not same or len(shorter) == len(longer) or not may_be_subset(shorter):
        return 0
    left = set(longer - same)
    yielded = 100.0 * sum(map(len, same))
    for word in sorted(shorter - same):
        partners = [(fuzz.ratio(word, found), found) for found in left if _may_be_partners(word, found)]
        ratio, partner = max(partners, default=(0.0, ""))
        if ratio < _PARTNER_MIN:
            return 0
        left.remove(partner)
        yielded += ratio * len(word)
    return int(yielded / sum(map(len, shorter)) * PARTIAL_PERCENT / 100)


def _may_be_partners(one: str, other: str) -> bool:
    return min(len(one), len(other)) >= _PARTNER_LENGTH_MIN
