"""The evidence pack as the service makes it: signed, repeatable, and honest about keys; any period verifies."""

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tallystick import exports, signing
from tallystick.core.canonical_json import canonical_json
from tallystick.exports import ExportFormat, ExportScopeInvalidError
from tallystick.signing import SigningKeyUnavailableError, verify_compact
from tallystick_verify import Options, Policy, verify_pack
from tallystick_verify.ed25519 import PublicKey
from tallystick_verify.policy_file import Pin
from tests.bank import Bank
from tests.exports.exported import DAYS, contents, export_of, json_rows
from tests.verify.packs import no_progress

EVIDENCE = ExportFormat.EVIDENCE


def _policy(bank: Bank) -> Policy:
    with bank.database.read() as connection:
        keys = signing.list_keys(connection, bank.issuer_id)
    return Policy(bank.issuer_id, tuple(Pin(PublicKey(key.public_key), 0, None) for key in keys))


def test_the_manifest_is_signed(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path, EVIDENCE)

    files = contents(tmp_path, export)
    with shared.database.read() as connection:
        resolve = signing.key_resolver(connection, shared.issuer_id)
        [key] = signing.list_keys(connection, shared.issuer_id)
    signed = verify_compact(files["manifest.jws"].decode(), resolve, media_type="tallystick-manifest-v1+jws")
    assert signed == files["manifest.json"] == canonical_json(export.manifest)
    assert export.manifest["export_key_id"] == key.id
    assert (export.manifest["pack_version"], export.manifest["pack_kind"]) == (1, "issuer")


def test_tables_are_those_of_json_lines(shared: Bank, tmp_path: Path) -> None:
    pack = contents(tmp_path, export_of(shared, tmp_path, EVIDENCE))
    tables = contents(tmp_path, export_of(shared, tmp_path, ExportFormat.JSONL))

    for name in ("journal", "balances", "trial_balance", "accounts", "liabilities"):
        assert pack[f"{name}.jsonl"] == tables[f"{name}.jsonl"]
    assert json_rows(pack["events.jsonl"]) == [
        {"index": row["event_index"], "jws": row["jws"]} for row in json_rows(tables["events.jsonl"])
    ]


@pytest.mark.parametrize(
    ("after", "until"),
    [
        (None, None),
        (DAYS[0], None),
        (DAYS[0], DAYS[1]),
        (None, DAYS[0]),
        (DAYS[2], None),
        (DAYS[1], DAYS[1] + timedelta(hours=1)),
        (None, DAYS[0] - timedelta(hours=1)),
    ],
)
def test_any_period_is_verified(
    after: datetime | None, until: datetime | None, shared: Bank, tmp_path: Path
) -> None:
    export = export_of(shared, tmp_path, EVIDENCE, after=after, until=until)

    report = verify_pack(
        tmp_path / export.id, _policy(shared), Options(allow_no_checkpoint=True), no_progress
    )

    assert report.exit_code == 0, report.text()
    assert report.pack["events"] == export.manifest["last_event_index"] + 1


def test_equal_arguments_have_equal_bytes(lived: Bank, tmp_path: Path) -> None:
    first = export_of(lived, tmp_path, EVIDENCE, until=DAYS[2])
    lived.unfreeze("NORTHWIND-EUR")
    lived.mint("SILKROAD-EUR", "7.00")

    second = export_of(lived, tmp_path, EVIDENCE, until=DAYS[2])

    assert contents(tmp_path, second) == contents(tmp_path, first)


def test_what_is_lost_is_made_again_although_the_key_is_gone(lived: Bank, tmp_path: Path) -> None:
    export = export_of(lived, tmp_path, EVIDENCE)
    before = contents(tmp_path, export)
    with lived.database.engine.begin() as connection:
        signing.rotate(connection, lived.clock, lived.issuer_id, lived.key_directory)
    lived.key_directory.remove(lived.issuer_id, export.manifest["export_key_id"])
    for name in ("manifest.jws", "keys.jsonl"):
        (tmp_path / export.id / name).unlink()

    found = exports.export_file(lived.database, lived.auditor, export.id, "manifest.jws", tmp_path)

    assert found.path.read_bytes() == before["manifest.jws"]
    assert found.facts.media_type == "application/jose"
    assert contents(tmp_path, export) == before


def test_keys_are_told_as_they_are_known_now(lived: Bank, tmp_path: Path) -> None:
    before = json_rows(contents(tmp_path, export_of(lived, tmp_path, EVIDENCE))["keys.jsonl"])
    last_index = 9
    with lived.database.engine.begin() as connection:
        signing.rotate(connection, lived.clock, lived.issuer_id, lived.key_directory)
        signing.revoke(connection, lived.clock, lived.issuer_id, before[0]["kid"], reason="Seen on a stick.")

    after = {
        row["kid"]: row
        for row in json_rows(contents(tmp_path, export_of(lived, tmp_path, EVIDENCE))["keys.jsonl"])
    }

    assert [(row["state"], row["from_index"], row["until_index"]) for row in before] == [("active", 0, None)]
    old = after.pop(before[0]["kid"])
    assert (old["state"], old["from_index"], old["until_index"]) == ("revoked", 0, last_index + 1)
    assert old["revoked_at"] is not None
    assert [(row["state"], row["from_index"]) for row in after.values()] == [("active", None)]


def test_who_approved_is_told_and_why_is_not(lived: Bank, tmp_path: Path) -> None:
    lived.freeze("LANTERN-USD", reason="A secret reason.")
    lived.unfreeze("LANTERN-USD", reason="Another secret reason.")

    files = contents(tmp_path, export_of(lived, tmp_path, EVIDENCE))

    rows = json_rows(files["approvals.jsonl"])
    assert [row["operation"] for row in rows] == ["mint", "mint", "account_unfreeze"]
    assert {row["maker"] for row in rows} == {"Mara Maker"}
    assert {vote["person"] for row in rows for vote in row["votes"]} == {"Chen Checker"}
    assert b"secret" not in b"".join(files.values())


def test_every_event_has_one_idempotency_key(shared: Bank, tmp_path: Path) -> None:
    files = contents(tmp_path, export_of(shared, tmp_path, EVIDENCE))

    rows = json_rows(files["idempotency.jsonl"])
    digests = [row["key_digest"] for row in rows]
    assert digests == sorted(set(digests))
    assert sorted(row["event_index"] for row in rows) == list(range(len(json_rows(files["events.jsonl"]))))


def test_a_pack_leaves_out_no_token_class(shared: Bank, tmp_path: Path) -> None:
    with pytest.raises(ExportScopeInvalidError):
        export_of(shared, tmp_path, EVIDENCE, token_class_id=shared.classes["EUR"].id)
    assert list(tmp_path.iterdir()) == []


def test_without_a_key_there_is_no_pack(lived: Bank, tmp_path: Path) -> None:
    with lived.database.engine.begin() as connection:
        [key] = signing.list_keys(connection, lived.issuer_id)
        signing.retire(connection, lived.clock, lived.issuer_id, key.id)

    with pytest.raises(SigningKeyUnavailableError):
        export_of(lived, tmp_path / "exports", EVIDENCE)
    with lived.database.read() as connection:
        assert exports.exports(connection, lived.auditor) == []


def test_what_is_kept_is_read_back(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path, EVIDENCE)

    with shared.database.read() as connection:
        kept = exports.export(connection, shared.auditor, export.id)
    assert kept == export
    assert kept.pinned.evidence is not None
    header = kept.pinned.evidence.manifest_jws.split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["typ"] == "tallystick-manifest-v1+jws"
