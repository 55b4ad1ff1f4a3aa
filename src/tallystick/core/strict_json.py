"""Reads JSON (RFC 8259) as a bank must: one meaning for each body, or a refusal.

The profile is narrower than I-JSON (RFC 7493). A body is refused when a member's name repeats, when a number is no
integer or lies outside ±(2⁵³ - 1), when a string holds U+0000 (PostgreSQL's text can't) or half of a surrogate pair,
when it nests deeper than 16, has a byte order mark or is no UTF-8. Hence whatever `parse_json` returns can be
written by `canonical_json`, stored, hashed and signed.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

import orjson

from tallystick.core.errors import MalformedError

__all__ = [
    "DEPTH_MAX",
    "INTEGER_MAX",
    "SIZE_MAX_BYTES",
    "BodyTooLargeError",
    "JsonDuplicateKeyError",
    "JsonInvalidError",
    "JsonNumberNotIntegerError",
    "JsonNumberTooLargeError",
    "JsonStringInvalidError",
    "JsonTooDeepError",
    "JsonValue",
    "parse_json",
]

JsonValue: TypeAlias = bool | int | str | list["JsonValue"] | dict[str, "JsonValue"] | None

SIZE_MAX_BYTES: Final = 1_048_576
DEPTH_MAX: Final = 16
# Beyond this, readers that keep numbers as IEEE 754 doubles see another number (RFC 7493, section 2.2).
INTEGER_MAX: Final = 2**53 - 1

_FRACTION_OR_EXPONENT: Final = re.compile(rb"[0-9][.eE]")


class BodyTooLargeError(MalformedError):
    """The body has more bytes than are read."""

    code = "body_too_large"
    status = 413
    title = "The body is too large"


class JsonInvalidError(MalformedError):
    """The body is no JSON text in UTF-8."""

    code = "json_invalid"
    title = "The body is not valid JSON"


class JsonDuplicateKeyError(MalformedError):
    """An object names a member twice, so that two readers could see two instructions."""

    code = "json_duplicate_key"
    title = "An object in the body names a member twice"


class JsonNumberNotIntegerError(MalformedError):
    """A number has a fraction or an exponent. Amounts are strings."""

    code = "json_number_not_integer"
    title = "A number in the body is not a plain integer; amounts are strings"


class JsonNumberTooLargeError(MalformedError):
    """A number lies outside ±(2⁵³ - 1)."""

    code = "json_number_too_large"
    title = "A number in the body is outside ±9007199254740991"


class JsonStringInvalidError(MalformedError):
    """A string, or the name of a member, holds U+0000."""

    code = "json_string_invalid"
    title = "A string in the body holds the character U+0000"


class JsonTooDeepError(MalformedError):
    """Objects and arrays nest too deep."""

    code = "json_too_deep"
    title = "The body nests too deep"


def parse_json(body: bytes, *, size_max_bytes: int = SIZE_MAX_BYTES, depth_max: int = DEPTH_MAX) -> JsonValue:
    """Return the value of `body`, in time linear to its length.

    Raises BodyTooLargeError (413) and, with 422, JsonInvalidError, JsonTooDeepError, JsonDuplicateKeyError,
    JsonNumberNotIntegerError, JsonNumberTooLargeError, JsonStringInvalidError. None of them repeats the body.
    """
    if len(body) > size_max_bytes:
        raise BodyTooLargeError(size_max_bytes=size_max_bytes)
    try:
        # The parser bounds its own recursion, checks UTF-8 and surrogates, and was the fastest of those measured.
        value: JsonValue = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason, position = error.msg, error.pos
    else:
        return _checked(value, body, depth_max)
    # Raised out here because the parser's exception carries the whole body.
    if _opens_deeper(_outside_strings(body), depth_max):
        raise JsonTooDeepError
    if reason.startswith("number is infinity"):
        raise _number_refusal(body)
    raise JsonInvalidError(position=position)


def _checked(value: JsonValue, body: bytes, depth_max: int) -> JsonValue:
    names = _count_names((value,), depth_max)
    if names is None:
        raise _number_refusal(body)
    # The parser lets the last of two equal names win. It has also proven the body valid, where every colon outside
    # strings stands behind one name: fewer names than colons means that some were overwritten.
    if names != _outside_strings(body).count(b":"):
        raise JsonDuplicateKeyError
    # An unescaped U+0000 is invalid anyway, so only its escape can have brought one in.
    if b"\\u0000" in body and _holds_null_character(value):
        raise JsonStringInvalidError
    return value


def _count_names(container: Iterable[JsonValue | float], depth_left: int) -> int | None:
    """Count the names of all objects within; None if there is a number that is refused.

    Raises JsonTooDeepError for more than `depth_left` levels.
    """
    count = 0
    for value in container:
        if isinstance(value, (str, bool)) or value is None:
            continue
        if isinstance(value, (int, float)):
            if isinstance(value, float) or not -INTEGER_MAX <= value <= INTEGER_MAX:
                return None
            continue
        if not depth_left:
            raise JsonTooDeepError
        if isinstance(value, dict):
            count += len(value)
            within = _count_names(value.values(), depth_left - 1)
        else:
            within = _count_names(value, depth_left - 1)
        if within is None:
            return None
        count += within
    return count


def _number_refusal(body: bytes) -> MalformedError:
    # The parser turns an integer of more than 64 bits into a float: only the text tells the two apart.
    fractional = _FRACTION_OR_EXPONENT.search(_outside_strings(body))
    return JsonNumberTooLargeError() if fractional is None else JsonNumberNotIntegerError()


def _outside_strings(body: bytes) -> bytes:
    """Return `body` without what its string literals hold, linear even where it is no JSON at all."""
    if b"\\" in body:
        # What is left of each run of backslashes is at most one; before a quotation mark it escapes that.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(body.split(b'"')[::2])


def _opens_deeper(punctuation: bytes, depth_max: int) -> bool:
    if punctuation.count(b"[") + punctuation.count(b"{") <= depth_max:
        return False
    depth = 0
    for character in punctuation:
        if character in b"[{":
            depth += 1
            if depth > depth_max:
                return True
        elif character in b"]}":
            depth -= 1
    return False


def _holds_null_character(value: JsonValue) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, list):
        return any(map(_holds_null_character, value))
    if isinstance(value, dict):
        return any("\0" in name for name in value) or any(map(_holds_null_character, value.values()))
    return False
