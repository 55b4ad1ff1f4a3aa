"""Signed facts that move no money: votes and their ends, changes of how the bank is run, and events about signing keys.

Each has the members of its type, and no others; whatever isn't known here is refused.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from tallystick_verify.chart import CHANGES
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.nested import check_nested

__all__ = [
    "ATTESTATION_TYPE",
    "ATTESTED_TYPE",
    "BATCH_TYPE",
    "CLOSED_TYPE",
    "FACT_TYPES",
    "PAYOUT_FILE_TYPE",
    "REOPENED_TYPE",
    "SUFFIX",
    "TEXTS",
    "Fact",
    "check_hashes",
    "check_texts",
    "odd",
    "read_fact",
]

SUFFIX: Final = r"[0-7][0-9a-hjkmnp-tv-z]{25}"
#: The form of the members that any event may have.
TEXTS: Final = {
    name: re.compile(pattern, re.ASCII)
    for name, pattern in {
        "approval_id": rf"approval_{SUFFIX}",
        "amount": r"[0-9.]{1,40}",
        "booked_amount": r"[0-9.]{1,40}",
        "booked_at": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z",
        "currency": r"[A-Z]{3}",
        "content_sha256": r"[0-9a-f]{64}",
        "control_sum": r"[0-9.]{1,40}",
        "decision": r"approve|reject",
        "file_id": rf"payout_file_{SUFFIX}",
        "format": r"pain\.001\.001\.09|pacs\.008\.001\.08",
        "id": rf"event_{SUFFIX}",
        "instruction_id": rf"[a-z_]{{2,24}}_{SUFFIX}",
        "issuer_id": rf"issuer_{SUFFIX}",
        "made_at": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z",
        "manifest_sha256": r"[0-9a-f]{64}",
        "operation": r"[a-z_]{1,64}",
        "outcome_hash": r"[0-9a-f]{64}",
        "payload_hash": r"[0-9a-f]{64}",
        "original_value_date": r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
        "principal_id": rf"principal_{SUFFIX}|system",
        "reconciliation_id": rf"reconciliation_{SUFFIX}",
        "request_hash": r"[0-9a-f]{64}",
        "root_hash": r"[0-9a-f]{64}",
        "subject_id": r"[!-~]{1,200}",
        "token_class_id": rf"class_{SUFFIX}",
        "total": r"[0-9.]{1,40}",
        "tree_format": r"merkle-sum-v1",
        "type": r"[a-z_.]{1,64}",
        "vote_hash": r"[0-9a-f]{64}",
    }.items()
}
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

_COMMON: Final = frozenset({"booked_at", "id", "index", "issuer_id", "type", "version"})
_VOTE: Final = frozenset(
    {"approval_id", "decision", "instruction_id", "operation", "principal_id", "request_hash", "vote_hash"}
)
_EXPIRY: Final = frozenset({"approval_id", "instruction_id", "operation", "principal_id"})
_CHANGE: Final = frozenset(
    {"approvals", "instruction_id", "operation", "payload_hash", "principal_id", "request_hash", "subject_id"}
)
_KEY_TYPES: Final = frozenset({"signing_key.activated", "signing_key.retired", "signing_key.revoked"})
#: The end of a batch that people approved as a whole; what was booked of it stands in front of it.
BATCH_TYPE: Final = "transfer_batch.settled"
#: What people signed of a business date, and what a reconciliation found.
CLOSED_TYPE: Final = "business_date.closed"
REOPENED_TYPE: Final = "business_date.reopened"
ATTESTED_TYPE: Final = "reconciliation.attested"
_BATCH: Final = frozenset(
    {
        "amount",
        "approvals",
        "booked_amount",
        "booked_count",
        "currency",
        "instruction_id",
        "operation",
        "outcome_hash",
        "principal_id",
        "request_hash",
        "scale",
        "token_class_id",
    }
)
#: The root over all liabilities of a class; how it is made, `liability_proofs` tells.
ATTESTATION_TYPE: Final = "liabilities.attested"
_ATTESTATION: Final = _CHANGE | {
    "as_of_index",
    "currency",
    "depth",
    "root_hash",
    "scale",
    "token_class_id",
    "total",
    "tree_format",
}
_DEPTH_MAX: Final = 32
#: An evidence pack that was made: the SHA-256 of its manifest.json.
_PACK: Final = _CHANGE | {"manifest_sha256"}
#: A file that tells the bank to pay: exactly these payouts, in these bytes.
PAYOUT_FILE_TYPE: Final = "payout_file.made"
_PAYOUT_FILE: Final = _CHANGE | {
    "content_sha256",
    "control_sum",
    "currency",
    "file_id",
    "format",
    "made_at",
    "payout_ids",
    "scale",
    "sequence",
    "token_class_id",
}
_PAYOUT_ID: Final = re.compile(rf"payout_{SUFFIX}", re.ASCII)
#: A breaker that trips by itself: nobody asked for it.
_TRIP: Final = frozenset({"reason", "token_class_id"})

#: What a reconciliation found: of no instruction, as it moves nothing.
_ATTESTED: Final = frozenset({"attestation", "principal_id", "reconciliation_id", "token_class_id"})

_MEMBERS: Final[dict[str, tuple[frozenset[str], ...]]] = {
    "approval.approved": (_VOTE,),
    "approval.expired": (_EXPIRY,),
    "approval.rejected": (_VOTE,),
    **dict.fromkeys(CHANGES, (_CHANGE,)),
    **dict.fromkeys(_KEY_TYPES, (_CHANGE | {"key"},)),
    "breaker.tripped": (_CHANGE, _TRIP),
    ATTESTATION_TYPE: (_ATTESTATION,),
    "export.made": (_PACK,),
    BATCH_TYPE: (_BATCH,),
    PAYOUT_FILE_TYPE: (_PAYOUT_FILE,),
    CLOSED_TYPE: (_CHANGE | {"figures"},),
    REOPENED_TYPE: (_CHANGE | {"figures"},),
    ATTESTED_TYPE: (_ATTESTED,),
}
FACT_TYPES: Final = frozenset(_MEMBERS)
_DECISIONS: Final = {"approval.approved": "approve", "approval.rejected": "reject"}


@dataclass(slots=True)
class Fact:
    """A signed fact that moves no money, its form checked. `members` are all that it says."""

    index: int
    id: str
    type: str
    issuer_id: str
    booked_at: str
    members: dict[str, Any]

    @property
    def is_vote(self) -> bool:
        """Tell whether a person decided here."""
        return self.type in _DECISIONS

    @property
    def is_change(self) -> bool:
        """Tell whether somebody asked for this, as they ask for an instruction."""
        return "payload_hash" in self.members

    @property
    def operation(self) -> str:
        """The operation that a policy's quorum is for."""
        return str(self.members.get("operation", ""))

    @property
    def approvals(self) -> tuple[str, ...]:
        """The hashes of the votes that let it through."""
        return tuple(self.members.get("approvals", ()))


def read_fact(found: dict[str, Any]) -> Fact:
    """Return a fact of a known type. Raises Failure (unsupported) for another form than that type's."""
    own = found.keys() - _COMMON
    if not found.keys() >= _COMMON or own not in _MEMBERS[found["type"]]:
        raise Failure(ExitCode.UNSUPPORTED, f"A {found['type']} event has other members than expected.")
    check_texts(found, TEXTS)
    check_hashes(found.get("approvals", []))
    fact = Fact(found["index"], found["id"], found["type"], found["issuer_id"], found["booked_at"], found)
    if fact.is_vote and found["decision"] != _DECISIONS[fact.type]:
        raise odd("decision")
    if "approval_id" in own and found["approval_id"][-26:] != found["instruction_id"][-26:]:
        raise odd("approval_id")
    if fact.is_change and (
        found["operation"] != CHANGES[fact.type][0] or found["id"][-26:] != _suffix(found)
    ):
        raise odd("operation or id")
    if fact.type == BATCH_TYPE:
        _check_batch(found)
    if fact.type == ATTESTATION_TYPE:
        _check_attestation(found)
    if fact.type == PAYOUT_FILE_TYPE:
        _check_payout_file(found)
    if "reason" in own and not isinstance(found["reason"], str):
        raise odd("reason")
    check_nested(found)
    if "key" in own and found["key"]["kid"] != found["subject_id"]:
        raise odd("key or subject_id")
    return fact


def _check_batch(found: dict[str, Any]) -> None:
    if type(found["booked_count"]) is not int or found["booked_count"] < 0:
        raise odd("booked_count")
    if type(found["scale"]) is not int or not 0 <= found["scale"] <= 9:
        raise odd("scale")
    if found["operation"] != "transfer_batch" or found["id"][-26:] != _suffix(found):
        raise odd("operation or id")


def _check_attestation(found: dict[str, Any]) -> None:
    if any(type(found[name]) is not int for name in ("as_of_index", "depth", "scale")):
        raise odd("as_of_index, depth or scale")
    # What is attested lies before what attests it.
    if not -1 <= found["as_of_index"] < found["index"] or not 0 <= found["depth"] <= _DEPTH_MAX:
        raise odd("as_of_index or depth")
    if not 0 <= found["scale"] <= 9:
        raise odd("scale")


def _check_payout_file(found: dict[str, Any]) -> None:
    if type(found["scale"]) is not int or type(found["sequence"]) is not int or not 0 <= found["scale"] <= 9:
        raise odd("scale or sequence")
    ids = found["payout_ids"]
    if not isinstance(ids, list) or not all(
        isinstance(one, str) and _PAYOUT_ID.fullmatch(one) for one in ids
    ):
        raise odd("payout_ids")
    if found["subject_id"] != found["token_class_id"]:
        raise odd("subject_id")


def check_texts(found: dict[str, Any], patterns: dict[str, re.Pattern[str]]) -> None:
    """Check every text of an event, its index and its dates. Raises Failure (unsupported)."""
    for name, value in found.items():
        pattern = patterns.get(name)
        if pattern is not None and (not isinstance(value, str) or pattern.fullmatch(value) is None):
            raise odd(name)
    if type(found["index"]) is not int or found["index"] < 0:
        raise odd("index")
    try:
        datetime.fromisoformat(found["booked_at"])
        date.fromisoformat(found.get("value_date", "2000-01-01"))
        date.fromisoformat(found.get("original_value_date", "2000-01-01"))
    except ValueError:
        raise odd("booked_at or value_date") from None


def check_hashes(found: Any) -> None:
    """Check the hashes of votes that an event names. Raises Failure (unsupported)."""
    if not isinstance(found, list) or not all(isinstance(one, str) and _HASH.fullmatch(one) for one in found):
        raise odd("approvals")


def odd(name: str) -> Failure:
    """Return the failure of a member that is not as it is known here."""
    return Failure(ExitCode.UNSUPPORTED, f"The event's {name} is not of the form that is known here.")


def _suffix(found: dict[str, Any]) -> str:
    return str(found["instruction_id"])[-26:]
