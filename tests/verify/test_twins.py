"""Each of our own formats, and its malformed twins: cut short, a bit turned, a member taken away; each by its class.

The twin is judged with everything else in order, so that it is the format itself that refuses it: inside a pack the
insider makes the manifest right again.
"""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tallystick.core.canonical_json import canonical_json
from tallystick_verify import ExitCode, Policy
from tallystick_verify.chart import CHANGES
from tallystick_verify.events import read_event
from tallystick_verify.failures import Failure
from tallystick_verify.holders import check_event, check_receipt
from tallystick_verify.log import signed_checkpoint
from tallystick_verify.roots import read_root
from tests.verify.packs import Evidence, segments, verified
from tests.verify.test_log import LOG_SIGNER, RULE, WITNESSES, inclusion, leaves_of, note

#: What reads it, and the classes that a twin may be of; a verdict or a fault of the verifier's is in none.
Format = tuple[bytes, Callable[[bytes], object], set[ExitCode]]
_PLACES: Final = 40


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


def twins(golden: bytes) -> Iterator[tuple[str, bytes]]:
    step = max(len(golden) // _PLACES, 1)
    for place in range(0, len(golden), step):
        yield f"cut at {place}", golden[:place]
        yield f"bit at {place}", golden[:place] + bytes([golden[place] ^ 1]) + golden[place + 1 :]
    yield "something behind it", golden + b"x"
    yield "a byte that is no text", golden + b"\xff"


@pytest.mark.parametrize("name", FORMATS)
def test_no_twin_is_taken(name: str, formats: dict[str, Format]) -> None:
    golden, read, classes = formats[name]
    assert read(golden), "the golden one is sound"
    for what, twin in twins(golden):
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


def test_a_member_that_is_missing_or_new_is_refused_in_every_event(evidence: Evidence) -> None:
    seen = set()
    for payload in _one_of_each_type(evidence):
        read_event(canonical_json(payload))
        seen.add(payload["type"])
        optional = {"policy", "purpose", "original_value_date"}
        if payload["type"] in {"deposit.confirmed", "token.transferred"}:
            optional |= {"related_id"}
        for member in payload.keys() - optional:
            _refused({name: value for name, value in payload.items() if name != member})
        _refused(payload | {"another": "1"})
        for member, value in payload.items():
            # A number where there is none, and a text where a number is.
            _refused(payload | {member: 7 if not isinstance(value, int) else "7"})
    # What seals sign, and everything else that people or the service change, is of these forms too.
    assert {"records.sealed", "breaker.reset", "token.minted", "token.transferred"} <= seen
    assert set(CHANGES) - _WITH_MORE <= seen


#: Changes with members of their own, which tests of their own take apart.
_WITH_MORE: Final = {
    "business_date.closed",
    "business_date.reopened",
    "export.made",
    "liabilities.attested",
    "payout_file.made",
    "signing_key.activated",
    "signing_key.retired",
    "signing_key.revoked",
}


def _one_of_each_type(evidence: Evidence) -> Iterator[dict[str, Any]]:
    payloads = evidence.insider().payloads()
    yield from {one["type"]: one for one in payloads}.values()
    common = payloads[-1]
    suffix = common["id"][-26:]
    for event_type, (operation, _) in CHANGES.items():
        if event_type not in _WITH_MORE:
            yield {
                "approvals": [],
                "booked_at": common["booked_at"],
                "id": f"event_{suffix}",
                "index": 7,
                "instruction_id": f"change_{suffix}",
                "issuer_id": common["issuer_id"],
                "operation": operation,
                "payload_hash": "0" * 64,
                "principal_id": "system",
                "request_hash": "0" * 64,
                "subject_id": "x",
                "type": event_type,
                "version": 1,
            }


def _refused(payload: dict[str, Any]) -> None:
    with pytest.raises(Failure) as failed:
        read_event(canonical_json(payload))
    assert failed.value.exit_code == ExitCode.UNSUPPORTED, payload


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
