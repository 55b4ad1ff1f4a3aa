"""Attestations: every reconciliation ends in a signed statement of what it found, in the log like everything else.

It is signed on the one write path and in the transaction that keeps the run, so there is no run without one, and no
attestation of a run that was not kept. It names no holder, and is public to whoever knows its id.
"""

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from tallystick import events, participants, reconciliation, statements, tokens
from tallystick.attestations import store
from tallystick.attestations.records import (
    Attestation,
    BreakCounts,
    RunNotAttestedError,
    SignedAttestation,
)
from tallystick.core.clock import format_time, parse_time
from tallystick.core.errors import InvariantError
from tallystick.core.money import format_amount
from tallystick.participants import Principal, TokenClass
from tallystick.reconciliation import Backing, Reconciliation, VerifiedLog
from tallystick.tokens import Kind, Settler, Submission

__all__ = [
    "Attestation",
    "BreakCounts",
    "RunNotAttestedError",
    "SignedAttestation",
    "attestations",
    "latest",
    "reconcile",
    "signed_attestation",
    "verified_log",
]

_FINDINGS_AT_ONCE = 1_000
_EVENT_TYPE = "reconciliation.attested"
# Those of a log that lacks an event vouch for nothing, and there may be some.
_ATTESTATIONS_LOOKED_AT_MAX = 20


class Attested(NamedTuple):
    """A run, and what was signed of it."""

    run: Reconciliation
    attestation: Attestation


def reconcile(
    connection: Connection,
    settler: Settler,
    actor: Principal,
    token_class_id: str,
    *,
    as_of: datetime | None = None,
    bank_as_of: datetime | None = None,
    verify_all: bool = False,
) -> Attested:
    """Reconcile a token class, sign what was found, and keep both; the caller commits.

    What an earlier attestation says to be verified is verified once more only with `verify_all`, or where it is no
    longer the same. The log's head is locked from the signing to the commit, so whatever takes long belongs in front
    of this. Raises what `reconciliation.reconcile` raises.
    """
    run = reconciliation.reconcile(
        connection,
        settler,
        actor,
        token_class_id,
        as_of=as_of,
        bank_as_of=bank_as_of,
        earlier=None if verify_all else verified_log,
    )
    return Attested(run, _attest(connection, settler, actor, run))


def signed_attestation(connection: Connection, reconciliation_id: str) -> SignedAttestation:
    """Return a run's attestation, of whichever issuer, with its event; raises RunNotAttestedError."""
    found = store.read(connection, participants.issuer_ids(connection), reconciliation_id)
    if found is None:
        raise RunNotAttestedError
    signed = events.event_by_index(connection, found.issuer_id, found.event_index)
    return SignedAttestation(found, signed.id, signed.key_id, signed.jws)


def attestations(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None = None,
    verdict: str | None = None,
    after: datetime | None = None,
    until: datetime | None = None,
    behind: str = "",
    limit: int = 100,
) -> list[Attestation]:
    """Return a page of what was attested, oldest run first: of ledgers as of later than `after` and up to `until`."""
    return store.read_page(
        connection,
        issuer_id,
        token_class_id=token_class_id,
        verdict=verdict,
        after=after,
        until=until,
        behind=behind,
        limit=limit,
    )


def latest(connection: Connection, issuer_id: str, token_class_id: str) -> Attestation | None:
    """Return what was attested of a class by the last run that looked at the present, or None."""
    return store.read_latest(connection, issuer_id, token_class_id)


def verified_log(connection: Connection, issuer_id: str, last_index: int) -> VerifiedLog:
    """Return how much of the log up to an index an earlier run verified, as far as its signed attestation tells.

    The rows of attestations only say where to look: what counts is the signature, by the keys' present standing.
    """
    for event_index in store.read_indexes(connection, issuer_id, last_index, _ATTESTATIONS_LOOKED_AT_MAX):
        payload = reconciliation.proven_payload(connection, issuer_id, event_index) or {}
        said = payload.get("attestation", {}) if payload.get("type") == _EVENT_TYPE else {}
        size = said.get("verified_size")
        if size is not None and int(size) <= last_index + 1:
            return VerifiedLog(int(size), bytes.fromhex(said["log_root_hash"]))
    return reconciliation.NOTHING_VERIFIED


def _attest(connection: Connection, settler: Settler, actor: Principal, run: Reconciliation) -> Attestation:
    of_class = participants.token_class(connection, run.issuer_id, run.token_class_id)
    bank_as_of = None if run.bank_as_of is None else run.bank_as_of.date()
    if run.statement_id is not None:
        # What a statement tells of ends with the day that it closes, whenever it came.
        bank_as_of = statements.statement(connection, run.issuer_id, run.statement_id).closed_on
    breaks = _count_breaks(connection, run, of_class)
    supply, control = run.figures["supply"], run.figures["control_account"]
    root = run.figures["liability_root"]
    said: dict[str, Any] = {
        "backing": run.backing or Backing.CONTROL_ACCOUNT.value,
        "bank_as_of": None if bank_as_of is None else bank_as_of.isoformat(),
        "bank_balance": control["statement_closing"],
        "breaks": breaks,
        "control_account": control["ledger"],
        "currency": of_class.currency,
        "deposits_available": control["deposits_available"],
        "holder_balances": supply["holder_balances"],
        "ledger_as_of": format_time(run.ledger_as_of),
        "ledger_index": run.event_index,
        "liability_attestation_id": root["attestation_id"],
        "liability_register": supply["liability_register"],
        "liability_root": root["total"],
        "log_root_hash": run.figures["log"]["root_hash"],
        "payments_in_transit": control["payments_in_transit"],
        "scale": of_class.scale,
        "statement_id": run.statement_id,
        "supply": supply["signed_events"],
        "timing": control["timing"],
        "trial_balance": supply["trial_balance"],
        "verdict": run.verdict,
        "verified_size": run.figures["log"]["verified_size"],
    }
    event_index, attested_at = _sign(connection, settler, actor, run, said)
    attested = Attestation(
        issuer_id=run.issuer_id,
        reconciliation_id=run.id,
        token_class_id=run.token_class_id,
        event_index=event_index,
        ledger_index=run.event_index,
        ledger_as_of=run.ledger_as_of,
        bank_as_of=bank_as_of,
        supply_minor=_minor(said["supply"]),
        control_minor=_minor(said["control_account"]),
        bank_minor=None if said["bank_balance"] is None else _minor(said["bank_balance"]),
        timing_minor=None if said["timing"] is None else _minor(said["timing"]),
        breaks=breaks,
        verdict=run.verdict,
        backing=said["backing"],
        current=bool(run.current),
        attested_at=attested_at,
    )
    store.add(connection, attested)
    return attested


def _sign(
    connection: Connection, settler: Settler, actor: Principal, run: Reconciliation, said: dict[str, Any]
) -> tuple[int, datetime]:
    """Put the attestation on the log through the write path; return its index and its moment."""
    request = tokens.Request(
        id=tokens.new_instruction_id(Kind.ATTESTATION),
        kind=Kind.ATTESTATION,
        principal=actor,
        # One run is attested once, whoever asks.
        key_digest=tokens.key_digest(run.issuer_id, Kind.ATTESTATION, run.id),
        request_hash=tokens.request_hash(Kind.ATTESTATION, said),
        token_class_id=run.token_class_id,
        payload={"attestation": said, "reconciliation_id": run.id},
    )
    [settled] = tokens.settle(connection, settler, run.issuer_id, [Submission((request,))])
    outcome = settled.outcomes[0]
    if outcome.event_index is None:
        raise InvariantError("a reconciliation could not be attested") from outcome.refusal
    return outcome.event_index, parse_time(orjson.loads(outcome.body)["booked_at"])


def _count_breaks(
    connection: Connection, run: Reconciliation, of_class: TokenClass
) -> dict[str, dict[str, str | int]]:
    counts: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    after = 0
    while page := reconciliation.findings(
        connection, run.issuer_id, run.id, after=after, limit=_FINDINGS_AT_ONCE
    ):
        after = page[-1].finding_number
        for one in page:
            counts[one.type] += 1
            sums[one.type] += one.difference_minor
    return {
        name: {"count": counts[name], "difference": format_amount(sums[name], of_class.scale)}
        for name in sorted(counts)
    }


def _minor(amount: str | None) -> int:
    """Return the minor units of an amount of ours, which has exactly its class's decimals."""
    return int((amount or "0").replace(".", ""))
