"""The evidence pack as the service makes it: signed, repeatable, and honest about keys; any period verifies."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick import events, exports, signing, transparency
from tallystick.core.canonical_json import canonical_json
from tallystick.exports import ExportFormat, ExportScopeInvalidError
from tallystick.signing import KeyUse, SigningKeyUnavailableError, verify_compact
from tallystick_verify import Options, Policy, verify_pack
from tallystick_verify.ed25519 import PublicKey
from tallystick_verify.notes import read_verifier_key
from tallystick_verify.policy_file import CheckpointRule, Pin
from tests.bank import Bank, oracle
from tests.exports.exported import DAYS, contents, export_of, json_rows, workshop
from tests.older_keys import end_older_key, replace_older_key, revoke_older_key
from tests.verify.packs import no_progress

EVIDENCE = ExportFormat.EVIDENCE


def _policy(bank: Bank) -> Policy:
    with bank.database.read() as connection:
        keys = signing.list_keys(connection, bank.issuer_id, use=KeyUse.EVENT)
    return Policy(bank.issuer_id, tuple(Pin(PublicKey(key.public_key), 0, None) for key in keys))


def _payload(row: dict[str, Any]) -> dict[str, Any]:
    segment = row["jws"].split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return found


def integrated(bank: Bank) -> Policy:
    """Bring the log's tree up to date; return the policy of an auditor who pinned the log too."""
    log = transparency.Log(bank.clock, bank.key_directory, "log.example")
    transparency.integrate(bank.database, log, bank.issuer_id)
    with bank.database.read() as connection:
        origin, keys = transparency.log_keys(connection, bank.issuer_id)
    rule = CheckpointRule(origin, tuple(read_verifier_key(key) for key in keys), (), 0, 0)
    return replace(_policy(bank), checkpoint=rule)


def test_a_checkpoint_vouches_for_the_pack(lived: Bank, tmp_path: Path) -> None:
    policy = integrated(lived)
    lived.transfer("LANTERN-USD", "SILKROAD-USD", "1.00")
    with lived.database.read() as connection:
        last_index = events.last_index(connection, lived.issuer_id)
    whole = export_of(lived, tmp_path, EVIDENCE)
    earlier = export_of(lived, tmp_path, EVIDENCE, until=DAYS[1])
    until_now = export_of(lived, tmp_path, EVIDENCE, until=lived.clock.at)

    # What nobody vouches for yet is left for the next pack, unless it was asked for.
    assert whole.manifest["last_event_index"] == last_index - 1
    # The other two are events themselves, and nobody vouches for those yet either.
    assert until_now.manifest["last_event_index"] == last_index + 2
    assert "consistency.txt" not in contents(tmp_path, whole)
    assert contents(tmp_path, earlier)["consistency.txt"]
    for export, code in ((whole, 0), (earlier, 0), (until_now, 13)):
        report = verify_pack(tmp_path / export.id, policy, Options(), no_progress)
        assert report.exit_code == code, report.text()


def test_a_checkpoint_is_kept_with_the_pack(lived: Bank, tmp_path: Path) -> None:
    integrated(lived)
    export = export_of(lived, tmp_path, EVIDENCE, until=DAYS[1])
    before = contents(tmp_path, export)
    lived.transfer("LANTERN-USD", "SILKROAD-USD", "1.00")
    integrated(lived)
    (tmp_path / export.id / "checkpoint.txt").unlink()

    exports.export_file(workshop(lived, tmp_path), lived.auditor, export.id, "consistency.txt")
    exports.export_file(workshop(lived, tmp_path), lived.auditor, export.id, "checkpoint.txt")

    assert contents(tmp_path, export) == before


def test_the_manifest_is_signed(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path, EVIDENCE)

    files = contents(tmp_path, export)
    with shared.database.read() as connection:
        resolve = signing.key_resolver(connection, shared.issuer_id)
        [key] = signing.list_keys(connection, shared.issuer_id, use=KeyUse.EVENT)
    signed = verify_compact(files["manifest.jws"].decode(), resolve, media_type="tallystick-manifest-v1+jws")
    assert signed == files["manifest.json"] == canonical_json(export.manifest)
    assert export.manifest["export_key_id"] == key.id
    assert (export.manifest["pack_version"], export.manifest["pack_kind"]) == (1, "issuer")


def test_a_pack_is_an_event_of_the_log(lived: Bank, tmp_path: Path) -> None:
    export = export_of(lived, tmp_path, EVIDENCE)
    tables = export_of(lived, tmp_path, ExportFormat.CSV)
    assert export.result is not None
    assert tables.result is not None
    assert tables.result.event_index is None

    with lived.database.read() as connection:
        made = events.event_by_index(connection, lived.issuer_id, export.result.event_index or 0)
        last_index = events.last_index(connection, lived.issuer_id)
    payload = _payload({"jws": made.jws})
    manifest = contents(tmp_path, export)["manifest.json"]
    bound = canonical_json({"manifest_sha256": hashlib.sha256(manifest).hexdigest()})

    assert made.event_index == last_index == export.manifest["last_event_index"] + 1
    assert payload["type"] == "export.made"
    assert payload["manifest_sha256"] == hashlib.sha256(manifest).hexdigest()
    assert payload["payload_hash"] == hashlib.sha256(bound).hexdigest()
    assert (payload["subject_id"], payload["principal_id"]) == (export.id, "system")
    # The next one has it among its events, and is verified all the same.
    after = export_of(lived, tmp_path, EVIDENCE)
    report = verify_pack(tmp_path / after.id, _policy(lived), Options(allow_no_checkpoint=True), no_progress)
    assert report.exit_code == 0, report.text()
    oracle(lived)


def test_tables_are_those_of_json_lines(shared: Bank, tmp_path: Path) -> None:
    # A pack is an event of the log itself, behind its own end.
    tables = contents(tmp_path, export_of(shared, tmp_path, ExportFormat.JSONL))
    pack = contents(tmp_path, export_of(shared, tmp_path, EVIDENCE))

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
        replace_older_key(connection, lived.clock, lived.issuer_id, lived.key_directory)
    lived.key_directory.remove(lived.issuer_id, export.manifest["export_key_id"])
    for name in ("manifest.jws", "keys.jsonl"):
        (tmp_path / export.id / name).unlink()

    found = exports.export_file(workshop(lived, tmp_path), lived.auditor, export.id, "manifest.jws")

    assert found.path.read_bytes() == before["manifest.jws"]
    assert found.facts.media_type == "application/jose"
    assert contents(tmp_path, export) == before


def test_keys_are_told_as_they_are_known_now(lived: Bank, tmp_path: Path) -> None:
    def told() -> list[dict[str, Any]]:
        rows = json_rows(contents(tmp_path, export_of(lived, tmp_path, EVIDENCE))["keys.jsonl"])
        return [row for row in rows if row["key_use"] == "event"]

    before = told()
    with lived.database.read() as connection:
        last_index = events.last_index(connection, lived.issuer_id)
    with lived.database.engine.begin() as connection:
        replace_older_key(connection, lived.clock, lived.issuer_id, lived.key_directory)
        revoke_older_key(connection, lived.clock, lived.issuer_id, before[0]["kid"])

    after = {row["kid"]: row for row in told()}

    assert [(row["state"], row["from_index"], row["until_index"]) for row in before] == [("active", 0, None)]
    old = after.pop(before[0]["kid"])
    assert (old["state"], old["from_index"], old["until_index"]) == ("revoked", 0, last_index)
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
    # A vote is an event too, and what it lets through settles under the vote's own key.
    types = [row["type"] for row in map(_payload, json_rows(files["events.jsonl"]))]
    assert sorted(row["event_index"] for row in rows) == [
        index for index, one in enumerate(types) if not one.startswith("approval.")
    ]


def test_a_pack_leaves_out_no_token_class(shared: Bank, tmp_path: Path) -> None:
    with pytest.raises(ExportScopeInvalidError):
        export_of(shared, tmp_path, EVIDENCE, token_class_id=shared.classes["EUR"].id)
    assert list(tmp_path.iterdir()) == []


def test_without_a_key_there_is_no_pack(lived: Bank, tmp_path: Path) -> None:
    with lived.database.engine.begin() as connection:
        end_older_key(connection, lived.clock, lived.issuer_id)

    with pytest.raises(SigningKeyUnavailableError):
        export_of(lived, tmp_path / "exports", EVIDENCE)
    with lived.database.read() as connection:
        assert exports.exports(connection, lived.auditor) == []


def test_what_is_kept_is_read_back(shared: Bank, tmp_path: Path) -> None:
    export = export_of(shared, tmp_path, EVIDENCE)

    with shared.database.read() as connection:
        kept = exports.export(connection, shared.auditor, export.id)
    assert kept == export
    assert kept.result is not None
    assert kept.result.manifest_jws is not None
    header = kept.result.manifest_jws.split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["typ"] == "tallystick-manifest-v1+jws"
