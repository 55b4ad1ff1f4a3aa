"""An issuer's log to work on: many events cheaply, and all that is stored of the tree as one comparable value."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tallystick import tokens, transparency
from tallystick.core.clock import FixedClock
from tallystick.core.database import Database
from tallystick.core.ids import new_id
from tallystick.signing import KeyDirectory, KeyUse
from tallystick.transparency import Log, LogAudit, TileStore
from tallystick.transparency.checkpoints import Checkpoint, parse_checkpoint
from tallystick.transparency.notes import parse_note
from tests.bank import OPENED_AT, Bank
from tests.database import DatabaseUrls, connect
from tests.older_keys import begin_older_key

__all__ = ["ORIGIN_PREFIX", "Issuer", "add_events", "audited", "head", "log_of", "open_issuer", "stored"]

ORIGIN_PREFIX: Final = "log.riverbank.example/log"


@dataclass(frozen=True, slots=True)
class Issuer:
    """As much of a bank as its log needs: an id and the keys."""

    urls: DatabaseUrls
    database: Database
    clock: FixedClock
    key_directory: KeyDirectory
    issuer_id: str


@contextmanager
def open_issuer(urls: DatabaseUrls, key_path: Path) -> Iterator[Issuer]:
    database, clock, key_directory = (
        Database(urls.service_url, pool_size=4),
        FixedClock(OPENED_AT),
        KeyDirectory(key_path),
    )
    try:
        with database.engine.begin() as connection:
            issuer = tokens.open_issuer(
                connection,
                clock,
                legal_name="Riverbank AG",
                lei="529900T8BM49AURSDO55",
                bic="RIVBDEFFXXX",
                jurisdiction="DE",
            )
            for use in KeyUse:
                begin_older_key(connection, clock, issuer.issuer_id, key_directory, use=use)
        yield Issuer(urls, database, clock, key_directory, issuer.issuer_id)
    finally:
        database.close()


def log_of(bank: Bank | Issuer, tiles: TileStore | None = None) -> Log:
    """Return a new process's view of the log: it remembers nothing."""
    return Log(bank.clock, bank.key_directory, ORIGIN_PREFIX, tiles or transparency.DatabaseTiles())


def add_events(bank: Bank | Issuer, count: int) -> None:
    """Sequence events as the write path does: indexes go on without a gap. To the tree they are bytes."""
    with connect(bank.urls.superuser_url) as connection, connection.transaction():
        found = connection.execute("SELECT next_index FROM log_head WHERE issuer_id = %s", [bank.issuer_id])
        [first] = found.fetchone() or [0]
        assert isinstance(first, int)
        with connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO event (issuer_id, event_index, id, type, subject_id, booked_at, key_id, jws)
                   VALUES (%s, %s, %s, 'token.transferred', 'transfer_1', now(), 'key', %s)""",
                [
                    [bank.issuer_id, index, new_id("event"), f"event.{bank.issuer_id}.{index}"]
                    for index in range(first, first + count)
                ],
            )
        connection.execute(
            "UPDATE log_head SET next_index = %s WHERE issuer_id = %s", [first + count, bank.issuer_id]
        )


def audited(bank: Bank | Issuer, tiles: TileStore | None = None) -> LogAudit:
    with bank.database.read() as connection:
        return transparency.audit(connection, tiles or transparency.DatabaseTiles(), bank.issuer_id)


def head(bank: Bank | Issuer) -> Checkpoint:
    """Return the checkpoint that is published."""
    with bank.database.read() as connection:
        note = transparency.published_checkpoint(connection, bank.issuer_id, transparency.NO_WITNESSES)
    return parse_checkpoint(parse_note(note.encode()).text)


def stored(bank: Bank | Issuer) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of the tree, checkpoints without the moment of their signature."""
    queries = {
        "tree": "SELECT origin, size, edge FROM log_tree WHERE issuer_id = %s",
        "tiles": "SELECT level, tile_index, hashes FROM log_tile WHERE issuer_id = %s ORDER BY 1, 2",
        "checkpoints": "SELECT size, root_hash, key_id, note FROM log_checkpoint WHERE issuer_id = %s ORDER BY 1",
    }
    with connect(bank.urls.superuser_url) as connection:
        return {
            name: connection.execute(query.encode(), [bank.issuer_id]).fetchall()
            for name, query in queries.items()
        }
