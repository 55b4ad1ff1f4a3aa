"""The manifest: what an export covers, every file with its SHA-256, and totals to check the files against.

It tells nothing of when or for whom it was made, so that equal arguments have equal manifests, byte for byte.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import orjson

from tallystick.core.canonical_json import canonical_json
from tallystick.core.money import format_amount
from tallystick.exports.reading import Entry, Scope, Standing
from tallystick.exports.records import Export, FileFacts, Pinned
from tallystick.exports.written_by import writers_of
from tallystick.ledger import CHART, CLAIM_CODES
from tallystick.participants import Issuer, TokenClass

__all__ = [
    "MANIFEST_MEDIA_TYPE",
    "MANIFEST_NAME",
    "SIGNATURE_NAME",
    "CodeTotals",
    "ControlTotals",
    "Totals",
    "build_manifest",
    "files_of",
    "manifest_bytes",
    "manifest_facts",
]

MANIFEST_NAME: Final = "manifest.json"
SIGNATURE_NAME: Final = "manifest.jws"
# To be raised with any change to a file's bytes, or to what a column means.
_FORMAT_VERSION: Final = 1
# The evidence pack's own: which files there are and what binds them together (docs/evidence-pack.md).
_PACK_VERSION: Final = 1
#: What a manifest is signed as, so that its signature is never taken for an event's.
MANIFEST_MEDIA_TYPE: Final = "tallystick-manifest-v1+jws"


@dataclass(slots=True)
class CodeTotals:
    """One code of the chart in one class: balances in its normal sense, movements on their sides."""

    opening_minor: int = 0
    debits_minor: int = 0
    credits_minor: int = 0
    balance_minor: int = 0


class TrialBalanceCode(NamedTuple):
    """One row of the trial balance."""

    of_class: TokenClass
    code: str
    totals: CodeTotals


class ControlTotals(Protocol):
    """What an export's files can be checked against."""

    def control_totals(self) -> list[dict[str, Any]]: ...


class Totals:
    """The sums over everything that an export wrote, taken while it was written."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._codes: dict[tuple[str, str], CodeTotals] = {}
        self._entries: Counter[str] = Counter()
        self._lines: Counter[str] = Counter()

    def add_entry(self, entry: Entry) -> None:
        """Add an entry's lines."""
        for line in entry.lines:
            totals = self._code(line.currency, line.ledger_account_id.partition(".")[0])
            totals.debits_minor += line.debit_minor
            totals.credits_minor += line.credit_minor
            self._lines[line.currency] += 1
        self._entries.update({line.currency for line in entry.lines})

    def add_standing(self, standing: Standing) -> None:
        """Add a ledger account's balances."""
        totals = self._code(standing.account.currency, standing.account.code)
        totals.opening_minor += standing.opening_minor
        totals.balance_minor += standing.balance_minor

    def add_balance(
        self, currency: str, code: str, *, opening_minor: int = 0, closing_minor: int = 0
    ) -> None:
        """Add what an account of a code opened with, or closed at, in its normal sense."""
        totals = self._code(currency, code)
        totals.opening_minor += opening_minor
        totals.balance_minor += closing_minor

    def debits_minor(self, currency: str) -> int:
        """Return the sum of all debits in a currency, in minor units."""
        return sum(one.debits_minor for (of, _), one in self._codes.items() if of == currency)

    def trial_balance(self) -> Iterator[TrialBalanceCode]:
        """Yield what each code comes to, by currency and code; codes that nothing was ever posted to are left out."""
        for of_class in self._scope.classes:
            for code in CHART:
                totals = self._codes.get((of_class.currency, code))
                if totals is not None:
                    yield TrialBalanceCode(of_class, code, totals)

    def control_totals(self) -> list[dict[str, Any]]:
        """Return the totals of each class that anything was posted to; the one that was asked for in any case."""
        by_currency: dict[str, list[TrialBalanceCode]] = {}
        for row in self.trial_balance():
            by_currency.setdefault(row.of_class.currency, []).append(row)
        return [
            self._control(of_class, by_currency.get(of_class.currency, []))
            for of_class in self._scope.classes
            if of_class.currency in by_currency or not self._scope.whole_issuer
        ]

    def _code(self, currency: str, code: str) -> CodeTotals:
        return self._codes.setdefault((currency, code), CodeTotals())

    def _control(self, of_class: TokenClass, rows: Sequence[TrialBalanceCode]) -> dict[str, Any]:
        debits_minor = sum(row.totals.debits_minor for row in rows)
        credits_minor = sum(row.totals.credits_minor for row in rows)
        claims = [row.totals for row in rows if row.code in CLAIM_CODES]

        def amount(minor: int) -> str:
            return format_amount(minor, of_class.scale)

        return {
            "token_class_id": of_class.id,
            "currency": of_class.currency,
            "scale": of_class.scale,
            "entries": self._entries[of_class.currency],
            "lines": self._lines[of_class.currency],
            "debits": amount(debits_minor),
            "credits": amount(credits_minor),
            "opening_supply": amount(sum(one.opening_minor for one in claims)),
            "supply": amount(sum(one.balance_minor for one in claims)),
            "ties": debits_minor == credits_minor and all(_ties(row) for row in rows),
        }


def build_manifest(
    issuer: Issuer, pinned: Pinned, files: Iterable[FileFacts], totals: ControlTotals
) -> dict[str, Any]:
    """Return the manifest as JSON.

    `ties` in a control total is true when debits equal credits and each code's opening balance and movements lead to
    its closing balance: an export hands out books that do not tie as they are, and says so. An evidence pack's names
    its own version and the key that signs it. `written_by` names the libraries that the bytes depend on.
    """
    manifest = {
        "format_version": _FORMAT_VERSION,
        "issuer": {
            "issuer_id": issuer.issuer_id,
            "legal_name": issuer.legal_name,
            "lei": issuer.lei,
            "bic": issuer.bic,
            "jurisdiction": issuer.jurisdiction,
        },
        "arguments": pinned.asked(),
        "first_event_index": pinned.first_event_index,
        "last_event_index": pinned.last_event_index,
        # Of one holder's lines there are no debits and credits that could be equal.
        "control_totals": totals.control_totals() if pinned.arguments.options.holder_id is None else [],
        "files": [
            {
                "name": one.name,
                "media_type": one.media_type,
                "rows": one.rows,
                "bytes": one.size_bytes,
                "sha256": one.sha256,
            }
            for one in files
        ],
    }
    if written_by := writers_of(pinned.arguments.format):
        manifest["written_by"] = written_by
    if pinned.evidence is not None:
        manifest |= {
            "pack_version": _PACK_VERSION,
            "pack_kind": "issuer" if pinned.arguments.options.holder_id is None else "holder",
            "export_key_id": pinned.evidence.export_key_id,
        }
    return manifest


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """Return the bytes of `manifest.json`: names sorted, so that they don't depend on where it was kept.

    An evidence pack's is canonical JSON (RFC 8785), for those bytes are signed.
    """
    if "pack_version" in manifest:
        return canonical_json(manifest)
    return orjson.dumps(
        manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    )


def manifest_facts(manifest: dict[str, Any]) -> FileFacts:
    """Return the facts of `manifest.json`, which can't list itself."""
    content = manifest_bytes(manifest)
    return FileFacts(MANIFEST_NAME, "application/json", 1, len(content), hashlib.sha256(content).hexdigest())


def files_of(export: Export) -> dict[str, FileFacts]:
    """Return every file of an export by name, the manifest and its signature included.

    Raises ExportNotFinishedError.
    """
    files = [
        FileFacts(one["name"], one["media_type"], one["rows"], one["bytes"], one["sha256"])
        for one in export.manifest["files"]
    ]
    files.append(manifest_facts(export.manifest))
    if export.result is not None and export.result.manifest_jws is not None:
        signature = export.result.manifest_jws.encode("ascii")
        digest = hashlib.sha256(signature).hexdigest()
        files.append(FileFacts(SIGNATURE_NAME, "application/jose", 1, len(signature), digest))
    return {one.name: one for one in files}


def _ties(row: TrialBalanceCode) -> bool:
    totals = row.totals
    movement_minor = totals.debits_minor - totals.credits_minor
    if not CHART[row.code].debit_normal:
        movement_minor = -movement_minor
    return totals.opening_minor + movement_minor == totals.balance_minor
