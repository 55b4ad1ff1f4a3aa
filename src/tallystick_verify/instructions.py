"""What has been instructed so far: each id once, each statement entry once, what holds and transfers have left, and
what supply was at each index.

Kept in a private temporary database (SQLite, which comes with Python) that spills to disk when it grows, so that a log
of any length is checked in little memory. The file has no name and vanishes with the process.
"""

import sqlite3
from typing import Final, NamedTuple

from tallystick_verify.events import Event
from tallystick_verify.facts import Fact
from tallystick_verify.failures import ExitCode, Failure

__all__ = ["Instructions"]

_CACHE_KIBIBYTES: Final = 16_384
_TABLES: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE instruction (
    suffix TEXT PRIMARY KEY, operation TEXT, remaining_minor TEXT, payer TEXT, payee TEXT, token_class_id TEXT
) WITHOUT ROWID;
CREATE TABLE entry (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE supply (
    token_class_id TEXT, event_index INTEGER, supply_minor TEXT, PRIMARY KEY (token_class_id, event_index)
) WITHOUT ROWID;
CREATE TABLE closed (suffix TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Open(NamedTuple):
    """A hold or a transfer that something can still be taken from, an order that is in force, or a payout."""

    operation: str
    remaining_minor: int
    payer: str
    payee: str
    token_class_id: str


class Instructions:
    """Everything that was instructed; `close` gives the disk back."""

    def __init__(self) -> None:
        # An empty name is a temporary database of one's own on disk.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_TABLES)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Drop everything."""
        self._database.close()

    def add(self, event: Event) -> None:
        """Take up a settled instruction. Raises Failure (books) if it was settled before, or its deposit was."""
        # An event and its instruction wear one suffix, so that one key holds both ids unique.
        try:
            self._database.execute(
                "INSERT INTO instruction VALUES (?, ?, ?, ?, ?, ?)",
                (
                    event.instruction_id[-26:],
                    event.kind.operation,
                    str(event.amount_minor),
                    event.payer,
                    event.payee,
                    event.token_class_id,
                ),
            )
        except sqlite3.IntegrityError:
            raise Failure(
                ExitCode.BOOKS, "The instruction was settled before: one thing happened twice."
            ) from None
        if event.kind.operation == "deposit" and event.related is not None:
            try:
                self._database.execute("INSERT INTO entry VALUES (?)", (event.related,))
            except sqlite3.IntegrityError:
                raise Failure(
                    ExitCode.BOOKS, "The statement's entry was confirmed as a deposit before."
                ) from None

    def add_fact(self, fact: Fact) -> None:
        """Take up a fact that moves no money. Raises Failure (books) if its id was used before."""
        try:
            self._database.execute("INSERT INTO instruction (suffix) VALUES (?)", (fact.id[-26:],))
        except sqlite3.IntegrityError:
            raise Failure(
                ExitCode.BOOKS, "The event's id was used before: one thing happened twice."
            ) from None

    def end_waiting(self, suffix: str) -> None:
        """What waited under this suffix is decided, for good."""
        self._database.execute("INSERT OR IGNORE INTO closed VALUES (?)", (suffix,))

    def is_closed(self, suffix: str) -> bool:
        """Tell whether what waited under this suffix was decided."""
        return (
            self._database.execute("SELECT 1 FROM closed WHERE suffix = ?", (suffix,)).fetchone() is not None
        )

    def note_supply(self, token_class_id: str, event_index: int, supply_minor: int) -> None:
        """Remember a class's supply from an index on."""
        self._database.execute(
            "INSERT INTO supply VALUES (?, ?, ?)", (token_class_id, event_index, str(supply_minor))
        )

    def supply_at(self, token_class_id: str, event_index: int) -> int:
        """Return a class's supply as it was behind an index."""
        row = self._database.execute(
            """SELECT supply_minor FROM supply WHERE token_class_id = ? AND event_index <= ?
               ORDER BY event_index DESC LIMIT 1""",
            (token_class_id, event_index),
        ).fetchone()
        return 0 if row is None else int(row[0])

    def take(self, event: Event, operation: str) -> Open:
        """Take the event's amount from the hold or transfer that it relates to, and return how that stood before.

        Raises Failure (books) if there is none, or less is left of it than the event takes.
        """
        suffix, found = self._related(event, operation)
        left_minor = found.remaining_minor - event.amount_minor
        if left_minor < 0:
            raise Failure(ExitCode.BOOKS, f"The event takes more than is left of the {operation}.")
        self._database.execute(
            "UPDATE instruction SET remaining_minor = ? WHERE suffix = ?", (str(left_minor), suffix)
        )
        return found

    def order(self, event: Event, *, ends: bool) -> Open:
        """Return the order that the event was done under; if it `ends` with that, nothing comes behind.

        Raises Failure (books) if none was placed before, or it had ended.
        """
        suffix, found = self._related(event, "order")
        if ends:
            self._database.execute(
                "UPDATE instruction SET operation = 'ended order' WHERE suffix = ?", (suffix,)
            )
        return found

    def move_payout(self, payout_id: str | None, wanted: str, becomes: str) -> Open:
        """Return a payout that stands where it must, and let it stand where it goes from there.

        Raises Failure (books) if there is none, or it stands elsewhere: so nothing is paid or given back twice.
        """
        suffix = (payout_id or "")[-26:]
        row = self._database.execute(
            "SELECT operation, remaining_minor, payer, payee, token_class_id FROM instruction WHERE suffix = ?",
            (suffix,),
        ).fetchone()
        if row is None or row[0] != wanted or payout_id != f"payout_{suffix}":
            raise Failure(ExitCode.BOOKS, f"The event relates to no {wanted}.")
        self._database.execute("UPDATE instruction SET operation = ? WHERE suffix = ?", (becomes, suffix))
        return Open(row[0], int(row[1]), *row[2:])

    def _related(self, event: Event, operation: str) -> tuple[str, Open]:
        suffix = (event.related or "")[-26:]
        row = self._database.execute(
            "SELECT operation, remaining_minor, payer, payee, token_class_id FROM instruction WHERE suffix = ?",
            (suffix,),
        ).fetchone()
        if row is None or row[0] != operation or event.related != f"{operation}_{suffix}":
            raise Failure(ExitCode.BOOKS, f"The event relates to no {operation} that was settled before it.")
        return suffix, Open(row[0], int(row[1]), *row[2:])
