"""The manifest: what the pack says it holds, and its signature."""

import re
from typing import Any, Final, NamedTuple

from tallystick_verify.canonical import JsonRefusedError, parse_canonical
from tallystick_verify.failures import ExitCode, Failure, PackFailure
from tallystick_verify.jws import MANIFEST_TYPE, Token, read_token

__all__ = [
    "HOLDER_FILES",
    "HOLDER_TABLES",
    "ISSUER_FILES",
    "MANIFEST_NAME",
    "ROOT_MANIFESTS_NAME",
    "SIGNATURE_NAME",
    "FileFacts",
    "Manifest",
    "read_manifest",
    "read_signature",
]

MANIFEST_NAME: Final = "manifest.json"
SIGNATURE_NAME: Final = "manifest.jws"
ISSUER_FILES: Final = frozenset(
    {
        "accounts.jsonl",
        "approvals.jsonl",
        "balances.jsonl",
        "events.jsonl",
        "idempotency.jsonl",
        "journal.jsonl",
        "keys.jsonl",
        "liabilities.jsonl",
        "trial_balance.jsonl",
    }
)
HOLDER_FILES: Final = frozenset({"checkpoint.txt", "events.jsonl", "keys.jsonl"})
#: What a holder's leaves come to in its accounts: all of these, or none.
HOLDER_TABLES: Final = frozenset({"accounts.jsonl", "balances.jsonl", "journal.jsonl", "liabilities.jsonl"})
ROOT_MANIFESTS_NAME: Final = "root_manifests.jsonl"
_OPTIONAL_FILES: Final = frozenset({"checkpoint.txt", "consistency.txt", ROOT_MANIFESTS_NAME})
#: Told beside the log in packs of the whole issuer; older ones have neither.
_TOLD_FILES: Final = frozenset({"policies.jsonl", "reconciliations.jsonl"})
_EARLIER: Final = re.compile(r"checkpoints?[/_]([1-9][0-9]{0,15})\.txt", re.ASCII)
_VERSIONS: Final = (1, 1)
_MEMBERS: Final = frozenset(
    {
        "arguments",
        "control_totals",
        "export_key_id",
        "files",
        "first_event_index",
        "format_version",
        "issuer",
        "last_event_index",
        "pack_kind",
        "pack_version",
    }
)
_FILE_MEMBERS: Final = frozenset({"bytes", "media_type", "name", "rows", "sha256"})


class FileFacts(NamedTuple):
    """What the manifest says of a file."""

    rows: int
    size_bytes: int
    sha256: str


class Manifest(NamedTuple):
    """What the pack says it holds. The log is told from index 0 to `last_index`, whatever period was asked for."""

    octets: bytes
    kind: str
    issuer_id: str
    issuer: dict[str, Any]
    export_key_id: str
    first_index: int
    last_index: int
    holder_id: str | None
    control_totals: Any
    files: dict[str, FileFacts]

    @property
    def tree_size(self) -> int:
        """How many events the log has at the end of the period."""
        return self.last_index + 1

    @property
    def earlier_checkpoints(self) -> dict[str, int]:
        """The older checkpoints that the bank put in: each one's size by its name."""
        found = {name: _EARLIER.fullmatch(name) for name in sorted(self.files)}
        return {name: int(match[1]) for name, match in found.items() if match is not None}


def read_manifest(octets: bytes) -> Manifest:
    """Read `manifest.json`. Raises PackFailure, and Failure (unsupported) for another version or unknown files."""
    try:
        found = parse_canonical(octets)
    except JsonRefusedError as error:
        raise PackFailure(f"The manifest is malformed: {error}.", place=MANIFEST_NAME) from None
    if not isinstance(found, dict):
        raise PackFailure("The manifest is no JSON object.", place=MANIFEST_NAME)
    versions = (found.get("format_version"), found.get("pack_version"))
    # True is 1 to Python, and to nobody else.
    if versions != _VERSIONS or not all(type(one) is int for one in versions):
        raise Failure(
            ExitCode.UNSUPPORTED, "The pack is of a version that is not known here.", place=MANIFEST_NAME
        )
    if found.keys() != _MEMBERS or found["pack_kind"] not in ("issuer", "holder"):
        raise Failure(
            ExitCode.UNSUPPORTED, "The manifest has other members than expected.", place=MANIFEST_NAME
        )
    issuer, first_index, last_index = found["issuer"], found["first_event_index"], found["last_event_index"]
    if not isinstance(issuer, dict) or not isinstance(issuer.get("issuer_id"), str):
        raise PackFailure("The manifest names no issuer.", place=MANIFEST_NAME)
    if type(first_index) is not int or type(last_index) is not int or not 0 <= first_index <= last_index + 1:
        raise PackFailure("The manifest's range of the log is none.", place=MANIFEST_NAME)
    if not isinstance(found["arguments"], dict) or not isinstance(found["export_key_id"], str):
        raise PackFailure("The manifest tells no arguments, or no key.", place=MANIFEST_NAME)
    files = _files(found["files"])
    _check_names(set(files), found["pack_kind"])
    return Manifest(
        octets,
        found["pack_kind"],
        issuer["issuer_id"],
        issuer,
        found["export_key_id"],
        first_index,
        last_index,
        _holder_id(found["arguments"]),
        found["control_totals"],
        files,
    )


def read_signature(octets: bytes, manifest: Manifest) -> Token:
    """Take `manifest.jws` apart: it must be over the very bytes of `manifest.json`. Raises Failure (signature)."""
    token = read_token(octets, MANIFEST_TYPE)
    if token.payload != manifest.octets or token.kid != manifest.export_key_id:
        raise Failure(ExitCode.SIGNATURE, "What was signed is another manifest.", place=SIGNATURE_NAME)
    return token


def _holder_id(arguments: dict[str, Any]) -> str | None:
    found = arguments.get("holder_id")
    return found if isinstance(found, str) else None


def _files(found: Any) -> dict[str, FileFacts]:
    if not isinstance(found, list):
        raise PackFailure("The manifest lists no files.", place=MANIFEST_NAME)
    files: dict[str, FileFacts] = {}
    for one in found:
        if not isinstance(one, dict) or one.keys() != _FILE_MEMBERS or not isinstance(one["name"], str):
            raise PackFailure("The manifest's list of files is malformed.", place=MANIFEST_NAME)
        if one["name"] in files:
            raise PackFailure("The manifest's list of files is malformed.", place=MANIFEST_NAME)
        files[one["name"]] = FileFacts(one["rows"], one["bytes"], one["sha256"])
    return files


def _check_names(names: set[str], kind: str) -> None:
    required = ISSUER_FILES if kind == "issuer" else HOLDER_FILES
    if kind == "holder" and not names.isdisjoint(HOLDER_TABLES):
        required |= HOLDER_TABLES
    if missing := sorted(required - names):
        raise PackFailure(f"The manifest does not list {', '.join(missing)}.", place=MANIFEST_NAME)
    optional = _OPTIONAL_FILES | (_TOLD_FILES if kind == "issuer" else frozenset())
    extra = {name for name in names - required - optional if not _EARLIER.fullmatch(name)}
    if extra:
        raise Failure(
            ExitCode.UNSUPPORTED,
            f"The manifest lists files that are not known here: {', '.join(sorted(extra))}.",
            place=MANIFEST_NAME,
        )
