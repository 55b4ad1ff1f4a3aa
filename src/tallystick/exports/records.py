"""What is asked for, what is made of it, and the refusals.

An export is asked for, and made later: pending → running → finished, or failed, or cancelled. A worker that is stopped
or dies leaves it to the next one, from the beginning: of what is not finished nothing is ever to be had.

ExportPeriodInvalidError    422  the period ends before it begins, or has not ended yet
ExportScopeInvalidError     422  an evidence pack covers all token classes; a holder is given nothing else
ExportNotFoundError         404  no such export
ExportFileNotFoundError     404  no such file in it
ExportNotAllowedError       403  holders and platforms may have packs of their own only
ExportNotFinishedError      409  it has no manifest and no files (yet)
ExportClosedError           409  it has ended and can't be cancelled
ExportKeyChangedError       409  the key that it was to be signed with is active no more
ExportsBusyError            503  enough exports wait or are being made
ExportStorageError          503  the files can't be written

What goes with a format, and what doesn't, is refused in `arguments.py`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from tallystick.core.clock import Clock, format_time, parse_time
from tallystick.core.database import Database
from tallystick.core.errors import (
    ConflictError,
    DeniedError,
    MalformedError,
    NotFoundError,
    UnavailableError,
)
from tallystick.exports.options import NO_OPTIONS, ExportOptions
from tallystick.signing import KeyDirectory
from tallystick.tokens import Settler
from tallystick.transparency import TileStore, WitnessPolicy

__all__ = [
    "OPEN_STATES",
    "Evidence",
    "Export",
    "ExportArguments",
    "ExportClosedError",
    "ExportFailure",
    "ExportFile",
    "ExportFileNotFoundError",
    "ExportFormat",
    "ExportKeyChangedError",
    "ExportNotAllowedError",
    "ExportNotFinishedError",
    "ExportNotFoundError",
    "ExportPeriodInvalidError",
    "ExportProgress",
    "ExportResult",
    "ExportScopeInvalidError",
    "ExportState",
    "ExportStorageError",
    "ExportsBusyError",
    "FileFacts",
    "Pinned",
    "Proof",
    "ReadRuns",
    "Vouching",
    "Workshop",
]


class ExportPeriodInvalidError(MalformedError):
    """The period ends before it begins, or in the future."""

    code = "export_period_invalid"
    title = "The period ends before it begins, or has not ended yet"


class ExportScopeInvalidError(MalformedError):
    """An evidence pack covers all token classes, and what is made for one holder is an evidence pack."""

    code = "export_scope_invalid"
    title = "An evidence pack covers all token classes, and an export for one holder is an evidence pack"


class ExportNotFoundError(NotFoundError):
    """No such export, or another issuer's."""

    code = "export_not_found"
    title = "No such export"


class ExportFileNotFoundError(NotFoundError):
    """The export has no file of this name."""

    code = "export_file_not_found"
    title = "The export has no such file"


class ExportNotAllowedError(DeniedError):
    """What tells of the whole issuer is for those who see all of it; others name the holder that they act for."""

    code = "export_not_allowed"
    title = "Holders and platforms may export what is theirs only: name the holder"


class ExportNotFinishedError(ConflictError):
    """It is not made yet, or never will be: there is no manifest and no file."""

    code = "export_not_finished"
    title = "The export is not finished"


class ExportClosedError(ConflictError):
    """It is finished, or has failed: there is nothing left to cancel."""

    code = "export_closed"
    title = "The export has ended"


class ExportKeyChangedError(ConflictError):
    """Between asking and making, the signing key was changed: the pack would tell of keys as they no longer are."""

    code = "export_key_changed"
    title = "The signing key was changed meanwhile: ask for the export again"


class ExportsBusyError(UnavailableError):
    """As many exports wait, or are being made, as may at a time."""

    code = "exports_busy"
    title = "Other exports are being made"
    retry_after_seconds = 15


class ExportStorageError(UnavailableError):
    """The export's directory can't be written: it is full, or not the service's."""

    code = "export_storage_unavailable"
    title = "The export's files can't be written"
    retry_after_seconds = 60


class ExportState(StrEnum):
    """Where an export stands."""

    PENDING = "pending"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: An export in these is still to be made.
OPEN_STATES: Final = (ExportState.PENDING, ExportState.RUNNING)


class ExportFormat(StrEnum):
    """How the files are written: tables for machines and spreadsheets, journals for plain-text accounting.

    `pdf` and `camt053` are one account's statement, `gl_csv` and `gl_jsonl` one day's hand-off to a general ledger.
    `evidence` is the pack that auditors verify offline: tables, events, approvals and keys under a signed manifest.
    """

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"
    PDF = "pdf"
    CAMT053 = "camt053"
    GL_CSV = "gl_csv"
    GL_JSONL = "gl_jsonl"
    HLEDGER = "hledger"
    BEANCOUNT = "beancount"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class ExportArguments:
    """What is asked for: events booked behind `booked_after` and up to `booked_until`, both in UTC.

    Without a beginning the period begins with the log; without an end it ends with what is committed now. One
    period's end is the next one's beginning, and both are moments to ask balances as of. `options` are those that only
    some formats take.
    """

    format: ExportFormat
    booked_after: datetime | None = None
    booked_until: datetime | None = None
    token_class_id: str | None = None
    options: ExportOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class Proof:
    """The first checkpoint of the log that covers an account's statement: where its last event can be looked up."""

    origin: str
    size: int
    root_hash: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an evidence pack tells that the log does not: the keys as they were known, and who vouches for it.

    `keys` are the rows of `keys.jsonl` without indexes; `checkpoint` is a signed note, and `consistency` the hashes (in
    base64) that prove the pack's log to be its beginning. `root_manifests` are the signed documents, oldest first;
    `earlier_checkpoints` are by size, for keys that were revoked: what was cosigned by then. `told` names the tables
    beside the log (`told.py`).
    """

    export_key_id: str
    keys: list[dict[str, str | None]] = field(default_factory=list)
    checkpoint: str | None = None
    consistency: list[str] = field(default_factory=list)
    root_manifests: list[str] = field(default_factory=list)
    earlier_checkpoints: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Evidence":
        """Return what was kept; older rows hold the manifest's signature too, which is the result's now."""
        return cls(**{name: value for name, value in kept.items() if name != "manifest_jws"})


class Vouching(NamedTuple):
    """What an evidence pack is vouched for with: the keys that sign, where tiles lie, and whose cosignatures count."""

    key_directory: KeyDirectory
    tiles: TileStore
    witnesses: WitnessPolicy


@dataclass(frozen=True, slots=True)
class Pinned:
    """Arguments with the part of the log they stand for, which is what makes an export repeatable.

    The first event index is the one behind the last when nothing was booked in the period.
    """

    arguments: ExportArguments
    first_event_index: int
    last_event_index: int
    evidence: Evidence | None = None
    proof: Proof | None = None

    def asked(self) -> dict[str, str | int | None]:
        """Return what was asked for as JSON, under the names that the API uses."""
        asked = self.arguments
        return {
            "format": asked.format.value,
            "from": None if asked.booked_after is None else format_time(asked.booked_after),
            "to": None if asked.booked_until is None else format_time(asked.booked_until),
            "token_class_id": asked.token_class_id,
            **asked.options.as_json(),
        }

    def as_json(self) -> dict[str, Any]:
        """Return everything as it is kept."""
        kept: dict[str, Any] = {
            **self.asked(),
            "first_event_index": self.first_event_index,
            "last_event_index": self.last_event_index,
        }
        beside = {"evidence": self.evidence, "proof": self.proof}
        return kept | {name: asdict(one) for name, one in beside.items() if one is not None}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Pinned":
        """Return what `as_json` kept."""
        after, until = kept["from"], kept["to"]
        return cls(
            ExportArguments(
                ExportFormat(kept["format"]),
                None if after is None else parse_time(after),
                None if until is None else parse_time(until),
                kept["token_class_id"],
                ExportOptions.from_json(kept),
            ),
            kept["first_event_index"],
            kept["last_event_index"],
            Evidence.from_json(kept["evidence"]) if "evidence" in kept else None,
            Proof(**kept["proof"]) if "proof" in kept else None,
        )


#: Returns a page of an issuer's reconciliations behind an id, as JSON objects with `id`, `event_index`, `created_at`,
#: and `attested_index`, which is not told.
ReadRuns = Callable[[Connection, str, str, int], list[dict[str, Any]]]


def _no_runs(_connection: Connection, _issuer_id: str, _after: str, _limit: int) -> list[dict[str, Any]]:
    return []


class Workshop(NamedTuple):
    """What exports are made with; their folders lie in `directory`.

    Reconciliations are another room's, and packs tell of them: `read_runs` reads them.
    """

    database: Database
    clock: Clock
    settler: Settler
    vouching: Vouching
    directory: Path
    read_runs: ReadRuns = _no_runs


class ExportProgress(NamedTuple):
    """How far it is: rows written, about how many there will be (None: not known yet), and the file that grows."""

    rows_written: int = 0
    rows_to_write: int | None = None
    current_file: str | None = None


_NOTHING_YET: Final = ExportProgress()


class ExportResult(NamedTuple):
    """What was made. `manifest` is the content of `manifest.json` (`manifest.build_manifest`).

    A pack's signature is kept because the key that made it may be gone when its files are made again; `event_index`
    is where the log has the pack.
    """

    manifest: dict[str, Any]
    manifest_jws: str | None = None
    event_index: int | None = None


class ExportFailure(NamedTuple):
    """Why nothing was made: a stable code and a sentence for people; for a cancelled one who cancelled says why."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Export:
    """An export, and what has become of it."""

    issuer_id: str
    id: str
    pinned: Pinned
    requested_by: str
    created_at: datetime
    state: ExportState = ExportState.PENDING
    progress: ExportProgress = _NOTHING_YET
    started_at: datetime | None = None
    ended_at: datetime | None = None
    result: ExportResult | None = None
    failure: ExportFailure | None = None

    @property
    def manifest(self) -> dict[str, Any]:
        """The content of `manifest.json`; raises ExportNotFinishedError while there is none."""
        if self.result is None:
            raise ExportNotFinishedError(f"The export is {self.state}.", state=self.state.value)
        return self.result.manifest


class FileFacts(NamedTuple):
    """A finished file. `rows` are data rows, or entries of a plain-text journal; `sha256` is in hexadecimal."""

    name: str
    media_type: str
    rows: int
    size_bytes: int
    sha256: str


class ExportFile(NamedTuple):
    """Where a file lies whose bytes have just been checked, and its facts."""

    path: Path
    facts: FileFacts
