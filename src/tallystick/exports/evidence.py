"""The evidence pack: everything an auditor needs to replay the log offline (docs/evidence-pack.md tells the format).

Whatever the period, the log and the journal are told from the beginning, since balances are only proven by a replay.
Nothing here decides anything: `tallystick_verify`, which shares no code with this room, is what checks it.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from tallystick import approvals, signing, tokens, transparency
from tallystick.approvals import Approval, Vote
from tallystick.core.clock import format_time
from tallystick.core.ids import with_prefix
from tallystick.exports.manifest import Totals
from tallystick.exports.reading import Entry, Scope, entries
from tallystick.exports.records import Evidence, ExportFormat, FileFacts, Pinned, ReadRuns, Vouching
from tallystick.exports.tables import COLUMNS, line_row, write_standing_tables
from tallystick.exports.told import TOLD, write_told
from tallystick.exports.writers import JSON_LINES, NewFile, json_lines_table
from tallystick.signing import SigningKey
from tallystick.transparency import CheckpointNotFoundError, WitnessPolicy

__all__ = ["pinned_evidence", "write_evidence", "write_keys", "write_text"]

_ENTRIES_PER_PAGE: Final = 1_000
# As the JWK Set publishes them; the reason of a revocation is free text and stays out.
_KEY_COLUMNS: Final = (
    "kid",
    "kty",
    "crv",
    "x",
    "alg",
    "key_use",
    "state",
    "activated_at",
    "retired_at",
    "revoked_at",
    "compromised_at",
)


def pinned_evidence(
    connection: Connection, issuer_id: str, pinned: Pinned, export_key_id: str, vouching: Vouching
) -> Pinned:
    """Return what is pinned with what is known now beside the log: every key's state, and the checkpoint.

    It is kept with the export, so that its files can be made again although a key is revoked meanwhile; a new export of
    the same arguments tells of the revocation. A pack whose end was not asked for ends with the checkpoint, a second
    or so ago: what nobody vouches for yet is for the next one.
    """
    told = list(TOLD) if pinned.arguments.options.holder_id is None else []
    known = [key for key in signing.list_keys(connection, issuer_id) if key.activated_at is not None]
    keys = [_key_row(key) for key in known]
    roots = [one.document for one in signing.list_manifests(connection, issuer_id)]
    try:
        note = transparency.published_checkpoint(connection, issuer_id, vouching.witnesses)
    except CheckpointNotFoundError:
        if pinned.arguments.options.holder_id is not None:
            # Some leaves of a log prove nothing but by a root that contains them.
            raise
        return replace(pinned, evidence=Evidence(export_key_id, keys, root_manifests=roots, told=told))
    size = transparency.parse_checkpoint(note.rpartition("\n\n")[0] + "\n").size
    first_index, last_index = pinned.first_event_index, pinned.last_event_index
    if pinned.arguments.booked_until is None or pinned.arguments.options.holder_id is not None:
        last_index = min(last_index, size - 1)
        first_index = min(first_index, last_index + 1)
    proof: Sequence[bytes] = ()
    if 0 < last_index + 1 < size and pinned.arguments.options.holder_id is None:
        proof = transparency.consistency(connection, vouching.tiles, issuer_id, last_index + 1, size).hashes
    hashes = [base64.b64encode(one).decode("ascii") for one in proof]
    return replace(
        pinned,
        first_event_index=first_index,
        last_event_index=last_index,
        evidence=Evidence(
            export_key_id,
            keys,
            note,
            hashes,
            root_manifests=roots,
            earlier_checkpoints=_seen_before_revocations(
                connection, issuer_id, known, last_index + 1, vouching.witnesses
            ),
            told=told,
        ),
    )


def write_evidence(
    connection: Connection,
    scope: Scope,
    folder: Path,
    evidence: Evidence,
    read_runs: ReadRuns,
    until: datetime,
) -> tuple[list[FileFacts], Totals]:
    """Write the pack's files but for the manifest into `folder`, in constant memory, and return their facts.

    Reconciliations are told that were made by the moment `until`.
    """
    totals = Totals(scope)
    files, spans = _write_log(connection, scope, folder, totals)
    files += write_standing_tables(connection, scope, folder, ExportFormat.JSONL, totals)
    files.append(_write_idempotency(connection, scope, folder))
    files.append(write_keys(folder, evidence, spans))
    files += write_told(connection, scope, folder, evidence, read_runs, until)
    if evidence.root_manifests:
        files.append(_write_root_manifests(folder, evidence.root_manifests))
    for size, note in sorted(evidence.earlier_checkpoints.items()):
        files.append(write_text(folder, f"checkpoint_{size}.txt", note))
    if evidence.checkpoint is not None:
        files.append(write_text(folder, "checkpoint.txt", evidence.checkpoint))
        if evidence.consistency:
            files.append(
                write_text(folder, "consistency.txt", "".join(f"{one}\n" for one in evidence.consistency))
            )
    return files, totals


def _seen_before_revocations(
    connection: Connection, issuer_id: str, keys: Sequence[SigningKey], size: int, witnesses: WitnessPolicy
) -> dict[str, str]:
    """Return, by size, the newest checkpoint that witnesses had cosigned before each key was revoked."""
    found = {}
    for key in keys:
        if key.revoked_index is not None:
            size_max = min(key.revoked_index, size)
            note = transparency.witnessed_checkpoint(connection, issuer_id, witnesses, size_max)
            if note is not None:
                found[str(transparency.parse_checkpoint(note.rpartition("\n\n")[0] + "\n").size)] = note
    return found


def write_text(folder: Path, name: str, text: str) -> FileFacts:
    """Write a file of lines."""
    with NewFile(folder, name, "text/plain") as file:
        file.write(text.encode())
        file.rows = text.count("\n")
        return file.finish()


def _write_log(
    connection: Connection, scope: Scope, folder: Path, totals: Totals
) -> tuple[list[FileFacts], dict[str, tuple[int, int]]]:
    """Write log, journal and approvals side by side; return the files and each key's first and last index."""
    classes = {one.currency: one for one in scope.classes}
    spans: dict[str, tuple[int, int]] = {}
    with ExitStack() as stack:
        log, journal, people = (
            stack.enter_context(NewFile(folder, name, JSON_LINES))
            for name in ("events.jsonl", "journal.jsonl", "approvals.jsonl")
        )
        write_line = json_lines_table(journal, COLUMNS["journal"])
        for page in _pages(entries(connection, replace(scope, first_index=0))):
            for entry in page:
                event = entry.event
                _write_row(log, {"index": event.event_index, "jws": event.jws})
                spans[event.key_id] = (spans.get(event.key_id, (event.event_index,))[0], event.event_index)
                for line in entry.lines:
                    of_class = classes[line.currency]
                    write_line(line_row(entry, line, of_class.id, of_class.scale))
                if event.event_index >= scope.first_index:
                    totals.add_entry(entry)
            for row in _approvals(connection, scope, page):
                _write_row(people, row)
        return [log.finish(), journal.finish(), people.finish()], spans


def _pages(log: Iterator[Entry]) -> Iterator[list[Entry]]:
    while page := list(islice(log, _ENTRIES_PER_PAGE)):
        yield page


def _approvals(connection: Connection, scope: Scope, page: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Yield who let these events through, in the order of the log; what was decided never changes."""
    # The votes are events of their own, about the approval; it is told where the event stands that it let through.
    ids = [
        with_prefix("approval", entry.event.subject_id)
        for entry in page
        if not entry.event.type.startswith("approval.")
    ]
    found = {one.id: one for one in approvals.approvals_by_id(connection, scope.issuer_id, ids)}
    cast = approvals.votes(connection, scope.issuer_id, found)
    for approval_id in ids:
        if approval_id in found:
            yield _approval_row(found[approval_id], cast.get(approval_id, []))


def _approval_row(approval: Approval, votes: Sequence[Vote]) -> dict[str, Any]:
    # Reasons are free text that no hash binds: they stay in the house.
    return {
        "id": approval.id,
        "issuer_id": approval.issuer_id,
        "operation": approval.operation,
        "subject_id": approval.subject_id,
        "request_hash": approval.request_hash.hex(),
        "amount": approval.amount,
        "currency": None if approval.amount is None else approval.currency,
        "maker": approval.maker_person,
        "maker_principal_id": approval.maker_principal_id,
        "quorum": approval.quorum,
        "created_at": format_time(approval.created_at),
        "expires_at": format_time(approval.expires_at),
        "votes": [
            {
                "person": vote.person,
                "principal_id": vote.principal_id,
                "decision": vote.decision,
                "decided_at": format_time(vote.decided_at),
                "hash": vote.hash.hex(),
            }
            for vote in votes
        ],
    }


def _write_idempotency(connection: Connection, scope: Scope, folder: Path) -> FileFacts:
    with NewFile(folder, "idempotency.jsonl", JSON_LINES) as file:
        for digest, event_index in tokens.settled_keys(connection, scope.issuer_id, scope.last_index):
            _write_row(file, {"key_digest": digest.hex(), "event_index": event_index})
        return file.finish()


def write_keys(folder: Path, evidence: Evidence, spans: dict[str, tuple[int, int]]) -> FileFacts:
    """Write `keys.jsonl`: every key as it was pinned, with the first and last index that it signed of what is told."""
    with NewFile(folder, "keys.jsonl", JSON_LINES) as file:
        # Where the rows were kept they lost the order of their members.
        write_row = json_lines_table(file, (*_KEY_COLUMNS, "from_index", "until_index"))
        for key in evidence.keys:
            first_index, last_index = spans.get(key["kid"] or "", (None, None))
            until_index = None if key["state"] == "active" else last_index
            write_row((*(key[name] for name in _KEY_COLUMNS), first_index, until_index))
        return file.finish()


def _write_root_manifests(folder: Path, documents: Sequence[str]) -> FileFacts:
    with NewFile(folder, "root_manifests.jsonl", JSON_LINES) as file:
        for document in documents:
            file.write(document.encode() + b"\n")
            file.rows += 1
        return file.finish()


def _key_row(key: SigningKey) -> dict[str, str | None]:
    jwk = key.jwk()
    return {name: jwk.get(name) for name in _KEY_COLUMNS}


def _write_row(file: NewFile, row: dict[str, Any]) -> None:
    file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    file.rows += 1
