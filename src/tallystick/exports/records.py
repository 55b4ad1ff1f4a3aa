"""What is asked for, what is made of it, and the refusals.

ExportPeriodInvalidError    422  the period ends before it begins, or has not ended yet
ExportScopeInvalidError     422  an evidence pack covers all token classes
ExportNotFoundError         404  no such export
ExportFileNotFoundError     404  no such file in it
ExportNotAllowedError       403  only the issuer's staff and its auditors may export
ExportsBusyError            503  enough exports are being made
ExportStorageError          503  the files can't be written

What goes with a format, and what doesn't, is refused in `arguments.py`.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from tallystick.core.clock import format_time, parse_time
from tallystick.core.errors import DeniedError, MalformedError, NotFoundError, UnavailableError
from tallystick.exports.options import NO_OPTIONS, ExportOptions
from tallystick.signing import KeyDirectory
from tallystick.transparency import TileStore, WitnessPolicy

__all__ = [
    "Evidence",
    "Export",
    "ExportArguments",
    "ExportFile",
    "ExportFileNotFoundError",
    "ExportFormat",
    "ExportNotAllowedError",
    "ExportNotFoundError",
    "ExportPeriodInvalidError",
    "ExportScopeInvalidError",
    "ExportStorageError",
    "ExportsBusyError",
    "FileFacts",
    "Pinned",
    "Proof",
    "Vouching",
]


class ExportPeriodInvalidError(MalformedError):
    """The period ends before it begins, or in the future."""

    code = "export_period_invalid"
    title = "The period ends before it begins, or has not ended yet"


class ExportScopeInvalidError(MalformedError):
    """An evidence pack replays the whole log, so it can't leave out a token class."""

    code = "export_scope_invalid"
    title = "An evidence pack covers all token classes"


class ExportNotFoundError(NotFoundError):
    """No such export, or another issuer's."""

    code = "export_not_found"
    title = "No such export"


class ExportFileNotFoundError(NotFoundError):
    """The export has no file of this name."""

    code = "export_file_not_found"
    title = "The export has no such file"


class ExportNotAllowedError(DeniedError):
    """Exports tell of the whole issuer, so only those who see all of it may have them."""

    code = "export_not_allowed"
    title = "Only the issuer's staff and its auditors may export"


class ExportsBusyError(UnavailableError):
    """As many exports are being made as may be at a time."""

    code = "exports_busy"
    title = "Other exports are being made"
    retry_after_seconds = 15


class ExportStorageError(UnavailableError):
    """The export's directory can't be written: it is full, or not the service's."""

    code = "export_storage_unavailable"
    title = "The export's files can't be written"
    retry_after_seconds = 60


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
    base64) that prove the pack's log to be its beginning. `manifest_jws` is kept because the key that made it may be
    gone when the files are made again; it is empty until the manifest is known. `root_manifests` are the signed
    documents, oldest first; `earlier_checkpoints` are by size, for keys that were revoked: what was cosigned by then.
    """

    export_key_id: str
    keys: list[dict[str, str | None]] = field(default_factory=list)
    checkpoint: str | None = None
    consistency: list[str] = field(default_factory=list)
    manifest_jws: str = ""
    root_manifests: list[str] = field(default_factory=list)
    earlier_checkpoints: dict[str, str] = field(default_factory=dict)


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
            Evidence(**kept["evidence"]) if "evidence" in kept else None,
            Proof(**kept["proof"]) if "proof" in kept else None,
        )


@dataclass(frozen=True, slots=True)
class Export:
    """An export that was made. `manifest` is the content of its `manifest.json`; see `manifest.build_manifest`."""

    issuer_id: str
    id: str
    pinned: Pinned
    manifest: dict[str, Any]
    requested_by: str
    created_at: datetime


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
