"""What an evidence pack tells beside the log: the versions of the bank's rules, and the runs that compared its books.

Neither follows from events alone. Rules are bound to their hash and to the votes that approved them; runs are what the
bank says of itself.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from tallystick import events, policy
from tallystick.core.clock import format_time
from tallystick.exports.reading import Scope
from tallystick.exports.records import Evidence, FileFacts, ReadRuns
from tallystick.exports.writers import JSON_LINES, NewFile
from tallystick.policy import Policy

__all__ = ["TOLD", "write_told"]

POLICIES: Final = "policies"
RECONCILIATIONS: Final = "reconciliations"
#: What a pack that is asked for today tells; it is kept with the pack, so that older ones are made again as they were.
TOLD: Final = (POLICIES, RECONCILIATIONS)
_PER_PAGE: Final = 200


def write_told(
    connection: Connection,
    scope: Scope,
    folder: Path,
    evidence: Evidence,
    read_runs: ReadRuns,
    until: datetime,
) -> list[FileFacts]:
    """Write the files that a pack was asked to tell; `until` is the moment that runs are told up to."""
    files = []
    if POLICIES in evidence.told:
        files.append(_write(folder, POLICIES, _policies(connection, scope)))
    if RECONCILIATIONS in evidence.told:
        files.append(_write(folder, RECONCILIATIONS, _runs(connection, scope, read_runs, until)))
    return files


def _write(folder: Path, name: str, rows: Iterator[dict[str, Any]]) -> FileFacts:
    with NewFile(folder, f"{name}.jsonl", JSON_LINES) as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS))
            file.rows += 1
        return file.finish()


def _policies(connection: Connection, scope: Scope) -> Iterator[dict[str, Any]]:
    """Yield every version that had been approved by the end of the log that is told, in the order of drafting."""
    if scope.last_index < 0:
        return
    until = events.event_by_index(connection, scope.issuer_id, scope.last_index).booked_at
    after = ""
    while page := policy.policies(connection, scope.issuer_id, after=after, limit=_PER_PAGE):
        after = page[-1].id
        yield from (
            _policy_row(one) for one in page if one.approved_at is not None and one.approved_at <= until
        )


def _policy_row(one: Policy) -> dict[str, Any]:
    # When a version was retired is the log's to tell: here it would change a file that is made again.
    assert one.approved_at is not None
    assert one.active_from is not None
    return {
        "id": one.id,
        "label": one.label,
        "token_class_id": one.token_class_id,
        "currency": one.currency,
        "scale": one.scale,
        "effective_from": format_time(one.effective_from),
        "approved_at": format_time(one.approved_at),
        "active_from": format_time(one.active_from),
        "approvals": [digest.hex() for digest in one.approval_hashes],
        "content_hash": one.content_hash.hex(),
        "document": one.document,
    }


def _runs(
    connection: Connection, scope: Scope, read_runs: ReadRuns, until: datetime
) -> Iterator[dict[str, Any]]:
    after = ""
    while page := read_runs(connection, scope.issuer_id, after, _PER_PAGE):
        after = page[-1]["id"]
        for one in page:
            attested_index = one.pop("attested_index")
            # What the log has is told, whatever the clock of another machine said of its moment.
            is_attested = attested_index is not None and attested_index <= scope.last_index
            in_time = one["event_index"] <= scope.last_index and one["created_at"] <= format_time(until)
            if is_attested or in_time:
                yield one
