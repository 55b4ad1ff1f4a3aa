"""Strict JSON, and its canonical form (RFC 8785) for values without fractions: what signed documents are made of.

Written anew for this package, so that a mistake in the service's encoder is not repeated here.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

__all__ = ["INTEGER_MAX", "JsonRefusedError", "canonical", "parse", "parse_canonical"]

INTEGER_MAX: Final = 2**53 - 1
_DEPTH_MAX: Final = 16
# Made once: to make an encoder takes longer than to use it.
_SORTED: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
_AS_IT_IS: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_INTEGER_SIZE_MAX: Final = 17


class JsonRefusedError(ValueError):
    """The bytes are no JSON that means one thing to everybody; the message says why."""


def parse(octets: bytes) -> Any:
    """Return the value of strict JSON in UTF-8.

    Raises JsonRefusedError for anything that two readers could read differently: names that occur twice, fractions
    and exponents, NaN, integers beyond ±(2⁵³ - 1), halves of surrogate pairs, a byte order mark, deep nesting.
    """
    value = _load(octets, pairs=True)
    _check((value,), _DEPTH_MAX)
    return value


def parse_canonical(octets: bytes) -> Any:
    """Return the value of JSON that must be in canonical form; raises JsonRefusedError for any other bytes."""
    # Names that occur twice can't survive being written again, so the faster parser is as strict.
    value = _load(octets, pairs=False)
    # Parsed, it holds nothing but what JSON has, its numbers looked at. In ASCII both orders of names agree, and few
    # brackets can't nest deep: so writing it again proves the rest without a look at every value.
    if octets.isascii() and octets.count(b"{") + octets.count(b"[") <= _DEPTH_MAX:
        same = _SORTED.encode(value) == octets.decode()
    else:
        same = canonical(value) == octets
    if not same:
        raise JsonRefusedError("it is not in canonical form (RFC 8785)")
    return value


def canonical(value: Any) -> bytes:
    """Return the canonical form of None, bool, int, str, list and dict; raises JsonRefusedError for anything else."""
    ascii_names = _check((value,), _DEPTH_MAX)
    if not ascii_names:
        value = _sorted_by_code_unit(value)
    text = (_SORTED if ascii_names else _AS_IT_IS).encode(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise JsonRefusedError("a string holds half a surrogate pair") from None


def _load(octets: bytes, *, pairs: bool) -> Any:
    try:
        return (_PAIRS if pairs else _PLAIN).decode(octets.decode())
    except JsonRefusedError:
        raise
    except (ValueError, RecursionError):
        raise JsonRefusedError("it is not JSON in UTF-8") from None


def _refuse_fraction(_text: str) -> NoReturn:
    raise JsonRefusedError("a number is no plain integer")


def _integer(text: str) -> int:
    # Digits of other scripts are numbers to Python alone; the parser has refused all else that is no integer.
    if len(text) <= _INTEGER_SIZE_MAX and text.isascii() and text != "-0":
        number = int(text)
        if -INTEGER_MAX <= number <= INTEGER_MAX:
            return number
    raise JsonRefusedError("an integer is out of range")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonRefusedError("an object names a member twice")
    return found


def _check(container: Iterable[Any], depth_left: int) -> bool:
    """Refuse values without a canonical form here; tell whether all names are ASCII, where both orders agree."""
    ascii_names = True
    for value in container:
        kind = type(value)
        if kind is str or value is None or kind is bool:
            continue
        if kind is int:
            if not -INTEGER_MAX <= value <= INTEGER_MAX:
                raise JsonRefusedError("an integer is out of range")
        elif not depth_left:
            raise JsonRefusedError("it nests too deep")
        elif kind is dict:
            for name in value:
                if type(name) is not str:
                    raise JsonRefusedError("a name is no string")
                ascii_names = ascii_names and name.isascii()
            ascii_names = _check(value.values(), depth_left - 1) and ascii_names
        elif kind is list:
            ascii_names = _check(value, depth_left - 1) and ascii_names
        else:
            raise JsonRefusedError("it holds a value that JSON has no canonical form for")
    return ascii_names


def _sorted_by_code_unit(value: Any) -> Any:
    """Sort names as RFC 8785 does, by UTF-16 code unit: not Python's order beyond U+FFFF."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return {name: _sorted_by_code_unit(value[name]) for name in names}
    if isinstance(value, list):
        return [_sorted_by_code_unit(one) for one in value]
    return value


def _decoder(object_pairs_hook: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None) -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_float=_refuse_fraction,
        parse_constant=_refuse_fraction,
        parse_int=_integer,
        object_pairs_hook=object_pairs_hook,
    )


_PAIRS: Final = _decoder(_once)
_PLAIN: Final = _decoder(None)
