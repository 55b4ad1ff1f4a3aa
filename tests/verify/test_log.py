"""Checkpoints: signature, quorum, root, and consistency with what was seen before; leaves and receipts of holders."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick_verify import ExitCode, Options, Policy, Report
from tallystick_verify.failures import Failure
from tallystick_verify.holders import check_receipt
from tallystick_verify.notes import LOG, WITNESS, VerifierKey, read_verifier_key
from tallystick_verify.policy_file import CheckpointRule
from tests.verify.packs import Evidence, Insider, verified

ORIGIN = "log.example/riverbank"


class Signer:
    """Signs notes as a log or as a witness does."""

    def __init__(self, name: str, signature_type: int, *, bearer: str = "") -> None:
        self.name, self.type = name, signature_type
        # The same in every process that collects tests: keys are in their names.
        self.key = Ed25519PrivateKey.from_private_bytes(
            hashlib.sha256(f"{signature_type} {name} {bearer}".encode()).digest()
        )
        octets = bytes([signature_type]) + self.key.public_key().public_bytes_raw()
        self.key_id = hashlib.sha256(name.encode() + b"\n" + octets).digest()[:4]
        self.vkey = f"{name}+{self.key_id.hex()}+{base64.b64encode(octets).decode()}"

    @property
    def verifier_key(self) -> VerifierKey:
        return read_verifier_key(self.vkey)

    def line(self, text: str) -> str:
        if self.type == LOG:
            signature = self.key.sign(text.encode())
        else:
            moment = 1_795_000_000
            signed = self.key.sign(f"cosignature/v1\ntime {moment}\n{text}".encode())
            signature = moment.to_bytes(8, "big") + signed
        return f"— {self.name} {base64.b64encode(self.key_id + signature).decode()}\n"


LOG_SIGNER = Signer(ORIGIN, LOG)
WITNESSES = [Signer(f"witness.example/w{number}", WITNESS) for number in range(3)]
RULE = CheckpointRule(ORIGIN, (LOG_SIGNER.verifier_key,), tuple(one.verifier_key for one in WITNESSES), 2, 0)


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree_root(leaves[:k]) + tree_root(leaves[k:])).digest()


def inclusion(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if m < k:
        return [*inclusion(m, leaves[:k]), tree_root(leaves[k:])]
    return [*inclusion(m - k, leaves[k:]), tree_root(leaves[:k])]


def consistency(m: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [tree_root(leaves)]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if m <= k:
        return [*consistency(m, leaves[:k], whole=whole), tree_root(leaves[k:])]
    return [*consistency(m - k, leaves[k:], whole=False), tree_root(leaves[:k])]


def note(
    leaves: Sequence[bytes], signers: Sequence[Signer], *, origin: str = ORIGIN, root: bytes | None = None
) -> bytes:
    """Return a signed checkpoint over leaves."""
    encoded = base64.b64encode(tree_root(leaves) if root is None else root).decode()
    text = f"{origin}\n{len(leaves)}\n{encoded}\n"
    return (text + "\n" + "".join(one.line(text) for one in signers)).encode()


def leaves_of(insider: Insider) -> list[bytes]:
    return [row["jws"].encode() for row in insider.rows("events.jsonl")]


def check(
    insider: Insider, folder: Path, policy: Policy, checkpoint: bytes, options: Options | None = None
) -> Report:
    insider.files["checkpoint.txt"] = checkpoint
    insider.seal()
    return verified(insider.files, folder, policy, options or Options())


@pytest.fixture
def policy(evidence: Evidence) -> Policy:
    return replace(evidence.pinned, checkpoint=RULE)


def test_a_cosigned_checkpoint_is_verified(evidence: Evidence, policy: Policy, tmp_path: Path) -> None:
    insider = evidence.insider()

    report = check(insider, tmp_path / "pack", policy, note(leaves_of(insider), [LOG_SIGNER, *WITNESSES[1:]]))

    assert report.exit_code == ExitCode.OK, report.text()
    assert base64.b64decode(report.pack["root"]) == tree_root(leaves_of(insider))
    assert not any("ONLY LOG" in one for one in report.unproven)
    assert "w1" in report.checks["checkpoint"].detail


def test_checkpoints_that_are_refused(evidence: Evidence, policy: Policy, tmp_path: Path) -> None:
    leaves = leaves_of(evidence.insider())
    stranger = Signer(ORIGIN, LOG, bearer="stranger")
    whole = note(leaves, [LOG_SIGNER, *WITNESSES])
    refused = {
        "one witness": (note(leaves, [LOG_SIGNER, WITNESSES[0]]), ExitCode.LOG),
        "one witness twice": (note(leaves, [LOG_SIGNER, WITNESSES[0], WITNESSES[0]]), ExitCode.LOG),
        "nobody's log": (note(leaves, [stranger, *WITNESSES]), ExitCode.LOG),
        "not the log": (note(leaves, WITNESSES), ExitCode.LOG),
        "another origin": (note(leaves, [LOG_SIGNER, *WITNESSES], origin="log.example/x"), ExitCode.LOG),
        "another root": (note(leaves, [LOG_SIGNER, *WITNESSES], root=bytes(32)), ExitCode.LOG),
        "an event uncovered": (note(leaves[:-1], [LOG_SIGNER, *WITNESSES]), ExitCode.LOG),
        "a longer log, unproven": (note([*leaves, b"more"], [LOG_SIGNER, *WITNESSES]), ExitCode.LOG),
        "changed text": (whole.replace(b"\n36\n", b"\n15\n"), ExitCode.SIGNATURE),
        "no signature": (whole.split(b"\n\n")[0] + b"\n", ExitCode.LOG),
        "a leading zero": (whole.replace(b"\n36\n", b"\n036\n"), ExitCode.LOG),
        "a short root": (note(leaves, [LOG_SIGNER, *WITNESSES], root=bytes(31)), ExitCode.LOG),
        "a carriage return": (whole.replace(b"\n36\n", b"\n36\r\n"), ExitCode.LOG),
        "no text": (b"", ExitCode.LOG),
        "other bytes": (b"\xff\n\n", ExitCode.LOG),
    }
    for name, (checkpoint, code) in refused.items():
        report = check(evidence.insider(), tmp_path / name, policy, checkpoint)
        assert report.exit_code == code, (name, report.text())


def test_a_checkpoint_that_nobody_pinned(evidence: Evidence, tmp_path: Path) -> None:
    insider = evidence.insider()

    report = check(insider, tmp_path / "pack", evidence.pinned, note(leaves_of(insider), [LOG_SIGNER]))

    assert report.exit_code == ExitCode.LOG


def test_a_policy_without_witnesses_says_so(evidence: Evidence, tmp_path: Path) -> None:
    insider = evidence.insider()
    alone = replace(evidence.pinned, checkpoint=replace(RULE, quorum=0, uncovered_events_max=2))

    report = check(insider, tmp_path / "pack", alone, note(leaves_of(insider)[:-2], [LOG_SIGNER]))

    assert report.exit_code == ExitCode.OK
    assert any("asks for no witness" in one for one in report.unproven)
    assert "2 events lie behind" in report.checks["checkpoint"].detail


def test_a_longer_log_s_checkpoint_with_its_proof(evidence: Evidence, policy: Policy, tmp_path: Path) -> None:
    insider = evidence.insider()
    leaves = leaves_of(insider)
    longer = [*leaves, *(f"later {number}".encode() for number in range(5))]
    proof = [base64.b64encode(one).decode() + "\n" for one in consistency(len(leaves), longer)]
    insider.files["consistency.txt"] = "".join(proof).encode()

    assert check(insider, tmp_path / "proven", policy, note(longer, [LOG_SIGNER, *WITNESSES])).exit_code == (
        ExitCode.OK
    )

    insider.files["consistency.txt"] = "".join(proof[1:]).encode()
    assert (
        check(insider, tmp_path / "short", policy, note(longer, [LOG_SIGNER, *WITNESSES])).exit_code
        == ExitCode.LOG
    )
    forked = [b"another", *longer[1:]]
    insider.files["consistency.txt"] = "".join(proof).encode()
    assert (
        check(insider, tmp_path / "forked", policy, note(forked, [LOG_SIGNER, *WITNESSES])).exit_code
        == ExitCode.LOG
    )


def test_earlier_checkpoints_are_remembered_and_held_against(
    evidence: Evidence, policy: Policy, tmp_path: Path
) -> None:
    insider, held = evidence.insider(), tmp_path / "held"
    whole = note(leaves_of(insider), [LOG_SIGNER, *WITNESSES])
    first = check(insider, tmp_path / "first", policy, whole, Options(held=held, remember=True))
    assert first.exit_code == ExitCode.OK
    assert [one.name for one in held.iterdir()] == ["36.txt"]
    (held / "earlier.txt").write_bytes(note(leaves_of(insider)[:7], [LOG_SIGNER]))

    again = check(evidence.insider(), tmp_path / "again", policy, whole, Options(held=held))
    assert again.exit_code == ExitCode.OK
    assert again.checks["seen before"].detail.startswith("2 earlier")

    # The insider writes another log of the same length, and the witnesses are deceived as well.
    other = evidence.insider()
    other.resign(
        other.index_of("token.redeemed"),
        lambda payload: payload.update(principal_id="principal_00000000000000000000000000"),
    )
    forked = check(
        other,
        tmp_path / "forked",
        policy,
        note(leaves_of(other), [LOG_SIGNER, *WITNESSES]),
        Options(held=held),
    )
    assert forked.exit_code == ExitCode.LOG
    assert "others than were seen" in forked.findings[0].message


def test_a_checkpoint_that_is_held_and_unreadable(evidence: Evidence, policy: Policy, tmp_path: Path) -> None:
    insider, held = evidence.insider(), tmp_path / "held"
    held.mkdir()
    (held / "1.txt").write_text("nothing\n")
    whole = note(leaves_of(insider), [LOG_SIGNER, *WITNESSES])

    assert check(insider, tmp_path / "pack", policy, whole, Options(held=held)).exit_code == ExitCode.LOG


def test_checkpoints_that_the_bank_put_in(evidence: Evidence, policy: Policy, tmp_path: Path) -> None:
    insider = evidence.insider()
    leaves = leaves_of(insider)
    insider.files["checkpoints/5.txt"] = note(leaves[:5], [LOG_SIGNER])
    whole = note(leaves, [LOG_SIGNER, *WITNESSES])

    assert check(insider, tmp_path / "good", policy, whole).exit_code == ExitCode.OK
    insider.files["checkpoints/5.txt"] = note(leaves[1:6], [LOG_SIGNER])
    assert check(insider, tmp_path / "forked", policy, whole).exit_code == ExitCode.LOG
    insider.files["checkpoints/5.txt"] = note(leaves[:4], [LOG_SIGNER])
    assert check(insider, tmp_path / "misnamed", policy, whole).exit_code == ExitCode.LOG


def _holder(evidence: Evidence, indexes: Sequence[int]) -> Insider:
    """Return what a holder is given: some leaves, each with its proof."""
    insider = evidence.insider()
    leaves = leaves_of(insider)
    rows = [
        {
            "index": index,
            "jws": leaves[index].decode(),
            "proof": [base64.b64encode(one).decode() for one in inclusion(index, leaves)],
        }
        for index in indexes
    ]
    kept = {name: insider.files[name] for name in ("keys.jsonl", "manifest.json")}
    insider.files = kept | {"checkpoint.txt": note(leaves, [LOG_SIGNER, *WITNESSES])}
    insider.write("events.jsonl", rows)

    def change(manifest: dict[str, Any]) -> None:
        manifest["pack_kind"] = "holder"
        manifest["files"] = [one for one in manifest["files"] if one["name"] in insider.files]

    insider.seal(change)
    return insider


def test_a_holder_s_leaves(evidence: Evidence, policy: Policy, tmp_path: Path) -> None:
    insider = _holder(evidence, [3, 4, 33])

    report = verified(insider.files, tmp_path / "pack", policy, Options())

    assert report.exit_code == ExitCode.OK, report.text()
    assert any(one.startswith("Balances") for one in report.unproven)
    insider.edit("events.jsonl", lambda rows: rows[1].update(proof=rows[0]["proof"]))
    assert verified(insider.files, tmp_path / "other", policy, Options()).exit_code == ExitCode.LOG


def test_a_holder_s_leaves_without_a_checkpoint(evidence: Evidence, policy: Policy, tmp_path: Path) -> None:
    insider = _holder(evidence, [2])
    insider.files["checkpoint.txt"] = insider.files["checkpoint.txt"].replace(b"\n36\n", b"\n37\n")
    insider.seal()

    assert verified(insider.files, tmp_path / "pack", policy).exit_code == ExitCode.SIGNATURE


def test_a_receipt(evidence: Evidence, policy: Policy) -> None:
    leaves = leaves_of(evidence.insider())
    proof = "".join(base64.b64encode(one).decode() + "\n" for one in inclusion(5, leaves))
    head = f"c2sp.org/tlog-proof@v1\nindex 5\n{proof}\n".encode()
    signed = note(leaves, [LOG_SIGNER, *WITNESSES])

    event, size, witnesses = check_receipt(head + signed, leaves[5], policy)
    assert (event.type, size, len(witnesses)) == ("token.transferred", 36, 3)
    extra = head.replace(b"index", b"extra e30=\nindex", 1)
    assert check_receipt(extra + signed, leaves[5], policy)[1] == 36
    for receipt, leaf in (
        (head + signed, leaves[6]),
        (head.replace(b"index 5", b"index 6") + signed, leaves[5]),
        (head.replace(b"index 5", b"index 05") + signed, leaves[5]),
        (head.replace(b"@v1", b"@v2") + signed, leaves[5]),
        (head + note(leaves, [LOG_SIGNER]), leaves[5]),
        (b"", leaves[5]),
    ):
        with pytest.raises(Failure) as failed:
            check_receipt(receipt, leaf, policy)
        assert failed.value.exit_code == ExitCode.LOG


def test_a_report_is_one_document(evidence: Evidence, policy: Policy, tmp_path: Path) -> None:
    insider = evidence.insider()
    report = check(insider, tmp_path / "pack", policy, note(leaves_of(insider), [LOG_SIGNER, *WITNESSES]))

    document = json.loads(json.dumps(report.document()))
    assert (document["verdict"], document["exit_code"]) == ("verified", 0)
    assert {one["name"] for one in document["checks"] if one["state"] != "passed"} == {"root"}
    assert [one["supply"] for one in document["figures"]] == ["250.50", "980.00"]
