"""The live database against the log: what was signed or sealed is what is there, and nothing else is.

Everything is read in one read-only snapshot, in constant memory. Money, instructions, approvals and how things stand
are replayed from the signed events; all other evidence is held against the seals (see `tallystick.seals`). Nothing is
ever repaired.
"""

import hashlib
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DataError

import tallystick
from tallystick import seals, tokens
from tallystick.core.canonical_json import canonical_json
from tallystick.core.database import Database, metadata
from tallystick.core.errors import InvariantError
from tallystick.core.table_classes import TableClass, class_of, sealing_of
from tallystick.integrity import matches, sealed, signed, store
from tallystick.integrity.books import BOOKS
from tallystick.integrity.comparing import Expectation, compare
from tallystick.integrity.coverage import UNCOVERED, uncovered
from tallystick.integrity.instructions import INSTRUCTIONS
from tallystick.integrity.lives import LIVES
from tallystick.integrity.matches import MATCHES
from tallystick.integrity.records import NO_ROW, Finding, Integrity, IntegrityBrokenError, Progress
from tallystick.integrity.sealing import Sealer, SealStanding, seal_standing
from tallystick.integrity.usage import limit_usage
from tallystick.participants import Principal, Role
from tallystick.tokens import Kind, Request, Settler, Submission
from tallystick.transparency import TileStore

__all__ = [
    "REPLAYED_TABLES",
    "UNCOVERED",
    "Finding",
    "Integrity",
    "IntegrityBrokenError",
    "Progress",
    "SealStanding",
    "Sealer",
    "check",
    "know_every_table",
    "seal_records",
    "seal_standing",
    "unclassed",
    "uncovered",
]

_SYSTEM: Final = "system"


def _no_progress(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


_Run = Callable[[Connection, str, TileStore], Iterator[Finding]]


class _Check(NamedTuple):
    name: str
    tables: frozenset[str]
    run: _Run


def _expected(expectation: Expectation) -> _Check:
    def run(connection: Connection, issuer_id: str, _tiles: TileStore) -> Iterator[Finding]:
        return compare(connection, issuer_id, expectation)

    return _Check(expectation.table, frozenset({expectation.table}), run)


def _read(name: str, tables: set[str], read: Callable[[Connection, str], Iterator[Finding]]) -> _Check:
    return _Check(name, frozenset(tables), lambda connection, issuer_id, _: read(connection, issuer_id))


_CHECKS: Final = (
    _read("signatures", {"event"}, signed.log),
    *map(_expected, (*BOOKS, *INSTRUCTIONS, *LIVES, *MATCHES)),
    _read("votes", {"approval", "approval_vote"}, signed.votes),
    _read("rules", {"policy_document"}, signed.rules),
    _read("matching", {"match_item", "match_reference"}, matches.items),
    _read("terms of matching", {"matching_terms"}, matches.terms),
    _read("usage of limits", {"limit_usage"}, limit_usage),
    _read("audit trail", {"audit_entry"}, signed.audit_trail),
    _Check("tree", frozenset({"log_tree", "log_tile", "log_checkpoint", "log_cosignature"}), signed.tree),
    _read("seals", {"seal", "sealed_record"}, signed.seal_heads),
)
#: Tables that a replay of the log tells of, in whole or in part.
REPLAYED_TABLES: Final = frozenset().union(*(one.tables for one in _CHECKS))


def check(
    connection: Connection,
    tiles: TileStore,
    issuer_id: str,
    *,
    tables: Sequence[str] | None = None,
    progress: Progress = _no_progress,
) -> Integrity:
    """Hold an issuer's rows against its log, all of them or those of some tables; nothing is written.

    The caller's transaction is one read-only snapshot. `progress` is told which check begins, and how many are done.
    """
    know_every_table()
    seals.prepare_session(connection)
    chosen = sorted(metadata.tables if tables is None else tables)
    result = Integrity(issuer_id, event_count=store.last_index(connection, issuer_id) + 1, tables=chosen)
    due = [one for one in _CHECKS if not one.tables.isdisjoint(chosen)]
    sealing = [name for name in chosen if sealing_of(metadata.tables[name]) is not None]
    total = len(due) + len(sealing) + 1
    for done, one in enumerate(due):
        progress(one.name, done, total)
        _take(connection, result, one.name, partial(one.run, connection, issuer_id, tiles))
    for done, name in enumerate(sealing, len(due)):
        progress(f"sealed {name}", done, total)
        _take(connection, result, name, partial(sealed.records, connection, issuer_id, [name], result))
    progress("rows of nobody", total - 1, total)
    for name in chosen:
        for stranger in store.strangers(connection, name):
            result.add(Finding(name, stranger, "issuer_id", "an issuer with a log", NO_ROW))
    progress("done", total, total)
    return result


def know_every_table() -> None:
    """Import each room's tables: what is not known can't be checked."""
    for room in pkgutil.iter_modules(tallystick.__path__):
        models = f"tallystick.{room.name}.models"
        if room.ispkg and importlib.util.find_spec(models) is not None:
            importlib.import_module(models)


def seal_records(
    database: Database, tiles: TileStore, settler: Settler, issuer_id: str, progress: Progress = _no_progress
) -> seals.Seal:
    """Check everything, seal what is new or has changed, commit, and return the seal.

    Raises IntegrityBrokenError where anything is off, for a seal would make it look right from then on, and
    SealNumberTakenError where somebody else has set a seal meanwhile.
    """
    with database.read() as connection:
        found = check(connection, tiles, issuer_id, progress=progress)
    if found.finding_count:
        raise IntegrityBrokenError(f"There are {found.finding_count} findings.", findings=found.finding_count)
    return database.run(lambda connection: _seal(connection, settler, issuer_id))


def _seal(connection: Connection, settler: Settler, issuer_id: str) -> seals.Seal:
    payload = seals.prepare(connection, issuer_id)
    now = settler.clock.now()
    # Nobody asks for it and nobody has to consent: it changes nothing.
    acting = Principal(
        issuer_id=issuer_id,
        id=_SYSTEM,
        name="The service itself",
        person=_SYSTEM,
        roles=frozenset({Role.OPERATOR}),
        holder_id=None,
        status="active",
        created_at=now,
    )
    request = Request(
        id=tokens.new_instruction_id(Kind.CHANGE),
        kind=Kind.CHANGE,
        principal=acting,
        key_digest=tokens.key_digest(_SYSTEM, "records_seal", str(payload["number"])),
        request_hash=hashlib.sha256(canonical_json(payload)).digest(),
        related_id=issuer_id,
        operation="records_seal",
        payload=payload,
        reason="Sealed.",
        source=_SYSTEM,
    )
    [outcome] = tokens.settle(connection, settler, issuer_id, [Submission((request,))])[0].outcomes
    if outcome.refusal is not None:
        raise outcome.refusal
    newest = seals.newest(connection, issuer_id)
    if newest is None or outcome.status != HTTPStatus.CREATED:
        raise InvariantError("a seal was set and is not there")
    return newest


def _take(connection: Connection, result: Integrity, name: str, run: Callable[[], Iterator[Finding]]) -> None:
    """Take up a check's findings; one that the database can't carry out on what is there is a finding itself."""
    try:
        with connection.begin_nested():
            for finding in run():
                result.add(finding)
    except DataError as error:
        found = type(error.orig).__name__
        result.add(Finding(name, "", "*", "rows that can be read as what they are", found))


def unclassed() -> list[str]:
    """Return the tables that nobody has classed, and derived ones that no replay tells of."""
    know_every_table()
    return [
        name
        for name, table in sorted(metadata.tables.items())
        if class_of(table) is None
        or (class_of(table) == TableClass.DERIVED and name not in REPLAYED_TABLES and name not in UNCOVERED)
    ]
