"""Every logged record against the seal that covers it: as it was sealed, there, and none that was not there then."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from tallystick import seals
from tallystick.integrity import store
from tallystick.integrity.records import NO_ROW, ROW, WHOLE_ROW, Finding, Integrity
from tallystick.seals import Difference, Part, Seal, split_hashes

__all__ = ["REPLAYED", "records"]

#: Columns that may change by right, and that the log tells exactly: `instructions`, `lives`, `signed`.
REPLAYED: Final = {
    "account": frozenset({"status", "status_reason"}),
    "approval": frozenset({"state"}),
    "bank_match": frozenset({"state"}),
    "instruction": frozenset(
        {"state", "remaining_minor", "payee_account_id", "settled_at", "event_index", "value_date"}
    ),
    "policy_document": frozenset({"approved_at", "active_from", "retired_at", "approval_hashes"}),
    "restriction": frozenset({"restricted_minor", "seized_minor", "state"}),
    "screening_standing": frozenset({"state", "last_number"}),
    "token_class": frozenset({"mode"}),
}
# A row may have been on its way into the database while the seal was set; no transaction lasts longer.
_ON_ITS_WAY: Final = timedelta(minutes=10)
_SUFFIX: Final = re.compile(r"_([0-7][0-9a-hjkmnp-tv-z]{25})", re.ASCII)
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_BITS, _SUFFIX_BITS = 48, 128


def records(
    connection: Connection, issuer_id: str, tables: Sequence[str], result: Integrity
) -> Iterator[Finding]:
    """Yield every sealed record that is not as it was sealed, and every other that claims to be older than the seal.

    What is newer, and what was changed since by an act that is on record, is counted in `result`.
    """
    seal = seals.newest(connection, issuer_id)
    if seal is None:
        return
    result.seal_number = seal.number
    for part in seals.parts(connection, tables):
        if seal.columns.get(part.name) != list(part.columns):
            # Sealed before a release that has other columns: nothing can be compared until the next seal.
            result.unsealed[part.table] += 1
            continue
        for one in seals.differences(connection, issuer_id, part, seal):
            yield from _difference(connection, issuer_id, part, one, seal, result)


def _difference(
    connection: Connection, issuer_id: str, part: Part, one: Difference, seal: Seal, result: Integrity
) -> Iterator[Finding]:
    if one.live is None:
        yield Finding(part.table, one.record_key, WHOLE_ROW, f"{ROW}, by seal {one.seal_number}", NO_ROW)
        return
    if one.sealed is None:
        made_at = one.made_at if isinstance(one.made_at, datetime) else _made_at(one.record_key)
        if _is_span_row(part, one) or (made_at is not None and made_at < seal.sealed_at - _ON_ITS_WAY):
            yield Finding(part.table, one.record_key, WHOLE_ROW, f"{NO_ROW}, by seal {seal.number}", ROW)
        else:
            result.unsealed[part.table] += 1
        return
    was, now = split_hashes(one.sealed), split_hashes(one.live)
    differing = [
        (column, before, after)
        for column, before, after in zip(part.columns, was, now, strict=True)
        if before != after
    ]
    replayed = REPLAYED.get(part.table, frozenset())
    lawful = {column for column, _, _ in differing if column in part.changeable}
    unexplained = lawful - replayed
    if unexplained:
        row = store.live_row(connection, issuer_id, part, one.record_key)
        if not store.was_on_record(connection, issuer_id, part.table, row, seal):
            lawful -= unexplained
    if lawful:
        result.changed[part.table] += 1
    for column, before, after in differing:
        if column not in lawful:
            sealed = f"{before.hex()} by seal {one.seal_number}"
            yield Finding(part.table, one.record_key, column, sealed, after.hex())


def _is_span_row(part: Part, one: Difference) -> bool:
    """Tell whether the record is a row whose number lies where a seal found no rows at all."""
    return part.along is not None and part.name == part.table and one.sealed is None


def _made_at(key: str) -> datetime | None:
    """Return the moment in the newest id of a key; None where it names none."""
    found = [_moment(match[1]) for match in _SUFFIX.finditer(key)]
    return max(found, default=None)


def _moment(suffix: str) -> datetime:
    value = 0
    for character in suffix:
        value = value << 5 | _ALPHABET.index(character)
    milliseconds = value >> (_SUFFIX_BITS - _TIME_BITS)
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
