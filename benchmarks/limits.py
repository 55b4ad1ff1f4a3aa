"""What the machine can do at best: rows into PostgreSQL without logic, signatures by one core, writes to the disk."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.bank import Bank, connect
from tallystick.signing import SoftwareSigner

__all__ = ["CopyLimit", "SigningLimit", "flushes_per_second"]

_BATCH_SIZE: Final = 1_000
_FLUSH_SIZE_BYTES: Final = 8_192
# What one transfer writes, in the order of the log: the table, its rows per transfer and their order.
_TABLES: Final = {
    "journal_line": (2, "event_index, line_number"),
    "instruction": (1, "event_index"),
    "event": (1, "event_index"),
}


class CopyLimit:
    """COPY of the very rows that the product wrote, 1,000 transfers to a commit.

    They go to empty tables of the same columns and indexes, without the checks and triggers of the real ones: nothing
    that decides anything is left.
    """

    def __init__(self, bank: Bank, batches: int) -> None:
        self._connection = connect(bank.superuser_url)
        self._connection.execute("CREATE SCHEMA copy_limit")
        for table in _TABLES:
            self._connection.execute(
                f"CREATE TABLE copy_limit.{table} (LIKE public.{table} INCLUDING INDEXES INCLUDING STORAGE)".encode()
            )
        self._batches = [self._read_batch(bank.issuer_id, number) for number in range(batches)]

    def close(self) -> None:
        """Drop the tables."""
        self._connection.execute("DROP SCHEMA copy_limit CASCADE")
        self._connection.close()

    def per_second(self, seconds: float) -> float:
        """Return transfers per second, measured for so long or until every batch is written."""
        tables = ", ".join(f"copy_limit.{table}" for table in _TABLES)
        self._connection.execute(f"TRUNCATE {tables}".encode())
        written = 0
        began = ended = time.perf_counter()
        for batch in self._batches:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                for table, rows in batch.items():
                    with cursor.copy(f"COPY copy_limit.{table} FROM STDIN".encode()) as copy:
                        copy.write(rows)
            written += _BATCH_SIZE
            ended = time.perf_counter()
            if ended - began > seconds:
                break
        return written / (ended - began)

    def _read_batch(self, issuer_id: str, number: int) -> dict[str, bytes]:
        # The first events of the log are of the keys, the deposit and the mint.
        first = 4 + number * _BATCH_SIZE
        batch = {}
        for table, (rows_per_transfer, order) in _TABLES.items():
            rows = f"""SELECT * FROM {table} WHERE issuer_id = '{issuer_id}'
                       AND event_index BETWEEN {first} AND {first + _BATCH_SIZE - 1} ORDER BY {order}"""
            with (
                self._connection.cursor() as cursor,
                cursor.copy(f"COPY ({rows}) TO STDOUT".encode()) as copy,
            ):
                batch[table] = b"".join(bytes(part) for part in copy)
            assert batch[table].count(b"\n") == _BATCH_SIZE * rows_per_transfer
        return batch


class SigningLimit:
    """Ed25519 signatures by one thread of what the product signs: the events' own JWS signing inputs."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], issuer_id: str) -> None:
        rows = connection.execute(
            "SELECT jws FROM event WHERE issuer_id = %s AND event_index > 4 ORDER BY event_index LIMIT 1000",
            [issuer_id],
        ).fetchall()
        self._messages = [str(row[0]).rpartition(".")[0].encode() for row in rows]
        seed = os.urandom(32)
        self._signer = SoftwareSigner(seed, alone=True)
        self._other = Ed25519PrivateKey.from_private_bytes(seed)

    def per_second(self, seconds: float) -> float:
        """Return the rate of the signer that the product uses."""
        return _rate(lambda: self._signer.begin(self._messages).result(), len(self._messages), seconds)

    def per_second_cryptography(self, seconds: float) -> float:
        """Return the rate of `cryptography`, for comparison."""
        sign = self._other.sign
        return _rate(lambda: [sign(message) for message in self._messages], len(self._messages), seconds)


def flushes_per_second(directory: Path, seconds: float) -> float:
    """Return how often 8 KB can be appended to a file and be made durable: on a real disk, not on `tmpfs`."""
    path = directory / "flushes"
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        block = os.urandom(_FLUSH_SIZE_BYTES)

        def append() -> None:
            os.write(file, block)
            os.fdatasync(file)

        return _rate(append, 1, seconds)
    finally:
        os.close(file)
        path.unlink()


def _rate(work: Callable[[], object], size: int, seconds: float) -> float:
    count = 0
    began = ended = time.perf_counter()
    while ended - began < seconds:
        work()
        count += size
        ended = time.perf_counter()
    return count / (ended - began)
