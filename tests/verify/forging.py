"""What it takes to forge more than one event: approvals that fit, and events that are added at the end."""

import hashlib
import secrets
from collections.abc import Callable
from typing import Any, Final

from tallystick import signing
from tallystick.core.canonical_json import canonical_json
from tallystick.core.ids import new_suffix
from tallystick.signing import SoftwareSigner
from tests.verify.packs import Insider

__all__ = [
    "append",
    "approve",
    "emptied",
    "freeze",
    "insert",
    "key_event",
    "reamount",
    "vote_hash",
    "votes_of",
]


KEY_OPERATIONS: Final = {
    "signing_key.activated": "signing_key_activation",
    "signing_key.retired": "signing_key_retirement",
    "signing_key.revoked": "signing_key_revocation",
}


def vote_hash(approval: dict[str, Any], vote: dict[str, Any]) -> str:
    """Return what the service hashes for a vote."""
    statement = {
        "approval_id": approval["id"],
        "issuer_id": approval["issuer_id"],
        "operation": approval["operation"],
        "subject_id": approval["subject_id"],
        "request_hash": approval["request_hash"],
        "maker": approval["maker"],
        "checker": vote["person"],
        "principal_id": vote["principal_id"],
        "decision": vote["decision"],
        "decided_at": vote["decided_at"],
    }
    if approval["amount"] is not None:
        statement |= {"amount": approval["amount"], "currency": approval["currency"]}
    return hashlib.sha256(canonical_json(statement)).hexdigest()


def approve(insider: Insider, index: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the approval behind an event, hash its votes anew, and sign the event over those hashes."""
    event = insider.payloads()[index]
    rows = insider.rows("approvals.jsonl")
    [row] = [one for one in rows if one["subject_id"] == event["instruction_id"]]
    change(row)
    for vote in row["votes"]:
        vote["hash"] = vote_hash(row, vote)
    insider.write("approvals.jsonl", rows)
    for number, vote in zip(votes_of(insider, row["id"]), row["votes"], strict=False):
        members = {"vote_hash": vote["hash"], "principal_id": vote["principal_id"]}
        insider.resign(number, lambda payload, members=members: payload.update(members))  # type: ignore[misc]
    insider.resign(index, lambda payload: payload.update(approvals=[vote["hash"] for vote in row["votes"]]))


def votes_of(insider: Insider, approval_id: str) -> list[int]:
    """Return the indexes of the votes for an approval."""
    return [one["index"] for one in insider.payloads() if one.get("approval_id") == approval_id]


def reamount(insider: Insider, index: int, amount: str) -> None:
    """Make an event of another amount, its lines and its approval with it."""

    def change(payload: dict[str, Any]) -> None:
        payload["amount"] = amount
        for line in payload["lines"]:
            line["debit" if "debit" in line else "credit"] = amount

    insider.resign(index, change)
    if insider.payloads()[index].get("approvals"):
        approve(insider, index, lambda row: row.update(amount=amount))


def append(insider: Insider, payload: dict[str, Any], signer: SoftwareSigner | None = None) -> int:
    """Add an event that posts nothing to the end of the log; return its index."""
    rows = insider.rows("events.jsonl")
    index = len(rows)
    jws = signing.sign_compact(signer or insider.signer, canonical_json(payload | {"index": index}))
    insider.write("events.jsonl", [*rows, {"index": index, "jws": jws}])
    if not payload["type"].startswith(("approval.",)):
        keys = [
            *insider.rows("idempotency.jsonl"),
            {"key_digest": secrets.token_hex(32), "event_index": index},
        ]
        insider.write("idempotency.jsonl", sorted(keys, key=lambda row: str(row["key_digest"])))
    insider.seal(lambda manifest: manifest.update(last_event_index=index))
    return index


def insert(insider: Insider, index: int, payload: dict[str, Any]) -> None:
    """Put an event into the middle of the log, and sign everything behind it for its new place."""
    payloads = insider.payloads()
    payloads.insert(index, payload)
    rows = insider.rows("events.jsonl")[:index]
    for number, one in enumerate(payloads[index:], index):
        jws = signing.sign_compact(insider.signer, canonical_json(one | {"index": number}))
        rows.append({"index": number, "jws": jws})
    insider.write("events.jsonl", rows)
    insider.seal(lambda manifest: manifest.update(last_event_index=len(rows) - 1))


def freeze(insider: Insider, like: dict[str, Any]) -> dict[str, Any]:
    """Return another freeze of the same account, to be appended."""
    suffix = new_suffix()
    return like | {
        "id": f"event_{suffix}",
        "instruction_id": f"freeze_{suffix}",
        "booked_at": insider.payloads()[-1]["booked_at"],
    }


def key_event(insider: Insider, event_type: str, key: dict[str, Any]) -> dict[str, Any]:
    """Return an event about a key, to be appended."""
    last = insider.payloads()[-1]
    suffix = new_suffix()
    return {
        "approvals": [],
        "booked_at": last["booked_at"],
        "id": f"event_{suffix}",
        "instruction_id": f"change_{suffix}",
        "issuer_id": last["issuer_id"],
        "key": key,
        "operation": KEY_OPERATIONS[event_type],
        "payload_hash": "0" * 64,
        "principal_id": next(
            one["principal_id"] for one in insider.payloads()[::-1] if "principal_id" in one
        ),
        "request_hash": "0" * 64,
        "subject_id": key["kid"],
        "type": event_type,
        "version": 1,
    }


def emptied(payload: dict[str, Any]) -> None:
    """Name no approval."""
    payload["approvals"] = []
