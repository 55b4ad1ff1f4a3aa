"""Prefixed, time-sortable ids, made in the application: TypeID (a prefix, `_`, a UUIDv7 of RFC 9562 in base 32).

One fact wears one suffix: the instruction `transfer_X` is recorded by the event `event_X`, so either is found from
the other by eye.
"""

import re
from typing import Final

import uuid_utils

__all__ = ["ID_PATTERN", "id_made_before", "is_id", "new_id", "new_suffix", "suffix_of", "with_prefix"]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_SUFFIX: Final = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}\Z")

ID_PATTERN: Final = r"^[a-z_]{2,24}_[0-7][0-9a-hjkmnp-tv-z]{25}$"


def new_suffix() -> str:
    """Return 26 characters that sort by the moment of their making (to the millisecond)."""
    value = uuid_utils.uuid7().int
    pairs = _PAIRS
    return "".join([pairs[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def new_id(prefix: str) -> str:
    """Return a fresh id such as `account_01h455vb4pex5vsknk084sn02q`."""
    return f"{prefix}_{new_suffix()}"


def id_made_before(identifier: str, seconds: int) -> str:
    """Return what sorts before every id of this prefix that was made less than `seconds` before this one."""
    prefix, suffix = identifier[:-26], identifier[-26:]
    # The first ten of 26 characters of five bits hold the 48 bits of the moment, in milliseconds, and two zeros before.
    value = 0
    for character in suffix[:10]:
        value = value * 32 + _ALPHABET.index(character)
    value = max(value - seconds * 1_000, 0)
    digits = ""
    for _ in range(10):
        value, digit = divmod(value, 32)
        digits = _ALPHABET[digit] + digits
    return f"{prefix}{digits}{'0' * 16}"


def suffix_of(identifier: str) -> str:
    """Return the 26 characters behind the prefix."""
    return identifier[-26:]


def with_prefix(prefix: str, identifier: str) -> str:
    """Return the id of the same suffix under another prefix."""
    return f"{prefix}_{identifier[-26:]}"


def is_id(prefix: str, text: str) -> bool:
    """Tell whether `text` is a well-formed id of this prefix."""
    return (
        len(text) == len(prefix) + 27
        and text.startswith(prefix)
        and text[len(prefix)] == "_"
        and _SUFFIX.match(text, len(prefix) + 1) is not None
    )
