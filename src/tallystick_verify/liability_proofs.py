"""A holder's proof of liability: that what the bank owes this holder is counted in a total that the bank signed.

The file is what `GET /v1/liabilities/{id}/proof` answered. It proves a liability and no asset: that the bank has the
money is for its statements to show. And it proves one claim: who leaves others out is found by those others.
"""

import re
from typing import Any, Final

from tallystick_verify.canonical import JsonRefusedError, parse
from tallystick_verify.events import minor_units
from tallystick_verify.facts import ATTESTATION_TYPE, SUFFIX, Fact
from tallystick_verify.failures import ExitCode, Failure, PackFailure
from tallystick_verify.holders import check_event, check_receipt
from tallystick_verify.merkle_sums import Node, SumRefusedError, leaf, root_over
from tallystick_verify.policy_file import Policy
from tallystick_verify.report import Check, Report

__all__ = ["SIZE_MAX_BYTES", "verify_liability_proof"]

SIZE_MAX_BYTES: Final = 2_097_152
_FORMAT: Final = "tallystick-liability-proof/1"
_CHECKS: Final = ("signature", "proof", "log")
_TEXTS: Final = {
    name: re.compile(pattern, re.ASCII)
    for name, pattern in {
        "amount": r"[0-9.]{1,40}",
        "attestation_id": rf"attestation_{SUFFIX}",
        "currency": r"[A-Z]{3}",
        "format": r"[!-~]{1,64}",
        "issuer_id": rf"issuer_{SUFFIX}",
        "liability_id": rf"liability_{SUFFIX}",
        "object": r"liability_proof",
        "salt": r"[0-9a-f]{64}",
        "signed_event": r"[A-Za-z0-9_.-]{1,65536}",
        "token_class_id": rf"class_{SUFFIX}",
    }.items()
}
_NUMBERS: Final = ("as_of_index", "position", "scale")
_MEMBERS: Final = _TEXTS.keys() | {*_NUMBERS, "path", "receipt"}
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PATH_LENGTH_MAX: Final = 32
#: What the file says beside the signed event must be what the event says.
_SAID_TWICE: Final = ("as_of_index", "currency", "scale", "token_class_id")
_NO_ASSETS: Final = (
    "That the bank has the money: this proves what it owes, and not what it owns. Its assets are for its statements, "
    "and for an auditor, to show."
)
_OTHERS: Final = (
    "That nobody else was left out: each holder proves the own claim. The more of them check, the less can be "
    "missing."
)
_NO_LOG: Final = (
    "THAT OTHERS WERE SHOWN THE SAME ROOT: the policy pins no log. Compare the root with what others hold, or pin "
    "the log."
)


def verify_liability_proof(octets: bytes, policy: Policy) -> Report:
    """Verify a proof and return the report; failures are in it and never raised."""
    report = Report(checks={name: Check() for name in _CHECKS})
    step = "proof"
    try:
        told = _read(octets)
        step = "signature"
        fact = _attested(told, policy)
        report.passed("signature", f"event {fact.index}, by a key that you pinned for it")
        step = "proof"
        _check_path(told, fact)
        report.passed("proof", f"{told['amount']} of {fact.members['total']} {told['currency']}")
        step = "log"
        _check_log(told, policy, report)
        report.pack = {
            "issuer_id": told["issuer_id"],
            "attestation_id": told["attestation_id"],
            "token_class_id": told["token_class_id"],
            "liability_id": told["liability_id"],
            "amount": f"{told['amount']} {told['currency']}",
            "total": f"{fact.members['total']} {told['currency']}",
            "as_of_index": told["as_of_index"],
            "attested_at": fact.booked_at,
            "root_hash": fact.members["root_hash"],
        }
    except Failure as failure:
        report.failed(step, failure)
    report.unproven += (_NO_ASSETS, _OTHERS)
    return report


def _read(octets: bytes) -> dict[str, Any]:
    if len(octets) > SIZE_MAX_BYTES:
        raise PackFailure("The file is too large to be a proof.")
    try:
        found = parse(octets)
    except JsonRefusedError as error:
        raise PackFailure(f"The proof is malformed: {error}.") from None
    if not isinstance(found, dict) or found.get("object") != "liability_proof":
        raise PackFailure("The file is no proof of a liability.")
    if found.get("format") != _FORMAT:
        raise Failure(ExitCode.UNSUPPORTED, "The proof is of a form that is not known here.")
    if found.keys() != _MEMBERS:
        raise Failure(ExitCode.UNSUPPORTED, "The proof has other members than expected.")
    for name, pattern in _TEXTS.items():
        if not isinstance(found[name], str) or pattern.fullmatch(found[name]) is None:
            raise PackFailure(f"The proof's {name} is malformed.")
    if any(type(found[name]) is not int for name in _NUMBERS) or not 0 <= found["scale"] <= 9:
        raise PackFailure("The proof's position, scale or as_of_index is malformed.")
    if not isinstance(found["receipt"], str | None):
        raise PackFailure("The proof's receipt is malformed.")
    return found


def _attested(told: dict[str, Any], policy: Policy) -> Fact:
    fact = check_event(told["signed_event"].encode("ascii"), policy)
    if not isinstance(fact, Fact) or fact.type != ATTESTATION_TYPE:
        raise Failure(ExitCode.FIGURES, "What was signed is no attestation of liabilities.")
    if (told["issuer_id"], told["attestation_id"]) != (fact.issuer_id, fact.members["subject_id"]):
        raise Failure(ExitCode.FIGURES, "What was signed is another attestation.")
    for name in _SAID_TWICE:
        if told[name] != fact.members[name]:
            raise Failure(ExitCode.FIGURES, f"The proof's {name} is not the attestation's.")
    return fact


def _check_path(told: dict[str, Any], fact: Fact) -> None:
    scale, path = told["scale"], told["path"]
    if not isinstance(path, list) or len(path) > _PATH_LENGTH_MAX:
        raise PackFailure("The proof's path is malformed.")
    siblings = [_node(one, scale) for one in path]
    total_minor = minor_units(fact.members["total"], scale)
    if len(siblings) != fact.members["depth"]:
        raise Failure(ExitCode.FIGURES, "The path is not as long as the attested tree is deep.")
    try:
        own = leaf(bytes.fromhex(told["salt"]), told["liability_id"], _minor(told["amount"], scale))
        root = root_over(own, told["position"], siblings)
    except SumRefusedError as error:
        raise Failure(ExitCode.FIGURES, f"The path is none of an honest tree: {error}.") from None
    if root.hash.hex() != fact.members["root_hash"]:
        raise Failure(ExitCode.FIGURES, "The claim does not lead to the attested root.")
    if root.sum_minor != total_minor:
        raise Failure(ExitCode.FIGURES, "The claims do not sum up to the attested total.")


def _node(found: Any, scale: int) -> Node:
    if not isinstance(found, dict) or found.keys() != {"hash", "sum"}:
        raise PackFailure("The proof's path is malformed.")
    if not isinstance(found["hash"], str) or _HASH.fullmatch(found["hash"]) is None:
        raise PackFailure("The proof's path is malformed.")
    return Node(bytes.fromhex(found["hash"]), _minor(found["sum"], scale))


def _minor(text: Any, scale: int) -> int:
    try:
        return minor_units(text, scale)
    except Failure as failure:
        raise PackFailure(failure.message) from None


def _check_log(told: dict[str, Any], policy: Policy, report: Report) -> None:
    if policy.checkpoint is None:
        report.skipped("log", "the policy pins no log")
        report.unproven.append(_NO_LOG)
        return
    if told["receipt"] is None:
        raise Failure(
            ExitCode.LOG, "The proof has no receipt of the log that the policy pins: ask for it again."
        )
    event, size, witnesses = check_receipt(
        told["receipt"].encode(), told["signed_event"].encode("ascii"), policy
    )
    report.passed("log", f"event {event.index} of {size:,}, cosigned by {', '.join(witnesses) or 'nobody'}")
