"""Each of our own formats, and its malformed twins: cut short, a bit turned, a member taken away; each by its class.

The twin is judged with everything else in order, so that it is the format itself that refuses it: inside a pack the
insider makes the manifest right again.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick.core.canonical_json import canonical_json
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.signing import KeyUse
from tallystick_verify import ExitCode, Policy
from tallystick_verify.chart import CHANGES, EVENT_KINDS
from tallystick_verify.events import read_event
from tallystick_verify.facts import FACT_TYPES
from tallystick_verify.failures import Failure
from tallystick_verify.holders import check_event, check_receipt
from tallystick_verify.log import signed_checkpoint
from tallystick_verify.roots import read_root
from tests.bank import open_bank
from tests.database import cloned_database
from tests.integrity.lived import live_fully, seal
from tests.signing_keys import replace_key, revoke_key
from tests.verify.packs import Evidence, export_evidence, payload_of, segments, verified
from tests.verify.test_log import LOG_SIGNER, RULE, WITNESSES, inclusion, leaves_of, note
from tests.verify.twins import byte_twins, member_twins, of_other_types

#: What reads it, and the classes that a twin may be of; a verdict or a fault of the verifier's is in none.
Format = tuple[bytes, Callable[[bytes], object], set[ExitCode]]


@pytest.fixture(scope="module")
def formats(evidence: Evidence) -> dict[str, Format]:
    insider = evidence.insider()
    leaves = leaves_of(insider)
    policy = replace(evidence.pinned, checkpoint=RULE)
    checkpoint = note(leaves, [LOG_SIGNER, *WITNESSES[:2]])
    proof = "".join(base64.b64encode(one).decode() + "\n" for one in inclusion(5, leaves))
    receipt = f"c2sp.org/tlog-proof@v1\nindex 5\n{proof}\n".encode() + checkpoint
    found: dict[str, Format] = {
        "checkpoint": (
            checkpoint,
            lambda octets: signed_checkpoint(octets, RULE),
            {ExitCode.LOG, ExitCode.SIGNATURE},
        ),
        "receipt": (
            receipt,
            lambda octets: check_receipt(octets, leaves[5], policy),
            {ExitCode.LOG, ExitCode.SIGNATURE},
        ),
        "event": (
            leaves[5],
            lambda octets: check_event(octets, policy),
            {ExitCode.SIGNATURE, ExitCode.KEY, ExitCode.UNSUPPORTED},
        ),
    }
    if evidence.policy.root is not None:
        rule = evidence.policy.root
        found["root manifest"] = (
            insider.files["root_manifests.jsonl"].splitlines()[0],
            lambda octets: read_root([octets], rule, evidence.policy),
            {ExitCode.KEY, ExitCode.SIGNATURE, ExitCode.UNSUPPORTED},
        )
    return found


FORMATS: Final = ("checkpoint", "receipt", "event", "root manifest")


@pytest.mark.parametrize("name", FORMATS)
def test_no_twin_is_taken(name: str, formats: dict[str, Format]) -> None:
    golden, read, classes = formats[name]
    assert read(golden), "the golden one is sound"
    for what, twin in byte_twins(golden):
        if _says_the_same(name, golden, twin):
            continue
        with pytest.raises(Failure) as failed:
            read(twin)
        assert failed.value.exit_code in classes, (what, failed.value.message)


def _says_the_same(name: str, golden: bytes, twin: bytes) -> bool:
    """Tell whether a note only lost what nobody needs: signatures under a name or key id that nobody pinned count for
    nothing, as the specification wants, and the quorum is reached without one of them."""
    if name not in {"checkpoint", "receipt"}:
        return False
    try:
        return signed_checkpoint(twin[twin.index(b"log.example") :], RULE).checkpoint == signed_checkpoint(
            golden[golden.index(b"log.example") :], RULE
        ).checkpoint and twin.startswith(golden[: golden.index(b"\xe2\x80\x94")])
    except (Failure, ValueError):
        return False


@pytest.fixture(scope="module")
def goldens(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """What a bank signed that did everything there is to do, by type."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=3, rooted=True) as bank,
    ):
        live_fully(bank)
        before = replace_key(bank, KeyUse.CHECKPOINT)
        revoke_key(bank, before.id, compromised_from_index=7)
        seal(bank)
        export_evidence(bank, tmp_path_factory.mktemp("packs"))
        with bank.database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT jws FROM event WHERE issuer_id = %s ORDER BY event_index", (bank.issuer_id,)
            ).scalars()
            found: dict[str, list[dict[str, Any]]] = {}
            for jws in rows:
                payload = payload_of(jws)
                found.setdefault(payload["type"], []).append(payload)
    # A key that is retired is told of as one that is revoked, and of nothing else.
    [revoked, *_] = found["signing_key.revoked"]
    key = {name: revoked["key"][name] for name in ("kid", "use")}
    found["signing_key.retired"] = [
        revoked | {"type": "signing_key.retired", "operation": "signing_key_retirement", "key": key}
    ]
    [lifted, *_] = found["order.lifted"]
    suffix = lifted["id"][-26:]
    found["order.expired"] = [
        lifted | {"type": "order.expired", "instruction_id": f"order_expiry_{suffix}", "approvals": []}
    ]
    found["transfer_batch.settled"] = [_batch(lifted, suffix)]
    for event_type, (operation, _) in CHANGES.items():
        if event_type not in found:
            found[event_type] = [_plain_change(found["records.sealed"][0], event_type, operation)]
    return found


def _batch(like: dict[str, Any], suffix: str) -> dict[str, Any]:
    """Return the end of a batch that people let through; what the service signs, whole packs have."""
    told = (
        "amount",
        "booked_at",
        "currency",
        "id",
        "index",
        "issuer_id",
        "principal_id",
        "request_hash",
        "scale",
    )
    return {name: like[name] for name in (*told, "token_class_id", "version")} | {
        "approvals": ["0" * 64],
        "booked_amount": like["amount"],
        "booked_count": 1,
        "instruction_id": f"batch_{suffix}",
        "operation": "transfer_batch",
        "outcome_hash": "0" * 64,
        "type": "transfer_batch.settled",
    }


def _plain_change(like: dict[str, Any], event_type: str, operation: str) -> dict[str, Any]:
    """Return a change that nothing is told of but that it was made."""
    assert event_type not in WITH_MORE
    return like | {"type": event_type, "operation": operation}


#: Events with members of their own, which somebody must have signed to be taken apart here.
WITH_MORE: Final = frozenset(
    {
        "business_date.closed",
        "business_date.reopened",
        "export.made",
        "liabilities.attested",
        "payout_file.made",
        "reconciliation.attested",
        "signing_key.activated",
        "signing_key.retired",
        "signing_key.revoked",
        "transfer_batch.settled",
    }
)
#: What an event may lack, by its last name; and what may be told as null.
OPTIONAL: Final = frozenset({"original_value_date", "policy", "purpose"})
OPTIONAL_IN: Final = frozenset(
    {
        ("deposit.confirmed", ".related_id"),
        ("token.transferred", ".related_id"),
        ("signing_key.activated", ".key.replaces"),
        ("signing_key.revoked", ".key.compromised_from_index"),
    }
)
NULLS: Final = frozenset(
    {
        ".attestation.bank_as_of",
        ".attestation.bank_balance",
        ".attestation.liability_attestation_id",
        ".attestation.statement_id",
        ".attestation.timing",
        ".attestation.verified_size",
        ".figures.classes[].bank_balance",
    }
)


def test_a_member_that_is_missing_new_or_of_another_type_is_refused_in_every_event(
    goldens: dict[str, list[dict[str, Any]]],
) -> None:
    taken_apart: Counter[str] = Counter()
    for event_type, payloads in goldens.items():
        # As many members as any of the type has: what is optional is there, too.
        payload = max(payloads, key=lambda one: len(canonical_json(one)))
        read_event(canonical_json(payload))
        for what, place, twin in member_twins(payload):
            if _is_another_sound_one(event_type, what, place):
                continue
            with pytest.raises(Failure) as failed:
                read_event(canonical_json(twin))
            assert failed.value.exit_code == ExitCode.UNSUPPORTED, (event_type, what, place)
            taken_apart[event_type] += 1
    assert FACT_TYPES | EVENT_KINDS.keys() <= taken_apart.keys()
    assert min(taken_apart.values()) >= 8 * 8


def _is_another_sound_one(event_type: str, what: str, place: str) -> bool:
    if what == "missing":
        name = place.rpartition(".")[2]
        return name in OPTIONAL or (event_type, place) in OPTIONAL_IN or place.startswith(BREAKS)
    return what == "null" and place in NULLS


#: Types of breaks are told by their names, and of as many as there are.
BREAKS: Final = ".attestation.breaks."


def test_a_member_that_is_missing_in_the_manifest(evidence: Evidence, tmp_path: Path) -> None:
    manifest = json.loads(evidence.files["manifest.json"])
    for number, member in enumerate(sorted(manifest)):
        insider = evidence.insider()
        insider.seal(lambda told, member=member: told.pop(member))  # type: ignore[misc]
        report = verified(insider.files, tmp_path / str(number), evidence.policy)
        assert report.exit_code in {ExitCode.PACK, ExitCode.UNSUPPORTED, ExitCode.FIGURES}, member


@pytest.mark.parametrize("name", ["checkpoint.txt", "consistency.txt", "keys.jsonl", "approvals.jsonl"])
def test_a_file_that_is_cut_short_inside_a_sound_manifest(
    name: str, evidence: Evidence, tmp_path: Path
) -> None:
    insider = evidence.insider()
    policy: Policy = replace(evidence.pinned, checkpoint=RULE)
    leaves = leaves_of(insider)
    insider.files["checkpoint.txt"] = note(leaves, [LOG_SIGNER, *WITNESSES])
    insider.seal()
    assert verified(insider.files, tmp_path / "whole", policy).exit_code == ExitCode.OK
    content = insider.files.get(name, b"AAAA\n")
    insider.files[name] = content[: len(content) // 2]
    insider.seal()
    report = verified(insider.files, tmp_path / "cut", policy)
    assert report.exit_code not in {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERNAL}, report.text()


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "EdDSA", "crit": []}])
def test_an_event_under_another_header(header: dict[str, Any], evidence: Evidence) -> None:
    insider = evidence.insider()
    kid = json.loads(base64.urlsafe_b64decode(leaves_of(insider)[5].split(b".")[0] + b"=="))["kid"]
    full = {"kid": kid, "typ": "tallystick-event-v1+jws"} | header
    leaf = segments(canonical_json(insider.payloads()[5]), full, insider.signer).encode()
    with pytest.raises(Failure) as failed:
        check_event(leaf, evidence.pinned)
    assert failed.value.exit_code == ExitCode.SIGNATURE


#: Rows that are not compared byte for byte with what the log leads to: what they may be, the verifier must know.
@pytest.mark.parametrize(
    "name", ["accounts.jsonl", "approvals.jsonl", "idempotency.jsonl", "keys.jsonl", "liabilities.jsonl"]
)
def test_a_member_that_is_missing_new_or_of_another_type_in_a_row(
    name: str, evidence: Evidence, tmp_path: Path
) -> None:
    golden = evidence.insider().rows(name)[-1]
    for number, (what, place, twin) in enumerate(member_twins(golden, others=(None, 7, "7", [7]))):
        if what == "null" and place in {".activated_at", ".compromised_at", ".retired_at", ".revoked_at"}:
            continue
        insider = evidence.insider()
        insider.edit(name, lambda rows, twin=twin: rows.__setitem__(-1, twin))  # type: ignore[misc]
        report = verified(insider.files, tmp_path / str(number), evidence.policy)
        assert report.exit_code not in {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERNAL}, (what, place)


def test_a_member_of_another_type_in_the_manifest(evidence: Evidence, tmp_path: Path) -> None:
    manifest = json.loads(evidence.files["manifest.json"])
    twins = [(name, other) for name in sorted(manifest) for other in of_other_types(manifest[name])]
    twins += [
        ("files", [first | {member: other}, *rest])
        for first, *rest in [manifest["files"]]
        for member in first
        for other in of_other_types(first[member])
        if member != "media_type"
    ]
    for number, (name, value) in enumerate(twins):
        insider = evidence.insider()
        insider.files["manifest.json"] = canonical_json(manifest | {name: value})
        insider.sign_manifest(insider.signer)
        report = verified(insider.files, tmp_path / str(number), evidence.policy)
        assert report.exit_code not in {ExitCode.OK, ExitCode.USAGE, ExitCode.INTERNAL}, (name, value)
