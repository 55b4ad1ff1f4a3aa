"""Whole columns as PostgreSQL arrays in binary, packed in one go: element by element, the driver's own way costs more
than settling what is in them.

`unnest` of such columns writes a thousand rows in one statement that can be pipelined with others, within a few
percent of COPY, which can't.
"""

import struct
from collections.abc import Sequence
from typing import Final, TypeVar

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

__all__ = ["BigintArray", "BytesArray", "IdArray", "TextArray", "alike"]

Value = TypeVar("Value")

_BIGINT_OID: Final = 20
_BIGINT_ARRAY_OID: Final = 1016
_TEXT_OID: Final = 25
_TEXT_ARRAY_OID: Final = 1009
_BYTES_OID: Final = 17
_BYTES_ARRAY_OID: Final = 1001
_HEADER: Final = struct.Struct("!iIIii")
_LENGTH: Final = struct.Struct("!i").pack
_NULL: Final = _LENGTH(-1)
_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.,:+-"


def alike(values: Sequence[Value]) -> tuple[Value | None, Sequence[Value]]:
    """Return what all the values are, and no column; or None and the column, at least one value long.

    Most columns of a batch's rows say the same in each. `coalesce(%s::text, n.kind)`, with the two as parameters, takes
    either: a column that is empty costs neither side anything for each row.
    """
    first = values[0]
    if values[-1] == first and values.count(first) == len(values):
        return first, ()
    return None, values


class TextArray:
    """A column of TEXT; None is NULL."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[str | None]) -> None:
        self.values = values


class IdArray:
    """A column of TEXT made of ids, codes and dates, written as an array literal, which is cheapest; None is NULL.

    Raises ValueError for a value that a literal would have to quote, such as an empty one: that is for `TextArray`.
    """

    __slots__ = ("literal",)

    def __init__(self, values: Sequence[str | None]) -> None:
        whole = None not in values
        present = values if whole else [value for value in values if value is not None]
        joined = ",".join(present).encode()  # type: ignore[arg-type]
        bounded = b",%b," % joined.lower()
        if present and (
            joined.translate(None, _PLAIN)
            or joined.count(b",") != len(present) - 1
            or b",," in bounded
            or b",null," in bounded
        ):
            raise ValueError("an id with a character that no id has")
        if not whole:
            joined = ",".join(["NULL" if value is None else value for value in values]).encode()
        self.literal = b"{%b}" % joined


class BytesArray:
    """A column of BYTEA; None is NULL."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[bytes | None]) -> None:
        self.values = values


class BigintArray:
    """A column of BIGINT; None is NULL."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[int | None]) -> None:
        self.values = values


def _header(count: int, element_oid: int, *, has_null: bool) -> bytes:
    # One dimension of `count` elements, counted from 1; none at all for an empty array (PostgreSQL's array_send).
    if count == 0:
        return struct.pack("!iII", 0, 0, element_oid)
    return _HEADER.pack(1, int(has_null), element_oid, count, 1)


class _TextArrayDumper(Dumper):
    format = Format.BINARY
    oid = _TEXT_ARRAY_OID

    def dump(self, obj: TextArray) -> bytes:
        has_null = None in obj.values
        parts = [_header(len(obj.values), _TEXT_OID, has_null=has_null)]
        for value in obj.values:
            if value is None:
                parts.append(_NULL)
            else:
                encoded = value.encode()
                parts += (_LENGTH(len(encoded)), encoded)
        return b"".join(parts)


class _IdArrayDumper(Dumper):
    format = Format.TEXT
    oid = _TEXT_ARRAY_OID

    def dump(self, obj: IdArray) -> bytes:
        return obj.literal


class _BytesArrayDumper(Dumper):
    format = Format.BINARY
    oid = _BYTES_ARRAY_OID

    def dump(self, obj: BytesArray) -> bytes:
        parts = [_header(len(obj.values), _BYTES_OID, has_null=None in obj.values)]
        for value in obj.values:
            if value is None:
                parts.append(_NULL)
            else:
                parts += (_LENGTH(len(value)), value)
        return b"".join(parts)


class _BigintArrayDumper(Dumper):
    format = Format.BINARY
    oid = _BIGINT_ARRAY_OID

    def dump(self, obj: BigintArray) -> bytes:
        values = obj.values
        count = len(values)
        if None in values:
            parts = [_header(count, _BIGINT_OID, has_null=True)]
            parts += [_NULL if value is None else struct.pack("!iq", 8, value) for value in values]
            return b"".join(parts)
        pairs = [8] * (2 * count)
        pairs[1::2] = values  # type: ignore[assignment]
        return _header(count, _BIGINT_OID, has_null=False) + struct.pack("!" + "iq" * count, *pairs)


psycopg.adapters.register_dumper(TextArray, _TextArrayDumper)
psycopg.adapters.register_dumper(IdArray, _IdArrayDumper)
psycopg.adapters.register_dumper(BytesArray, _BytesArrayDumper)
psycopg.adapters.register_dumper(BigintArray, _BigintArrayDumper)
