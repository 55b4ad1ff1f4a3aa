"""RFC 8785 (JSON Canonicalization Scheme): one sequence of bytes for one value, so that it can be hashed and signed.

Documents of this service hold no floats: amounts are strings. For them `orjson` writes the very bytes of RFC 8785,
some forty times faster than the reference `rfc8785`, save for one thing: it sorts names by code point and the
standard by UTF-16 code unit, which differ where a name holds a character beyond U+FFFF. Names that are not ASCII
therefore take the slow way.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias, cast

import orjson
import rfc8785

__all__ = ["CanonicalJsonError", "CanonicalValue", "canonical_json", "canonical_json_with_floats"]

# Covariant on purpose: a `dict[str, str]` is canonical JSON as it is.
CanonicalValue: TypeAlias = (
    bool | int | str | Sequence["CanonicalValue"] | Mapping[str, "CanonicalValue"] | None
)

_DEPTH_MAX: Final = 64
_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


class CanonicalJsonError(ValueError):
    """The value has no canonical form here. Its message says why and quotes nothing of the value.

    It is no DomainError: whatever `parse_json` returns has a canonical form, so only a mistake of ours lacks one.
    """


def canonical_json(value: CanonicalValue) -> bytes:
    """Return the RFC 8785 form of a value made of None, bool, int, str, list, tuple and dict with str keys.

    Raises CanonicalJsonError for anything else (floats, dates, enumerations and other subclasses included), integers
    beyond ±(2⁵³ - 1), halves of surrogate pairs, and nesting deeper than 64.
    """
    ascii_names = _check((value,), _DEPTH_MAX)
    try:
        return (
            orjson.dumps(value, option=_OPTIONS)
            if ascii_names
            else rfc8785.dumps(cast("dict[str, int]", value))
        )
    except (TypeError, ValueError) as error:
        raise CanonicalJsonError(type(error).__name__) from None


def canonical_json_with_floats(value: object) -> bytes:
    """Return the RFC 8785 form of any JSON value, IEEE 754 doubles included; for documents of others, never ours.

    Raises CanonicalJsonError for NaN, infinities, integers beyond ±(2⁵³ - 1), other types and endless nesting.
    """
    try:
        return rfc8785.dumps(cast("float", value))
    except (TypeError, ValueError, RecursionError) as error:
        raise CanonicalJsonError(type(error).__name__) from None


def _check(container: Iterable[object], depth_left: int) -> bool:
    """Refuse what our documents never hold; tell whether all names are ASCII, where both sort orders agree."""
    ascii_names = True
    for value in container:
        kind = type(value)
        if kind is str or kind is int or kind is bool or value is None:
            continue
        if not depth_left:
            raise CanonicalJsonError("nests too deep")
        if kind is dict:
            members = cast("dict[str, object]", value)
            try:
                names = "".join(members)
            except TypeError:
                raise CanonicalJsonError("a name is no string") from None
            if not names.isascii():
                ascii_names = False
            if not _check(members.values(), depth_left - 1):
                ascii_names = False
        elif kind is list or kind is tuple:
            if not _check(cast("Sequence[object]", value), depth_left - 1):
                ascii_names = False
        else:
            raise CanonicalJsonError(f"holds a value of type {kind.__name__}")
    return ascii_names
