"""The oracle: what must hold after every test, whatever went wrong in it.

(1) everything acknowledged is in the log exactly once; (2) every logged event has a valid signature and its
approvals; (3) debits equal credits per entry and currency; (4) no balance lies below its floor; (5) balances replayed
from the signed events equal the books; (6) supply is mints less redemptions, seizures and payouts, and never more than
confirmed deposits; (7) what is restricted on an account is what its orders hold, and what they ever took is in their
actions; (8) what was attested of liabilities is what supply was at that index.

It reads the tables with plain SQL and verifies with PyJWT, so that it shares no code with what it checks.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import jwt
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.database import connect

_DEBIT_NORMAL = frozenset({"1010", "1020", "1100", "1210", "1390", "1510", "5010", "5020"})
# Changes that make the bank stricter, and so need nobody else.
_IMMEDIATE = {
    "token_class.mode_changed",
    "breaker.tripped",
    "holder.suspended",
    # These change nothing: they say what is so.
    "export.made",
    "liabilities.attested",
    # These are looked at by `_check_keys`.
    "signing_key.activated",
    "signing_key.revoked",
}
# Answers that are about no instruction: a vote, and what a reconciliation found.
_FACTS = ("approval_", "attestation_")
_SUPPLY_SIGNS = {
    "token.minted": 1,
    "token.redeemed": -1,
    "order.seized": -1,
    "payout.accepted": -1,
    "payout.cancelled": 1,
    "payout.rejected": 1,
    "payout.given_back": 1,
}
# What the bank's statement bears out, by what it does to the control account.
_DEPOSIT_SIGNS = {"deposit.confirmed": 1, "deposit.released": -1, "payout.settled": -1, "payout.returned": 1}
_NEEDS_APPROVAL = frozenset(
    {"token.minted", "transfer.reversed", "account.unfrozen", "order.lifted", "order.seized"}
)


@dataclass(slots=True)
class _Replay:
    """What the signed events alone say."""

    balances: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    lines: list[tuple[int, int, str, int, int, int, int]] = field(default_factory=list)
    instructions: "Counter[str]" = field(default_factory=Counter)
    minted: "Counter[str]" = field(default_factory=Counter)
    deposited: "Counter[str]" = field(default_factory=Counter)


def check_books(
    superuser_url: str, issuer_id: str, acknowledged: Iterable[tuple[str, int | None]] = ()
) -> None:
    """Assert points 1 to 8; `acknowledged` are ids and event indexes of what callers were told has settled."""
    with connect(superuser_url) as connection:
        events = _rows(
            connection,
            "SELECT event_index, id, type, subject_id, key_id, jws FROM event WHERE issuer_id = %s ORDER BY 1",
            issuer_id,
        )
        assert [row[0] for row in events] == list(range(len(events))), "the log has a gap"
        [(next_index,)] = _rows(connection, "SELECT next_index FROM log_head WHERE issuer_id = %s", issuer_id)
        assert next_index == len(events), "the head is not behind the last event"
        payloads = _verified_payloads(connection, issuer_id, events)
        _check_approvals(connection, issuer_id, payloads)
        _check_keys([row[4] for row in events], payloads)
        replay = _replayed(payloads)
        _check_acknowledged(connection, issuer_id, replay, events, acknowledged)
        _check_ledger(connection, issuer_id, replay)
        _check_attestations(payloads)
        _check_supply(connection, issuer_id, replay)
        _check_orders(connection, issuer_id, payloads)


def _rows(connection: psycopg.Connection[Any], query: str, *values: object) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), values).fetchall()


def _verified_payloads(
    connection: psycopg.Connection[Any], issuer_id: str, events: list[tuple[Any, ...]]
) -> list[dict[str, Any]]:
    keys = {
        key_id: Ed25519PublicKey.from_public_bytes(bytes(public_key))
        for key_id, public_key in _rows(
            connection,
            "SELECT id, public_key FROM signing_key WHERE issuer_id = %s AND use = 'event'",
            issuer_id,
        )
    }
    payloads = []
    for index, event_id, event_type, subject_id, key_id, token in events:
        assert key_id in keys, f"event {index} is signed by a key that nobody published"
        try:
            signed = jwt.PyJWS().decode_complete(token, keys[key_id], algorithms=["EdDSA"])
        except jwt.InvalidTokenError as error:
            raise AssertionError(f"event {index} is not signed: {error}") from error
        assert signed["header"] == {"alg": "EdDSA", "kid": key_id, "typ": "tallystick-event-v1+jws"}
        payload: dict[str, Any] = json.loads(signed["payload"])
        told = (payload["index"], payload["id"], payload["type"])
        assert told == (index, event_id, event_type), f"event {index} is not what its row says"
        assert subject_id in payload.values(), f"event {index} is of something else than its row says"
        assert payload["issuer_id"] == issuer_id
        payloads.append(payload)
    return payloads


def _check_approvals(
    connection: psycopg.Connection[Any], issuer_id: str, payloads: list[dict[str, Any]]
) -> None:
    votes = {
        bytes(row[0]).hex(): row[1:]
        for row in _rows(
            connection,
            """SELECT v.hash, a.subject_id, a.request_hash, a.maker_person, v.person, v.decision
               FROM approval_vote v JOIN approval a ON a.issuer_id = v.issuer_id AND a.id = v.approval_id
               WHERE v.issuer_id = %s""",
            issuer_id,
        )
    }
    cast = {payload["vote_hash"] for payload in payloads if "vote_hash" in payload}
    assert cast == set(votes), "a vote has no event, or an event no vote"
    for payload in payloads:
        if "approvals" not in payload:
            continue
        if "lines" not in payload:
            # A change: what makes the bank stricter takes effect at once.
            assert payload["type"] in _IMMEDIATE or payload["approvals"], f"{payload['id']} lacks an approval"
        waited = (
            "lines" not in payload
            or payload["type"] in _NEEDS_APPROVAL
            or (payload["type"] == "deposit.confirmed" and "related_id" not in payload)
        )
        assert bool(payload["approvals"]) or not waited or payload["type"] in _IMMEDIATE, (
            f"{payload['id']} lacks an approval"
        )
        for digest in payload["approvals"]:
            assert digest in votes, f"{payload['id']} was approved by a vote that nobody cast"
            subject_id, request_hash, maker, checker, decision = votes[digest]
            assert decision == "approve"
            assert maker != checker
            if payload["type"] == "token.transferred" and "related_id" in payload:
                # An item of a batch that people let through as a whole: the batch's own event has its hash.
                assert subject_id == payload["related_id"]
                continue
            assert subject_id == payload["instruction_id"]
            assert bytes(request_hash).hex() == payload["request_hash"]


def _check_keys(signers: list[str], payloads: list[dict[str, Any]]) -> None:
    """Every event's key is the active one at its index, as the events themselves say."""
    active: dict[str, str | None] = {}
    ended: set[str] = set()
    for signer, payload in zip(signers, payloads, strict=True):
        key = payload.get("key", {})
        if payload["type"] == "signing_key.activated":
            before = active.get(key["use"])
            assert key["kid"] not in ended, "a key is activated after its end"
            assert key.get("replaces") == before
            assert payload["approvals"] or before is None, "one person alone replaced a key"
            ended |= {before} if before else set()
            active[key["use"]] = key["kid"]
        assert signer == active.get("event", signer), f"event {payload['index']} is signed by another key"
        if payload["type"] in {"signing_key.retired", "signing_key.revoked"}:
            assert payload["approvals"] or key["kid"] not in ended, "one person alone revoked an ended key"
            ended.add(key["kid"])
            if active.get(key["use"]) == key["kid"]:
                active[key["use"]] = None


def _replayed(payloads: list[dict[str, Any]]) -> _Replay:
    replay = _Replay()
    for payload in payloads:
        if "instruction_id" in payload and not payload["type"].startswith("approval."):
            replay.instructions[payload["instruction_id"]] += 1
        if "lines" not in payload:
            continue
        scale, currency = payload["scale"], payload["currency"]
        amount = _minor(payload["amount"], scale)
        replay.minted[currency] += _SUPPLY_SIGNS.get(payload["type"], 0) * amount
        replay.deposited[currency] += _DEPOSIT_SIGNS.get(payload["type"], 0) * amount
        sides = 0
        for number, line in enumerate(payload["lines"]):
            account = line["account"]
            debit = _minor(line.get("debit", "0"), scale)
            credit = _minor(line.get("credit", "0"), scale)
            sides += debit - credit
            movement = debit - credit if account[:4] in _DEBIT_NORMAL else credit - debit
            balance = replay.balances.get(account, 0) + movement
            version = replay.versions.get(account, 0) + 1
            replay.balances[account], replay.versions[account] = balance, version
            replay.lines.append((payload["index"], number, account, debit, credit, balance, version))
        assert sides == 0, f"the entry of {payload['id']} does not balance"
    return replay


def _minor(amount: str, scale: int) -> int:
    sign = -1 if amount.startswith("-") else 1
    whole, _, decimals = amount.lstrip("-").partition(".")
    return sign * int(whole + decimals.ljust(scale, "0"))


def _check_acknowledged(
    connection: psycopg.Connection[Any],
    issuer_id: str,
    replay: _Replay,
    events: list[tuple[Any, ...]],
    acknowledged: Iterable[tuple[str, int | None]],
) -> None:
    assert set(replay.instructions.values()) <= {1}, "an instruction is in the log twice"
    settled = {
        row[0]: row[1]
        for row in _rows(
            connection,
            "SELECT id, event_index FROM instruction WHERE issuer_id = %s AND event_index IS NOT NULL",
            issuer_id,
        )
    }
    logged = {row[3]: row[0] for row in events if row[3] in replay.instructions}
    assert settled == logged, "log and instructions disagree"
    answered = {
        row[0]: (row[1], row[2])
        for row in _rows(
            connection,
            "SELECT key_digest, resource_id, event_index FROM answer WHERE issuer_id = %s",
            issuer_id,
        )
    } | {
        row[0]: (row[1], row[2])
        for row in _rows(
            connection,
            """SELECT key_digest, id, CASE WHEN first_answer IS NULL THEN event_index END FROM instruction
               WHERE issuer_id = %s AND key_digest IS NOT NULL""",
            issuer_id,
        )
    }
    for resource_id, event_index in answered.values():
        assert event_index is None or resource_id in settled or resource_id.startswith(_FACTS)
    told = set(answered.values())
    for resource_id, event_index in acknowledged:
        assert (resource_id, event_index) in told, f"the answer about {resource_id} is lost"
        assert event_index is None or event_index < len(events), f"{resource_id} is not in the log"


def _check_ledger(connection: psycopg.Connection[Any], issuer_id: str, replay: _Replay) -> None:
    journal = _rows(
        connection,
        """SELECT event_index, line_number, ledger_account_id, debit_minor, credit_minor, balance_minor,
                  account_version FROM journal_line WHERE issuer_id = %s ORDER BY 1, 2""",
        issuer_id,
    )
    assert journal == replay.lines, "the journal is not what the events say"
    sums = _rows(
        connection,
        """SELECT currency, sum(debit_minor), sum(credit_minor) FROM journal_line
           WHERE issuer_id = %s GROUP BY currency""",
        issuer_id,
    )
    assert all(debits == credited for _, debits, credited in sums), "debits are not credits"
    for account, code, balance, version in _rows(
        connection,
        "SELECT id, code, balance_minor, version FROM ledger_account WHERE issuer_id = %s",
        issuer_id,
    ):
        assert (balance, version) == (replay.balances.get(account, 0), replay.versions.get(account, 0)), (
            f"{account} is not what the events say"
        )
        assert balance >= 0 or not (code == "2010" or code.startswith("21")), f"{account} is below its floor"


def _check_supply(connection: psycopg.Connection[Any], issuer_id: str, replay: _Replay) -> None:
    for currency, claims, deposits_available, at_core, in_transit, lost in _rows(
        connection,
        """SELECT currency, sum(balance_minor) FILTER (WHERE code LIKE '21%%'),
                  sum(balance_minor) FILTER (WHERE code = '2010'), sum(balance_minor) FILTER (WHERE code = '1100'),
                  sum(balance_minor) FILTER (WHERE code = '2310'), sum(balance_minor) FILTER (WHERE code = '5020')
           FROM ledger_account WHERE issuer_id = %s GROUP BY currency""",
        issuer_id,
    ):
        assert (claims or 0) == replay.minted[currency], f"the supply of {currency} is not what was minted"
        assert replay.minted[currency] <= replay.deposited[currency], f"{currency} is not covered"
        owed = (claims or 0) + (deposits_available or 0) + in_transit
        # What the bank wrote off is its own loss: it owes all of it still.
        assert at_core + lost == replay.deposited[currency] == owed


def _check_attestations(payloads: list[dict[str, Any]]) -> None:
    for attested in payloads:
        if attested["type"] == "liabilities.attested":
            supply = sum(
                _SUPPLY_SIGNS.get(one["type"], 0) * _minor(one["amount"], one["scale"])
                for one in payloads[: attested["as_of_index"] + 1]
                if one.get("token_class_id") == attested["token_class_id"] and "amount" in one
            )
            assert _minor(attested["total"], attested["scale"]) == supply, "attested was not what was owed"


def _check_orders(
    connection: psycopg.Connection[Any], issuer_id: str, payloads: list[dict[str, Any]]
) -> None:
    held = _rows(
        connection,
        """SELECT l.id, l.balance_minor, coalesce(sum(r.restricted_minor - r.seized_minor), 0)
           FROM ledger_account l LEFT JOIN restriction r
             ON r.issuer_id = l.issuer_id AND l.id = '2130.' || r.account_id AND r.state = 'active'
           WHERE l.issuer_id = %s AND l.code = '2130' GROUP BY l.id, l.balance_minor""",
        issuer_id,
    )
    assert [one for one in held if one[1] != one[2]] == [], "what is restricted is not what orders hold"
    unequal = _rows(
        connection,
        """SELECT r.id, r.restricted_minor, r.seized_minor FROM restriction r LEFT JOIN restriction_action a
             ON a.issuer_id = r.issuer_id AND a.restriction_id = r.id
           WHERE r.issuer_id = %s GROUP BY r.id, r.restricted_minor, r.seized_minor
           HAVING coalesce(sum(a.amount_minor) FILTER (WHERE a.action IN ('placed', 'topped_up', 'received')), 0)
                    <> r.restricted_minor
               OR coalesce(sum(a.amount_minor) FILTER (WHERE a.action = 'seized'), 0) <> r.seized_minor""",
        issuer_id,
    )
    assert unequal == [], "an order is not what was done under it"
    placed = {
        row[0] for row in _rows(connection, "SELECT id FROM restriction WHERE issuer_id = %s", issuer_id)
    }
    logged = {payload["instruction_id"] for payload in payloads if payload["type"] == "order.placed"}
    assert placed == logged, "an order is in force that nobody signed for, or the other way round"
