"""A holder's own evidence pack: its leaves of the log, each proven to be in it, and what they come to in its accounts.

It tells of nobody else but those who were parties to the same payments, and of none of the bank's people. That no leaf
is left out it can't prove; `tallystick-verify` says so.
"""

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Connection

from tallystick import events, ledger, transparency
from tallystick.events import Event
from tallystick.exports.evidence import write_keys, write_text
from tallystick.exports.manifest import Totals
from tallystick.exports.reading import Entry, Scope, holder_accounts
from tallystick.exports.records import Evidence, ExportFormat, FileFacts, Vouching
from tallystick.exports.tables import COLUMNS, line_row, write_standing_tables
from tallystick.exports.writers import JSON_LINES, NewFile, json_lines_table
from tallystick.ledger import HOLDER_CODES, EntryLine, ledger_account_id

__all__ = ["write_holder_pack"]

_LEAVES_PER_PAGE: Final = 1_000


class _Leaf(NamedTuple):
    """An event that moved something in the holder's accounts, what it moved there, and its proof."""

    event: Event
    lines: list[EntryLine]
    proof: list[bytes]


def write_holder_pack(
    connection: Connection, scope: Scope, folder: Path, evidence: Evidence, vouching: Vouching
) -> tuple[list[FileFacts], Totals]:
    """Write the pack's files but for the manifest into `folder`, and return their facts.

    Memory grows with the number of the holder's accounts alone.
    """
    assert evidence.checkpoint is not None, "a holder's pack is pinned under a checkpoint"
    size = transparency.parse_checkpoint(evidence.checkpoint.rpartition("\n\n")[0] + "\n").size
    totals = Totals(scope)
    classes = {one.currency: one for one in scope.classes}
    spans: dict[str, tuple[int, int]] = {}
    with ExitStack() as stack:
        log, journal = (
            stack.enter_context(NewFile(folder, name, JSON_LINES))
            for name in ("events.jsonl", "journal.jsonl")
        )
        write_line = json_lines_table(journal, COLUMNS["journal"])
        for event, lines, proof in _leaves(connection, scope, vouching, size):
            row = {
                "index": event.event_index,
                "jws": event.jws,
                "proof": [base64.b64encode(one).decode("ascii") for one in proof],
            }
            log.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            log.rows += 1
            spans[event.key_id] = (spans.get(event.key_id, (event.event_index,))[0], event.event_index)
            for line in lines:
                of_class = classes[line.currency]
                write_line(line_row(Entry(event, lines), line, of_class.id, of_class.scale))
        files = [log.finish(), journal.finish()]
    files += write_standing_tables(connection, scope, folder, ExportFormat.JSONL, totals)
    files.append(write_keys(folder, evidence, spans))
    files.append(write_text(folder, "checkpoint.txt", evidence.checkpoint))
    return files, totals


def _leaves(connection: Connection, scope: Scope, vouching: Vouching, size: int) -> Iterator[_Leaf]:
    ids = [
        ledger_account_id(code, account.id)
        for of_class in scope.classes
        for account in holder_accounts(connection, scope, of_class)
        for code in HOLDER_CODES
    ]
    after_index = -1
    while True:
        indexes = ledger.touching_indexes(connection, scope.issuer_id, ids, after_index, _LEAVES_PER_PAGE)
        wanted = [index for index in indexes if index <= scope.last_index]
        if not wanted:
            return
        found = events.events_at(connection, scope.issuer_id, wanted)
        lines: dict[int, list[EntryLine]] = {}
        for line in ledger.lines_of_accounts(connection, scope.issuer_id, ids, wanted):
            lines.setdefault(line.event_index, []).append(line)
        proofs = transparency.inclusions(connection, vouching.tiles, scope.issuer_id, wanted, size)
        for event, proof in zip(sorted(found, key=lambda one: one.event_index), proofs, strict=True):
            yield _Leaf(event, lines[event.event_index], proof)
        after_index = wanted[-1]
