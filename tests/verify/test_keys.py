"""A signature is judged by its key's state at its index, replayed from the events under the root that is pinned."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tallystick import events, signing, transparency
from tallystick.core.base64url import base64url
from tallystick.core.canonical_json import canonical_json
from tallystick.exports import ExportArguments, ExportFormat, Vouching, Workshop, create_export
from tallystick.signing import RootManifest, SoftwareSigner
from tallystick.tokens import ROOT_FOLDER
from tallystick.transparency import WitnessPolicy, ask_witness, witness_client
from tallystick.transparency.integrating import integrate
from tallystick_verify import ExitCode, Options, Report
from tallystick_verify.ed25519 import PublicKey
from tallystick_verify.failures import Failure
from tallystick_verify.keys import KeyBook
from tallystick_verify.merkle import RunningRoot
from tallystick_verify.notes import read_verifier_key
from tallystick_verify.policy_file import CheckpointRule, Pin, Policy, RootRule, Seen
from tallystick_verify.roots import NamedKey, Root
from tests.bank import Bank, open_bank
from tests.database import DatabaseUrls, cloned_database
from tests.older_keys import replace_older_key, revoke_older_key
from tests.signing_keys import (
    activate_key,
    change_key,
    come_under_root,
    name_keys,
    prepared_key,
    replace_key,
    revoke_key,
)
from tests.transparency.logs import Issuer, log_of
from tests.transparency.test_witnessing import watching
from tests.verify.forging import append, freeze, key_event
from tests.verify.packs import Evidence, Insider, event_key, export_evidence, verified

ROOTS = "root_manifests.jsonl"


def _x(public_key: bytes) -> str:
    return base64url(public_key).decode()


def _freeze(insider: Insider) -> dict[str, Any]:
    """Return a freeze of an account that is not frozen: something small to sign."""
    transfer = insider.payloads()[insider.index_of("token.transferred")]
    frozen = insider.payloads()[insider.index_of("account.frozen", 1)]
    return freeze(insider, frozen | {"payer_account_id": transfer["payer_account_id"]})


def _said(report: Report) -> str:
    return report.text()


@pytest.fixture
def rooted(database_urls: DatabaseUrls, tmp_path: Path) -> Any:
    with open_bank(database_urls, tmp_path / "keys", pool_size=2, rooted=True) as bank:
        bank.mint("HARBOUR-USD", "10.00")
        yield bank


def _active(bank: Bank) -> str:
    """Return the id of the key that signs events now. A pack would be an event itself."""
    with bank.database.read() as connection:
        keys = signing.list_keys(connection, bank.issuer_id, use=signing.KeyUse.EVENT)
    return next(key.id for key in keys if key.state == "active")


def _exported(bank: Bank, folder: Path) -> Evidence:
    return Evidence.of(bank, export_evidence(bank, folder))


def test_the_lived_bank_is_judged_by_its_root(evidence: Evidence, tmp_path: Path) -> None:
    assert evidence.policy.pins == ()

    report = verified(evidence.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.OK, _said(report)
    assert "names 2 keys" in report.checks["root"].detail


def test_what_the_service_does_with_keys_is_verified(rooted: Bank, tmp_path: Path) -> None:
    """Rotation, retirement of a checkpoint's key, a theft with a cosigned past, and a spare key that takes over."""
    first = replace_key(rooted)
    rooted.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    replace_key(rooted, signing.KeyUse.CHECKPOINT)
    spare = prepared_key(rooted)
    revoked = revoke_key(rooted, first.id, compromised_from_index=7)
    activate_key(rooted, spare.id)
    rooted.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    evidence = _exported(rooted, tmp_path / "exports")
    void_from = 7
    at = revoked.event_index
    assert at is not None

    report = verified(evidence.files, tmp_path / "pack", evidence.policy)
    assert report.exit_code == ExitCode.KEY, _said(report)
    assert f"Events {void_from} to {at - 1} are void" in _said(report)

    # Seen by the auditor before the revocation, and by nobody.
    root = _root_of(evidence, at)
    seen = replace(evidence.policy, seen=(Seen(at, root, "a visit"),))
    assert verified(evidence.files, tmp_path / "seen", seen).exit_code == ExitCode.OK
    early = replace(evidence.policy, seen=(Seen(at - 1, _root_of(evidence, at - 1), "a visit"),))
    assert f"Events {at - 1} to {at - 1} are void" in _said(
        verified(evidence.files, tmp_path / "early", early)
    )
    late = replace(evidence.policy, seen=(Seen(at + 1, _root_of(evidence, at + 1), "a visit"),))
    assert verified(evidence.files, tmp_path / "late", late).exit_code == ExitCode.KEY


def test_a_key_that_was_compromised_from_its_end_on_voids_nothing(rooted: Bank, tmp_path: Path) -> None:
    spare = prepared_key(rooted)
    before = _active(rooted)
    with rooted.database.read() as connection:
        last = events.last_index(connection, rooted.issuer_id) + 1
    revoke_key(rooted, before, compromised_from_index=last)
    activate_key(rooted, spare.id)
    evidence = _exported(rooted, tmp_path / "exports")

    report = verified(evidence.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.OK, _said(report)


def test_that_a_revocation_is_behind_the_end_of_the_pack_is_told(rooted: Bank, tmp_path: Path) -> None:
    spare = prepared_key(rooted)
    before = _active(rooted)
    until = rooted.clock.at
    rooted.clock.at = rooted.clock.at.replace(hour=20)
    revoke_key(rooted, before)
    activate_key(rooted, spare.id)
    evidence = Evidence.of(rooted, export_evidence(rooted, tmp_path / "exports", booked_until=until))

    report = verified(evidence.files, tmp_path / "pack", evidence.policy)

    assert report.exit_code == ExitCode.KEY
    assert "no event of this pack says from where" in _said(report)


def test_what_witnesses_had_cosigned_before_a_revocation_stands(rooted: Bank, tmp_path: Path) -> None:
    """The whole way: a real witness, a theft, a spare key, a pack of the service's own, and the auditor's policy."""
    spare, stolen = prepared_key(rooted), _active(rooted)
    log = log_of(rooted)
    integrate(rooted.database, log, rooted.issuer_id)
    with watching(cast("Issuer", rooted), tmp_path / "witness", "w.example/1") as witness:
        policy = WitnessPolicy((witness,), 1)
        with witness_client() as client:
            ask_witness(rooted.database, log.tiles, rooted.issuer_id, witness, client)
            rooted.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
            revoked = revoke_key(rooted, stolen)
            activate_key(rooted, spare.id)
            rooted.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
            integrate(rooted.database, log, rooted.issuer_id)
            ask_witness(rooted.database, log.tiles, rooted.issuer_id, witness, client)
    arguments = ExportArguments(ExportFormat.EVIDENCE)
    vouching = Vouching(rooted.key_directory, log.tiles, policy)
    making = Workshop(rooted.database, rooted.clock, rooted.settler, vouching, tmp_path / "exports")
    made = create_export(making, rooted.auditor, arguments)
    evidence = Evidence.of(rooted, tmp_path / "exports" / made.id)
    with rooted.database.read() as connection:
        origin, keys = transparency.log_keys(connection, rooted.issuer_id)
    rule = CheckpointRule(
        origin, tuple(map(read_verifier_key, keys)), (read_verifier_key(str(witness.key)),), 1, 0
    )
    auditor = replace(evidence.policy, checkpoint=rule)

    assert "checkpoint_5.txt" in evidence.files
    assert revoked.event_index == 6
    report = verified(evidence.files, tmp_path / "pack", auditor, Options())
    # The witness had seen five events when the key was stolen; the sixth nobody had.
    assert report.exit_code == ExitCode.KEY
    [finding] = report.findings
    assert finding.message.startswith(f"Events 5 to 5 are void where {stolen} signed them")

    # The service itself says the same of its own books.
    [key] = [
        one
        for one in rooted.database.run(lambda on: signing.list_keys(on, rooted.issuer_id))
        if one.id == stolen
    ]
    covered = rooted.database.run(lambda on: transparency.cosigned_size(on, rooted.issuer_id, 6))
    assert [index for index in range(7) if not key.proves(index, covered)] == [5]

    # Without the cosigned checkpoint nothing vouches for the first five either.
    insider = evidence.insider()
    del insider.files["checkpoint_5.txt"]
    insider.seal(
        lambda manifest: manifest.update(
            files=[one for one in manifest["files"] if one["name"] != "checkpoint_5.txt"]
        )
    )
    report = verified(insider.files, tmp_path / "alone", auditor, Options())
    assert report.findings[-1].message.startswith("Events 0 to 5 are void")


def _root_of(evidence: Evidence, size: int) -> bytes:
    tree = RunningRoot()
    for row in evidence.insider().rows("events.jsonl")[:size]:
        tree.add(row["jws"].encode())
    return tree.root()


# Malformed twins: what an insider makes who holds the signing keys, old and new, but no root.


@pytest.fixture(scope="module")
def turned(postgres_server: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bank that has replaced its key, exported once."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=2, rooted=True) as bank,
    ):
        bank.mint("HARBOUR-USD", "10.00")
        before = _exported(bank, tmp_path_factory.mktemp("before")).signer
        after = replace_key(bank)
        bank.freeze("NORTHWIND-EUR")
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        prepared_key(bank)
        bank.freeze("NORTHWIND-USD")
        evidence = _exported(bank, tmp_path_factory.mktemp("after"))
        assert evidence.signer.key_id == after.id
        yield bank, evidence, before


Turned = tuple[Bank, Evidence, SoftwareSigner]


def _failed(turned: Turned, insider: Insider, folder: Path, code: ExitCode = ExitCode.KEY) -> str:
    report = verified(insider.files, folder, turned[1].policy)
    assert report.exit_code == code, _said(report)
    return "\n".join(f"{one.place}: {one.message}" for one in report.findings)


def _insider(turned: Turned) -> Insider:
    insider = turned[1].insider()
    insider.other = turned[2]
    return insider


def test_its_twin_is_sound(turned: Turned, tmp_path: Path) -> None:
    report = verified(turned[1].files, tmp_path / "pack", turned[1].policy)
    assert report.exit_code == ExitCode.OK, _said(report)


def test_an_event_signed_by_a_retired_key(turned: Turned, tmp_path: Path) -> None:
    insider = _insider(turned)
    index = insider.index_of("token.transferred")
    insider.resign(index, dict, other=True)
    activated = insider.index_of("signing_key.activated", 2)

    said = _failed(turned, insider, tmp_path / "pack")

    assert (
        f"event {index}: The key was not active at this index: it had ended with event {activated}." in said
    )


def test_an_event_signed_by_the_next_key_before_its_beginning(turned: Turned, tmp_path: Path) -> None:
    insider = _insider(turned)
    insider.resign(3, dict)
    assert "event 3: The key was not active at this index: no event had activated it." in _failed(
        turned, insider, tmp_path / "pack"
    )


def test_an_event_signed_by_a_key_that_was_never_activated(turned: Turned, tmp_path: Path) -> None:
    bank, _, _ = turned
    insider = _insider(turned)
    with bank.database.read() as connection:
        [spare] = [key for key in signing.list_keys(connection, bank.issuer_id) if key.state == "prepared"]
    insider.other = bank.key_directory.signer(bank.issuer_id, spare.id)
    index = insider.index_of("token.transferred")
    insider.resign(index, dict, other=True)
    # The root names it, and the bank tells of it: still no event let it sign.
    said = _failed(turned, insider, tmp_path / "untold")
    assert "not in keys.jsonl" in said
    insider.edit(
        "keys.jsonl",
        lambda rows: rows.append({**event_key(rows), "kid": spare.id, "x": _x(spare.public_key)}),
    )
    said = _failed(turned, insider, tmp_path / "told")
    assert f"event {index}: The key was not active at this index: no event had activated it." in said


def test_an_event_signed_by_a_key_that_no_root_names(turned: Turned, tmp_path: Path) -> None:
    insider = turned[1].insider()
    index = insider.index_of("token.transferred")
    insider.resign(index, dict, other=True)
    insider.edit(
        "keys.jsonl",
        lambda rows: rows.append(
            {**event_key(rows), "kid": insider.other.key_id, "x": _x(insider.other.public_key)}
        ),
    )
    assert f"event {index}: The root manifest does not name the key." in _failed(
        turned, insider, tmp_path / "pack"
    )


def test_a_key_that_activates_itself_without_a_root(turned: Turned, tmp_path: Path) -> None:
    insider = turned[1].insider()
    other = insider.other
    key = {
        "kid": other.key_id,
        "manifest_sha256": "0" * 64,
        "manifest_version": 3,
        "replaces": insider.signer.key_id,
        "use": "event",
        "x": _x(other.public_key),
    }
    append(insider, key_event(insider, "signing_key.activated", key), other)
    assert "The root manifest does not name the key." in _failed(turned, insider, tmp_path / "pack")


def _without(insider: Insider, index: int) -> None:
    """Take an event out of the log, and let everything behind it move up, signed anew by the same keys."""
    payloads = insider.payloads()
    old = [row["jws"] for row in insider.rows("events.jsonl")]
    signers = {signer.key_id: signer for signer in (insider.signer, insider.other)}
    rows = [{"index": number, "jws": jws} for number, jws in enumerate(old[:index])]
    for number, payload in enumerate(payloads[index + 1 :], index):
        header = json.loads(_decoded(old[number + 1].split(".")[0]))
        jws = signing.sign_compact(signers[header["kid"]], canonical_json(payload | {"index": number}))
        rows.append({"index": number, "jws": jws})
    insider.write("events.jsonl", rows)
    insider.seal(lambda manifest: manifest.update(last_event_index=len(rows) - 1))


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


@pytest.mark.parametrize("number", [0, 2])
def test_an_event_about_a_key_that_is_taken_out(turned: Turned, tmp_path: Path, number: int) -> None:
    insider = _insider(turned)
    _without(insider, insider.index_of("signing_key.activated", number))
    said = _failed(turned, insider, tmp_path / "pack")
    assert "The key was not active at this index: no event had activated it." in said


def test_events_about_keys_in_another_order(turned: Turned, tmp_path: Path) -> None:
    insider = _insider(turned)
    # The vote for the new key is put behind its beginning, each signed for its new place.
    index = insider.index_of("signing_key.activated", 2)
    vote, activation = insider.payloads()[index - 1 : index + 1]
    insider.put(index - 1, canonical_json(activation | {"index": index - 1}))
    insider.put(index, canonical_json(vote | {"index": index}), other=True)
    said = _failed(turned, insider, tmp_path / "pack")
    assert f"event {index}: The key was not active at this index" in said


def test_one_person_alone_who_replaces_a_key(turned: Turned, tmp_path: Path) -> None:
    insider = _insider(turned)
    index = insider.index_of("signing_key.activated", 2)
    insider.resign(index, lambda payload: payload.update(approvals=[]))
    said = _failed(turned, insider, tmp_path / "pack", ExitCode.KEY)
    assert f"event {index}: A key is replaced, and no other person approved it." in said


def test_one_person_alone_who_revokes_what_has_ended(turned: Turned, tmp_path: Path) -> None:
    insider = _insider(turned)
    key = {"kid": insider.other.key_id, "use": "event"}
    append(insider, key_event(insider, "signing_key.revoked", key))
    said = _failed(turned, insider, tmp_path / "pack", ExitCode.APPROVAL)
    assert "no other person approved it" in said


@pytest.mark.parametrize(
    ("spoil", "code", "why"),
    [
        (lambda key: key.update(kid="A" * 43), ExitCode.UNSUPPORTED, "subject_id"),
        (
            lambda key: key.update(replaces="A" * 43),
            ExitCode.KEY,
            "another key than the one that it replaces",
        ),
        (lambda key: key.pop("replaces"), ExitCode.KEY, "another key than the one that it replaces"),
        (lambda key: key.update(manifest_version=1), ExitCode.KEY, "another root manifest"),
        (lambda key: key.update(manifest_version=9), ExitCode.KEY, "which the pack lacks"),
        (lambda key: key.update(manifest_version="2"), ExitCode.UNSUPPORTED, "form"),
        (lambda key: key.update(manifest_sha256="0" * 64), ExitCode.KEY, "another root manifest"),
        (lambda key: key.update(use="checkpoint"), ExitCode.KEY, "does not name for this"),
        (lambda key: key.update(use="coffee"), ExitCode.UNSUPPORTED, "form"),
        (lambda key: key.update(more=1), ExitCode.UNSUPPORTED, "form"),
    ],
)
def test_an_activation_that_is_spoiled(
    turned: Turned, tmp_path: Path, spoil: Callable[[dict[str, Any]], object], code: ExitCode, why: str
) -> None:
    insider = _insider(turned)
    index = insider.index_of("signing_key.activated", 2)
    insider.resign(index, lambda payload: spoil(payload["key"]))
    report = verified(insider.files, tmp_path / "pack", turned[1].policy)
    assert report.exit_code != ExitCode.OK
    found = [one for one in report.findings if one.place == f"event {index}"]
    assert (found[0].exit_code, why in found[0].message) == (code, True), _said(report)


def test_a_second_beginning_and_a_second_end(turned: Turned, tmp_path: Path) -> None:
    insider = _insider(turned)
    again = insider.payloads()[insider.index_of("signing_key.activated", 2)]["key"]
    key = {**again, "kid": insider.other.key_id, "x": _x(insider.other.public_key)}
    append(insider, key_event(insider, "signing_key.activated", key), insider.other)
    assert "for the second time, or after its end" in _failed(turned, insider, tmp_path / "again")
    insider = _insider(turned)
    append(insider, key_event(insider, "signing_key.retired", {"kid": insider.other.key_id, "use": "event"}))
    assert "retired that was not active" in _failed(turned, insider, tmp_path / "retired", ExitCode.KEY)


# Root manifests.


def _resigned(
    turned: Turned, change: Callable[[RootManifest], RootManifest], *roots: SoftwareSigner, number: int = -1
) -> Insider:
    """Exchange a version of the root manifest, signed by the bank's root unless others are given."""
    bank = turned[0]
    insider = _insider(turned)
    lines = insider.files[ROOTS].decode().splitlines()
    [key_id] = bank.roots.key_ids(ROOT_FOLDER)
    found = signing.unsigned(change(signing.read_manifest(lines[number]).manifest))
    for one in roots or (bank.roots.signer(ROOT_FOLDER, key_id),):
        found = signing.add_signature(found, one)
    lines[number] = found.document()
    insider.files[ROOTS] = "".join(f"{one}\n" for one in lines).encode()
    insider.seal()
    return insider


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: replace(one, origin="log.example/another"), "of another log: log.example/another"),
        (lambda one: replace(one, issuer_id="issuer_01h455vb4pex5vsknk084sn02r"), "another issuer's"),
        (lambda one: replace(one, version=2), "version 2, where 3 belongs"),
        (lambda one: replace(one, version=4), "version 4, where 3 belongs"),
        (lambda one: replace(one, keys=one.keys[:1]), "leaves out a key"),
    ],
)
def test_a_root_manifest_that_does_not_follow(
    turned: Turned, tmp_path: Path, change: Callable[[RootManifest], RootManifest], why: str
) -> None:
    said = _failed(turned, _resigned(turned, change), tmp_path / "pack")
    assert f"{ROOTS}, version 3" in said
    assert why in said


def test_a_root_manifest_of_another_log_than_the_pinned_one(turned: Turned, tmp_path: Path) -> None:
    rule = CheckpointRule("log.example/another", (), (), 0, 0)
    report = verified(turned[1].files, tmp_path / "pack", replace(turned[1].policy, checkpoint=rule))
    assert report.exit_code == ExitCode.KEY
    assert "of another log" in report.findings[0].message


def test_a_root_manifest_that_is_forged(turned: Turned, tmp_path: Path) -> None:
    forger = SoftwareSigner(bytes(range(32)))
    named = (signing.NamedKey("event", forger.public_key),)

    def with_another(one: RootManifest) -> RootManifest:
        return replace(one, keys=(*one.keys, *named))

    said = _failed(turned, _resigned(turned, with_another, forger), tmp_path / "another")
    assert "0 root keys that the version before it names signed" in said

    # The whole chain made anew under a root of the forger's own.
    insider = _insider(turned)
    lines = insider.files[ROOTS].decode().splitlines()
    chain = []
    for line in lines:
        manifest = replace(signing.read_manifest(line).manifest, root_keys=(forger.public_key,))
        manifest = replace(
            manifest, keys=tuple(one for one in manifest.keys if one.public_key != forger.public_key)
        )
        chain.append(signing.add_signature(signing.unsigned(manifest), forger).document())
    insider.files[ROOTS] = "".join(f"{one}\n" for one in chain).encode()
    insider.seal()
    assert "No root manifest is signed by the root keys that you pinned" in _failed(
        turned, insider, tmp_path / "chain"
    )

    # The genuine signature over another payload.
    insider = _insider(turned)
    document = json.loads(lines[-1])
    other = signing.unsigned(with_another(signing.read_manifest(lines[-1]).manifest)).document()
    document["payload"] = json.loads(other)["payload"]
    insider.files[ROOTS] = b"\n".join(
        [*(one.encode() for one in lines[:-1]), json.dumps(document).encode(), b""]
    )
    insider.seal()
    assert "does not verify" in _failed(turned, insider, tmp_path / "payload", ExitCode.SIGNATURE)


def test_a_pack_with_an_older_root_manifest(turned: Turned, tmp_path: Path) -> None:
    insider = _insider(turned)
    lines = insider.files[ROOTS].splitlines(keepends=True)
    # The newest version names a spare key only: without it the log is told as before, and the auditor knows better.
    insider.files[ROOTS] = b"".join(lines[:2])
    insider.seal()
    policy = turned[1].policy
    assert policy.root is not None
    report = verified(insider.files, tmp_path / "older", policy)
    assert report.exit_code == ExitCode.OK, _said(report)
    known = replace(policy, root=replace(policy.root, version_min=3))
    report = verified(insider.files, tmp_path / "known", known)
    assert report.exit_code == ExitCode.KEY
    assert "version 2, and you take none below 3" in _said(report)
    # With version 1 alone the second key was activated by a version that is not there.
    insider.files[ROOTS] = lines[0]
    insider.seal()
    said = _failed(turned, insider, tmp_path / "first")
    assert "The root manifest does not name the key" in said


def test_a_pack_without_its_root_manifest(turned: Turned, tmp_path: Path) -> None:
    insider = _insider(turned)
    del insider.files[ROOTS]
    insider.seal(
        lambda manifest: manifest.update(files=[one for one in manifest["files"] if one["name"] != ROOTS])
    )
    assert "no root manifest" in _failed(turned, insider, tmp_path / "pack")


def test_a_root_that_hands_over_to_another(rooted: Bank, tmp_path: Path) -> None:
    """The auditor pins the first root, or the second: both lead to the newest manifest."""
    origin = f"log.example/{rooted.issuer_id}"
    [old] = rooted.roots.key_ids(ROOT_FOLDER)
    new = signing.thumbprint(rooted.roots.create(ROOT_FOLDER))
    signers = {one: rooted.roots.signer(ROOT_FOLDER, one) for one in (old, new)}
    with rooted.database.engine.begin() as connection:
        drafted = signing.draft_manifest(
            connection, rooted.issuer_id, origin=origin, root_keys=(signers[new].public_key,)
        )
        signed = signing.unsigned(drafted)
        for one in signers.values():
            signed = signing.add_signature(signed, one)
        signing.import_manifest(connection, rooted.clock, rooted.issuer_id, signed.document(), origin=origin)
    key = prepared_key(rooted, named=False)
    assert name_keys(rooted).manifest.version == 3
    activate_key(rooted, key.id)
    evidence = _exported(rooted, tmp_path / "exports")
    for number, name in enumerate((old, new)):
        rule = RootRule((PublicKey(signers[name].public_key),))
        policy = Policy(rooted.issuer_id, (), root=rule)
        report = verified(evidence.files, tmp_path / str(number), policy)
        assert report.exit_code == ExitCode.OK, _said(report)


def test_a_key_that_was_lost_is_replaced_as_roots_say(rooted: Bank, tmp_path: Path) -> None:
    before = _active(rooted)
    spare = prepared_key(rooted)
    rooted.key_directory.remove(rooted.issuer_id, before)
    with pytest.raises(signing.SigningKeyUnavailableError):
        rooted.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    asked = change_key(rooted, "signing_key_activation", spare.id, {})
    with pytest.raises(signing.SigningKeyUnavailableError):
        rooted.approve(asked.resource_id)

    name_keys(rooted, lost=before)
    settled = activate_key(rooted, spare.id)

    assert settled.event_index is not None
    rooted.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    evidence = _exported(rooted, tmp_path / "exports")
    report = verified(evidence.files, tmp_path / "pack", evidence.policy)
    assert report.exit_code == ExitCode.OK, _said(report)
    # By the version before nobody could have known, so it would have taken another person.
    insider = evidence.insider()
    versions = [signing.read_manifest(line) for line in insider.files[ROOTS].decode().splitlines()]
    named = {"manifest_version": 2, "manifest_sha256": versions[1].sha256.hex()}
    insider.resign(settled.event_index, lambda payload: payload["key"].update(named))
    report = verified(insider.files, tmp_path / "early", evidence.policy)
    assert "no other person approved it" in _said(report)


# A bank that is older than events about keys: the auditor pins each key, or the root tells what they signed.


def test_older_keys_are_trusted_as_they_are_pinned(bank: Bank, tmp_path: Path) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    with bank.database.engine.begin() as connection:
        replace_older_key(connection, bank.clock, bank.issuer_id, bank.key_directory)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")

    def verify(name: str, pins: tuple[Pin, ...] | None = None) -> Report:
        evidence = _exported(bank, tmp_path / name)
        policy = evidence.policy if pins is None else replace(evidence.policy, pins=pins)
        return verified(evidence.files, tmp_path / f"{name}-pack", policy)

    first = _exported(bank, tmp_path / "first")
    pins = sorted(first.policy.pins, key=lambda pin: pin.public_key.kid == first.signer.key_id)
    assert verify("rotated").exit_code == ExitCode.OK
    assert verify("one-pinned", (pins[1],)).exit_code == ExitCode.KEY
    insider = first.insider()
    insider.other = bank.key_directory.signer(bank.issuer_id, pins[0].public_key.kid)
    append(insider, _small(insider), insider.other)
    report = verified(insider.files, tmp_path / "again", first.policy)
    assert report.exit_code == ExitCode.KEY
    assert "signs again" in _said(report)

    with bank.database.engine.begin() as connection:
        revoke_older_key(connection, bank.clock, bank.issuer_id, pins[0].public_key.kid)
    assert verify("revoked").exit_code == ExitCode.KEY
    # The auditor knows by other evidence that this key was still the bank's alone up to index 2.
    ended = (Pin(pins[0].public_key, 0, 2), pins[1])
    assert verify("ended", ended).exit_code == ExitCode.OK


def _small(insider: Insider) -> dict[str, Any]:
    """Return a freeze made of what a transfer says."""
    transfer = insider.payloads()[insider.index_of("token.transferred")]
    kept = {name: value for name, value in transfer.items() if name not in ("payee_account_id", "policy")}
    return freeze(insider, kept | {"type": "account.frozen", "amount": "0.00", "lines": []})


def test_an_older_log_that_came_under_a_root(bank: Bank, tmp_path: Path) -> None:
    bank.mint("HARBOUR-USD", "10.00")
    with bank.database.engine.begin() as connection:
        first = signing.active_key(connection, bank.issuer_id, signing.KeyUse.EVENT)
        replace_older_key(connection, bank.clock, bank.issuer_id, bank.key_directory)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    assert first is not None
    with bank.database.read() as connection:
        spans = events.key_spans(connection, bank.issuer_id)
        active = signing.active_key(connection, bank.issuer_id, signing.KeyUse.EVENT)
    come_under_root(bank)
    assert active is not None
    activate_key(bank, active.id)
    replace_key(bank)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    evidence = _exported(bank, tmp_path / "exports")
    assert spans[first.id] == (0, 2)

    report = verified(evidence.files, tmp_path / "pack", evidence.policy)
    assert report.exit_code == ExitCode.OK, _said(report)
    # With its keys pinned instead it is verified too.
    pins = tuple(
        Pin(PublicKey(one.public_key), 0, None)
        for one in bank.database.run(
            lambda on: signing.list_keys(on, bank.issuer_id, use=signing.KeyUse.EVENT)
        )
    )
    pinned = Policy(bank.issuer_id, pins)
    report = verified(evidence.files, tmp_path / "pinned", pinned)
    assert report.exit_code == ExitCode.OK, _said(report)

    insider = evidence.insider()
    insider.other = bank.key_directory.signer(bank.issuer_id, first.id)
    insider.resign(3, dict, other=True)
    report = verified(insider.files, tmp_path / "first", evidence.policy)
    assert report.exit_code == ExitCode.KEY
    assert "event 3: The root manifest does not say that the key signed here." in "\n".join(
        f"{one.place}: {one.message}" for one in report.findings
    )


def test_key_events_of_an_unknown_form(evidence: Evidence, tmp_path: Path) -> None:
    kid = evidence.signer.key_id
    unknown: list[tuple[str, dict[str, Any]]] = [
        ("signing_key.activated", {"kid": kid}),
        ("signing_key.revoked", {"kid": kid, "use": "event", "compromised_from_index": -1}),
        ("signing_key.revoked", {"kid": kid, "use": "event", "why": "x"}),
    ]
    for number, (event_type, key) in enumerate(unknown):
        insider = evidence.insider()
        append(insider, key_event(insider, event_type, key))
        report = verified(insider.files, tmp_path / str(number), evidence.policy)
        assert report.exit_code == ExitCode.UNSUPPORTED, _said(report)


def test_a_checkpoint_of_a_key_that_had_ended() -> None:
    keys = [PublicKey(SoftwareSigner(bytes([number]) * 32).public_key) for number in (1, 2)]
    book = KeyBook(())
    book.trust_root(
        Root(1, "o", {keys[0].kid: NamedKey("checkpoint", keys[0], None, None)}, {1: "0" * 64}, {})
    )
    book.check_checkpoint(keys[0].kid, 10, cosigned=False)
    with pytest.raises(Failure, match="does not name"):
        book.check_checkpoint(keys[1].kid, 10, cosigned=False)
    book._known[keys[0].kid].ended_at = 9
    with pytest.raises(Failure, match="ended with event 9"):
        book.check_checkpoint(keys[0].kid, 10, cosigned=True)
    book.check_checkpoint(keys[0].kid, 9, cosigned=False)
    book._known[keys[0].kid].revoked_at = 9
    with pytest.raises(Failure, match="compromised"):
        book.check_checkpoint(keys[0].kid, 9, cosigned=False)
    book.check_checkpoint(keys[0].kid, 9, cosigned=True)
