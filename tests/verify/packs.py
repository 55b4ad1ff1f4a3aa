"""Packs for the tests: one of a bank that did something of every kind, and what the strongest insider makes of it.

The insider holds the issuer's signing key: every file, hash and signature can be made anew, save for what others hold.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick import signing
from tallystick.core.base64url import base64url
from tallystick.core.canonical_json import canonical_json
from tallystick.exports import ExportArguments, ExportFormat, create_export
from tallystick.signing import SoftwareSigner
from tallystick.tokens import Kind
from tallystick_verify import Options, Policy, Report, verify_pack
from tallystick_verify.ed25519 import PublicKey
from tallystick_verify.policy_file import Pin, RootRule
from tests.bank import Bank
from tests.exports.exported import workshop

__all__ = ["Evidence", "Insider", "export_evidence", "live", "no_progress", "payload_of", "verified"]

MANIFEST_TYPE: Final = "tallystick-manifest-v1+jws"
WITHOUT_CHECKPOINT: Final = Options(allow_no_checkpoint=True)


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


def live(bank: Bank) -> None:
    """Do something of every kind, in two currencies, over two days."""
    bank.mint("HARBOUR-USD", "1000.00")
    transfer = bank.transfer("HARBOUR-USD", "LANTERN-USD", "400.00")
    bank.reverse(transfer, "100.00")
    bank.mint("NORTHWIND-EUR", "250.50")
    bank.clock.at += timedelta(days=1)
    hold = bank.hold("LANTERN-USD", "SILKROAD-USD", "50.00")
    bank.execute_hold(hold, "20.00")
    bank.void_hold(hold)
    bank.redeem("HARBOUR-USD", "5.00")
    bank.release_deposit("HARBOUR-USD", "5.00")
    bank.freeze("NORTHWIND-EUR")
    bank.unfreeze("NORTHWIND-EUR")
    asked = bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        amount="7.00",
        currency="USD",
        payee_account_id=bank.account_id("LANTERN-USD"),
        reason="Seen on the core",
    )
    bank.approve(asked.resource_id, "7.00", "USD")
    bank.close_account("SILKROAD-EUR")
    bank.freeze("SILKROAD-USD")
    court = bank.place_order("LANTERN-USD", "500.00")
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "10.00")
    bank.top_up_order(court)
    bank.seize(court, "15.00")
    bank.lift_order(court)
    bank.lift_order(bank.place_order("SILKROAD-USD", "40.00"))
    # There is nothing to take here, nor to give back.
    bank.lift_order(bank.place_order("NORTHWIND-USD", "1.00"))
    bank.clock.at += timedelta(days=1)


def export_evidence(bank: Bank, directory: Path, **period: Any) -> Path:
    """Export a pack as the bank's auditor; return its folder."""
    arguments = ExportArguments(ExportFormat.EVIDENCE, **period)
    made = create_export(workshop(bank, directory), bank.auditor, arguments)
    return directory / made.id


def fresh_signer() -> SoftwareSigner:
    """Return the signer of a key that nobody knows."""
    return SoftwareSigner(Ed25519PrivateKey.generate().private_bytes_raw())


@dataclass(frozen=True, slots=True)
class Evidence:
    """A pack as files in memory, the policy of an auditor who pinned the bank's root or its keys, and the bank.

    `pinned` is the policy of one who pinned the keys in any case.
    """

    bank: Bank
    files: dict[str, bytes]
    policy: Policy
    signer: SoftwareSigner
    pinned: Policy

    @classmethod
    def of(cls, bank: Bank, folder: Path) -> "Evidence":
        """Read a folder; pin the root, or every key of a bank that has none."""
        with bank.database.read() as connection:
            keys = signing.list_keys(connection, bank.issuer_id, use=signing.KeyUse.EVENT)
        active = next(key for key in keys if key.state == "active")
        pins = tuple(Pin(PublicKey(key.public_key), 0, None) for key in keys if key.activated_at is not None)
        root = RootRule(tuple(PublicKey(one) for one in _root_keys(bank)))
        return cls(
            bank,
            {path.name: path.read_bytes() for path in folder.iterdir()},
            Policy(bank.issuer_id, () if root.keys else pins, root=root if root.keys else None),
            bank.key_directory.signer(bank.issuer_id, active.id),
            Policy(bank.issuer_id, pins),
        )

    def insider(self) -> "Insider":
        """Return somebody who holds the signing key, with a copy of the files."""
        return Insider(dict(self.files), self.signer)


@dataclass(slots=True)
class Insider:
    """Changes files, and signs anew whatever a signature is on."""

    files: dict[str, bytes]
    signer: SoftwareSigner
    other: SoftwareSigner = field(default_factory=fresh_signer)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return a file's rows."""
        return [json.loads(line) for line in self.files[name].splitlines()]

    def write(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write a file's rows as the service does."""
        self.files[name] = b"".join(
            json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for row in rows
        )

    def edit(self, name: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
        """Change a file's rows, and make the manifest right again."""
        rows = self.rows(name)
        change(rows)
        self.write(name, rows)
        self.seal()

    def payloads(self) -> list[dict[str, Any]]:
        """Return what was signed, event by event."""
        return [payload_of(row["jws"]) for row in self.rows("events.jsonl")]

    def index_of(self, event_type: str, number: int = 0) -> int:
        """Return the index of an event of a type: the first, unless `number` counts on."""
        return int([one["index"] for one in self.payloads() if one["type"] == event_type][number])

    def resign(self, index: int, change: Callable[[dict[str, Any]], object], *, other: bool = False) -> None:
        """Change what an event says, sign it anew, and make the manifest right again."""
        payload = self.payloads()[index]
        change(payload)
        self.put(index, canonical_json(payload), other=other)

    def put(self, index: int, payload: bytes, *, other: bool = False, typ: str = "") -> None:
        """Sign any bytes in an event's place, and make the manifest right again."""
        jws = signing.sign_compact(
            self.other if other else self.signer, payload, media_type=typ or signing.EVENT_MEDIA_TYPE
        )

        def exchange(rows: list[dict[str, Any]]) -> None:
            rows[index]["jws"] = jws

        self.edit("events.jsonl", exchange)

    def seal(self, change: Callable[[dict[str, Any]], object] | None = None) -> None:
        """Make manifest and signature right for the files as they are now; `change` comes before signing."""
        manifest = json.loads(self.files["manifest.json"])
        listed = {one["name"]: one for one in manifest["files"]}
        for name in sorted(self.files.keys() - {"manifest.json", "manifest.jws"}):
            if name not in listed:
                listed[name] = {"name": name, "media_type": "text/plain"}
                manifest["files"].append(listed[name])
            content = self.files[name]
            listed[name] |= {
                "rows": content.count(b"\n"),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        if change is not None:
            change(manifest)
        self.files["manifest.json"] = canonical_json(manifest)
        self.sign_manifest(self.signer)

    def sign_manifest(self, signer: SoftwareSigner) -> None:
        """Sign the manifest as it stands."""
        jws = signing.sign_compact(signer, self.files["manifest.json"], media_type=MANIFEST_TYPE)
        self.files["manifest.jws"] = jws.encode()

    def save(self, folder: Path) -> Path:
        """Write everything into a new folder."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return folder


def verified(files: dict[str, bytes], folder: Path, policy: Policy, options: Options | None = None) -> Report:
    """Write files into a new folder and verify them."""
    insider = Insider(files, fresh_signer())
    return verify_pack(insider.save(folder), policy, options or WITHOUT_CHECKPOINT, no_progress)


def _root_keys(bank: Bank) -> tuple[bytes, ...]:
    with bank.database.read() as connection:
        newest = signing.newest_manifest(connection, bank.issuer_id)
    return () if newest is None else newest.manifest.root_keys


def payload_of(jws: str) -> dict[str, Any]:
    """Return what was signed."""
    segment = jws.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return found


def event_key(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of the key that signed the events first; the checkpoints' key is told of too."""
    return next(row for row in rows if row["key_use"] == "event")


def segments(payload: bytes, header: dict[str, Any], signer: SoftwareSigner) -> str:
    """Return a JWS with any header."""
    signing_input = base64url(json.dumps(header).encode()) + b"." + base64url(payload)
    signature = signer.sign(signing_input)
    return (signing_input + b"." + base64url(signature)).decode()


def chunks(found: bytes) -> Iterator[int]:
    """Yield some places of a file: its first byte, its last, and some between."""
    yield from sorted({0, len(found) // 3, len(found) // 2, len(found) - 1})
