"""What two spellings of one name have in common: accents, case, alphabet, punctuation and legal forms taken away.

Unicode NFKD (UAX 15) parts letters from their marks, casefolding levels case, and a table writes Cyrillic and Greek in
Latin letters. Scripts that the table doesn't know (Chinese, Arabic, …) are kept as they are: a name is compared in the
script that it is written in.
"""

import re
import unicodedata
from typing import Final, NamedTuple

from tallystick.screening.words import (
    APOSTROPHES,
    CHINESE_LEGAL_FORMS,
    COMMON_WORDS,
    LATIN_LETTERS,
    LEGAL_FORMS,
    SMALL_WORDS,
    SPELLINGS,
)

__all__ = ["Name", "read_name"]

_APOSTROPHES: Final = re.compile(f"[{APOSTROPHES}]")
_BETWEEN_WORDS: Final = re.compile(r"[\W_]+")
_CHINESE_LEGAL_FORMS: Final = re.compile("|".join(CHINESE_LEGAL_FORMS))
_SAME_LETTER_AGAIN: Final = re.compile(r"([^\W\d])\1+")


class Name(NamedTuple):
    """A name as it is compared, legal forms and small words left out.

    `core` are the words that tell it from others, and `common` those that many bear ("trading", "group", …); where
    there are no others, common words are the core. No text of the core is empty for a name that isn't blank.
    """

    core: frozenset[str]
    common: frozenset[str]
    #: The core in alphabetical order, so that the order in which it was written doesn't count.
    sorted_text: str
    #: The core without what parts its words, so that "Silk Road" is "Silkroad".
    joined_text: str


def read_name(text: str) -> Name:
    """Return a name as it is compared.

    Equal for spellings that differ in accents, case, punctuation, legal form, or in how one sound is commonly written.
    """
    latin = _without_marks(_without_marks(text).casefold()).translate(LATIN_LETTERS)
    spelled = _BETWEEN_WORDS.sub(" ", _CHINESE_LEGAL_FORMS.sub(" ", _APOSTROPHES.sub("", latin))).split()
    words = _with_initials_joined(spelled) or [" ".join(text.casefold().split())]
    named = [word for word in words if word not in LEGAL_FORMS and word not in SMALL_WORDS] or words
    core = [_spelled_simply(word) for word in named if word not in COMMON_WORDS]
    common = [_spelled_simply(word) for word in named if word in COMMON_WORDS]
    if not core:
        core, common = common, []
    return Name(frozenset(core), frozenset(common), " ".join(sorted(core)), "".join(core))


def _without_marks(text: str) -> str:
    return "".join([one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one)])


def _with_initials_joined(words: list[str]) -> list[str]:
    """Return "S. A." and "S.A." as the one word "sa": letters that stand alone, side by side, are an abbreviation."""
    joined: list[str] = []
    alone = False
    for word in words:
        if len(word) == 1 and alone:
            joined[-1] += word
        else:
            joined.append(word)
        alone = len(word) == 1
    return joined


def _spelled_simply(word: str) -> str:
    for written, simpler in SPELLINGS:
        word = word.replace(written, simpler)
    return _SAME_LETTER_AGAIN.sub(r"\1", word)
