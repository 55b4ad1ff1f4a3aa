"""What was signed, read one by one: events, votes, rules, the audit trail's chain, the tree and the seals."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from tallystick import approvals, audit, events, policy, seals, signing, transparency
from tallystick.approvals import Approval
from tallystick.audit import FIRST_PREVIOUS_HASH
from tallystick.core.canonical_json import canonical_json
from tallystick.core.clock import parse_time
from tallystick.events import Event
from tallystick.integrity import store
from tallystick.integrity.records import NO_ROW, ROW, WHOLE_ROW, Finding
from tallystick.policy import Policy
from tallystick.policy.versions import approved, retired
from tallystick.signing import JwsInvalidError, SigningKey, VerificationKey, verify_compact
from tallystick.transparency import TileStore

__all__ = ["audit_trail", "log", "rules", "seal_heads", "tree", "votes"]

_LIFE: Final = ("approved_at", "active_from", "retired_at", "approval_hashes")


def log(connection: Connection, issuer_id: str) -> Iterator[Finding]:
    """Verify each event's signature, and hold its row against what it says; no index may be missing."""
    keys: dict[str | None, SigningKey] = {key.id: key for key in signing.list_keys(connection, issuer_id)}
    expected_index = 0
    last_index = store.last_index(connection, issuer_id)
    # What was put behind the head is found too.
    for event in events.stream(
        connection, issuer_id, 0, max(last_index, store.newest_index(connection, issuer_id))
    ):
        yield from _gap(expected_index, event.event_index)
        expected_index = event.event_index + 1
        yield from _event(issuer_id, event, keys)
    yield from _gap(expected_index, last_index + 1)


def _gap(first: int, behind: int) -> Iterator[Finding]:
    if first < behind:
        key = str(first) if first + 1 == behind else f"{first} to {behind - 1}"
        yield Finding("event", key, WHOLE_ROW, ROW, NO_ROW)


def _event(issuer_id: str, event: Event, keys: dict[str | None, SigningKey]) -> Iterator[Finding]:
    key = str(event.event_index)
    kids: list[str | None] = []

    def trusted(kid: str | None) -> VerificationKey | None:
        kids.append(kid)
        found = keys.get(kid)
        return found.verification_key if found is not None and found.trusted_for(event.booked_at) else None

    try:
        content = verify_compact(event.jws, trusted)
    except JwsInvalidError as error:
        yield Finding("event", key, "jws", "a signature of this bank", error.code)
        return
    payload: dict[str, Any] = orjson.loads(content)
    if (payload["issuer_id"], payload["index"]) != (issuer_id, event.event_index):
        told = f"{payload['issuer_id']} {payload['index']}"
        yield Finding("event", key, "event_index", told, f"{issuer_id} {event.event_index}")
    # What an event is about: a vote is about its approval, and what nobody asked for about a run, or a class.
    about = ["instruction_id", "reconciliation_id", "token_class_id"]
    if payload["type"].startswith("approval."):
        about = ["approval_id"]
    subject_id = next((payload[name] for name in about if name in payload), None)
    for column, expected, found in (
        ("id", payload["id"], event.id),
        ("type", payload["type"], event.type),
        ("subject_id", subject_id, event.subject_id),
        ("token_class_id", payload.get("token_class_id"), event.token_class_id),
        ("booked_at", parse_time(payload["booked_at"]), event.booked_at),
        ("key_id", kids[-1], event.key_id),
    ):
        if expected != found:
            yield Finding("event", key, column, str(expected), str(found))


def votes(connection: Connection, issuer_id: str) -> Iterator[Finding]:
    """Hash each vote again: what it binds of the approval, who voted, and when, must give the hash that was signed."""
    for approval, vote in store.votes(connection, issuer_id):
        again = approvals.make_vote(
            approval,
            person=vote.person,
            principal_id=vote.principal_id,
            decision=vote.decision,
            reason=vote.reason,
            decided_at=vote.decided_at,
        )
        if again.hash != vote.hash:
            key = f"{vote.approval_id}/{vote.person}"
            yield Finding("approval_vote", key, "hash", again.hash.hex(), vote.hash.hex())
            yield _approval_of(approval, key)


def _approval_of(approval: Approval, key: str) -> Finding:
    # The vote binds both rows, and only one of them was touched: which one, the hash can't tell.
    return Finding("approval", approval.id, WHOLE_ROW, "what was voted on", f"not what vote {key} binds")


def rules(connection: Connection, issuer_id: str) -> Iterator[Finding]:
    """Let every version of every class's rules live again through what was signed of it; its text has its hash."""
    lives: dict[str, Policy] = {}
    stored: dict[str, Policy] = {}
    after = ""
    while page := policy.policies(connection, issuer_id, after=after, limit=500):
        for found in page:
            stored[found.id] = found
            lives[found.id] = replace(
                found, approved_at=None, active_from=None, retired_at=None, approval_hashes=[]
            )
        after = page[-1].id
    for index, payload in store.payloads(connection, issuer_id, ["policy.activated", "policy.retired"]):
        of = lives.get(payload["subject_id"])
        if of is None:
            yield Finding("policy_document", payload["subject_id"], WHOLE_ROW, ROW, NO_ROW)
            continue
        others = [
            one for one in lives.values() if one.token_class_id == of.token_class_id and one.id != of.id
        ]
        at: datetime = parse_time(payload["booked_at"])
        hashes = [bytes.fromhex(one) for one in payload["approvals"]]
        try:
            changed = (
                approved(of, others, hashes, at)
                if payload["type"] == "policy.activated"
                else retired(of, others, at)
            )
        except policy.PolicyStateConflictError as error:
            yield Finding("policy_document", of.id, "active_from", f"event {index}", error.detail)
            continue
        lives |= {one.id: one for one in changed}
    for policy_id, expected in lives.items():
        found = stored[policy_id]
        for column in _LIFE:
            if getattr(expected, column) != getattr(found, column):
                yield Finding(
                    "policy_document", policy_id, column, _shown(expected, column), _shown(found, column)
                )
        digest = hashlib.sha256(canonical_json(found.document)).digest()
        if digest != found.content_hash:
            yield Finding(
                "policy_document", policy_id, "content_hash", digest.hex(), found.content_hash.hex()
            )


def _shown(of: Policy, column: str) -> str:
    value = getattr(of, column)
    return ", ".join(one.hex() for one in value) if isinstance(value, list) else str(value)


def audit_trail(connection: Connection, issuer_id: str) -> Iterator[Finding]:
    """Follow the trail's chain, and hold it against its end at each seal."""
    anchors = {one.audit_next_number - 1: one for one in seals.seals(connection, issuer_id)}
    expected, previous_hash = 0, FIRST_PREVIOUS_HASH
    for entry in audit.entries(connection, issuer_id):
        assert entry.number is not None and entry.hash is not None  # noqa: PT018 Both come from the trail itself.
        for missing in range(expected, entry.number):
            yield Finding("audit_entry", str(missing), WHOLE_ROW, ROW, NO_ROW)
        digest = audit.entry_hash(entry, previous_hash)
        if entry.number == expected and digest != entry.hash:
            yield Finding("audit_entry", str(entry.number), "hash", digest.hex(), entry.hash.hex())
        anchor = anchors.pop(entry.number, None)
        if anchor is not None and anchor.audit_last_hash != entry.hash:
            sealed = f"{anchor.audit_last_hash.hex()} by seal {anchor.number}"
            yield Finding("audit_entry", str(entry.number), "hash", sealed, entry.hash.hex())
        expected, previous_hash = entry.number + 1, entry.hash
    for number, anchor in anchors.items():
        if number >= 0:
            yield Finding("audit_entry", str(number), WHOLE_ROW, f"a row by seal {anchor.number}", NO_ROW)


def tree(connection: Connection, issuer_id: str, tiles: TileStore) -> Iterator[Finding]:
    """Build the tree again from the events: tiles, edge, roots, signatures, cosignatures."""
    for found in transparency.audit(connection, tiles, issuer_id).findings:
        yield Finding(found.table, found.key, found.column, "what the events give", found.text)


def seal_heads(connection: Connection, issuer_id: str) -> Iterator[Finding]:
    """Hold each seal against the event that signed it, and its records against the hash in it."""
    signed = {
        payload["index"]: payload for _, payload in store.payloads(connection, issuer_id, ["records.sealed"])
    }
    next_number = 0
    for seal in seals.seals(connection, issuer_id):
        key = str(seal.number)
        for missing in range(next_number, seal.number):
            yield Finding("seal", str(missing), WHOLE_ROW, ROW, NO_ROW)
        next_number = seal.number + 1
        payload = signed.pop(seal.event_index, None)
        if payload is None:
            yield Finding("seal", key, "event_index", "an event of the log", str(seal.event_index))
            continue
        digest = hashlib.sha256(canonical_json(seals.contents_of(seal))).hexdigest()
        if digest != payload["payload_hash"]:
            yield Finding("seal", key, WHOLE_ROW, payload["payload_hash"], digest)
        if seal.sealed_at != parse_time(payload["booked_at"]):
            yield Finding("seal", key, "sealed_at", payload["booked_at"], str(seal.sealed_at))
        count, records_hash = seals.records_hash(connection, issuer_id, seal.number)
        if (count, records_hash) != (seal.record_count, seal.records_hash):
            sealed = f"{seal.record_count} records, {seal.records_hash.hex()}"
            yield Finding(
                "sealed_record", f"seal {key}", WHOLE_ROW, sealed, f"{count} records, {records_hash.hex()}"
            )
    for index in signed:
        yield Finding("seal", f"of event {index}", WHOLE_ROW, ROW, NO_ROW)
    for table, key, number in store.records_without_seal(connection, issuer_id):
        yield Finding("sealed_record", f"{table}/{key}/{number}", WHOLE_ROW, NO_ROW, ROW)
