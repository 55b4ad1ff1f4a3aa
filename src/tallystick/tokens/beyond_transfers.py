"""What a batch reads only where it holds more than plain payments: usage of limits, issuance, and changes.

All of it is read under the issuer's log head, so nothing of it can move until the batch has ended.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from tallystick import ledger, payouts, policy
from tallystick.core.errors import DomainError
from tallystick.core.pipeline import pipelined
from tallystick.participants import AccountFacts
from tallystick.tokens import store
from tallystick.tokens.beneficiaries import standing_of_beneficiaries
from tallystick.tokens.changes import CHANGES
from tallystick.tokens.changing import ChangeUnknownError, CheckedChange, Payload, Told, Wanted
from tallystick.tokens.instructions import Kind, Request
from tallystick.tokens.issuance import Issuance, kind_of_backing, stale_because
from tallystick.tokens.plans import Facts
from tallystick.tokens.ruling import Asking, asked_of_rules, facts_for_rules
from tallystick.tokens.settler import Settler

__all__ = ["read_beyond_transfers"]

_ENDS_PAYOUT: Final = frozenset({Kind.PAYOUT_CANCELLATION, Kind.PAYOUT_REJECTION, Kind.PAYOUT_SETTLEMENT})


def read_beyond_transfers(
    connection: Connection,
    settler: Settler,
    issuer_id: str,
    facts: Facts,
    requests: Sequence[Request],
    others: Sequence[Request],
) -> None:
    """Complete the facts of a batch by what some of its requests need; `others` are those that are no transfers."""
    by_class = {account.token_class_id: account for account in facts.accounts.values()}
    if any(
        facts.policy_of(account).counts_usage or facts.policy_of(account).has_supply_rules
        for account in by_class.values()
    ):
        askings = list(asked_of_rules(requests, facts.instructions, facts.approvals, facts.accounts))
        _read_usage(connection, issuer_id, facts, askings)
    if not others:
        return
    if any(_kind_of(facts, request) == Kind.MINT for request in others):
        _read_issuance(connection, issuer_id, facts)
    _read_payouts(connection, issuer_id, facts, others)
    for request in others:
        if request.kind == Kind.CHANGE:
            facts.changes[request.id] = _check(
                connection,
                settler,
                issuer_id,
                request.operation or "",
                request.related_id or "",
                request.payload or {},
            )
        elif request.kind == Kind.APPROVE and _kind_of(facts, request) == Kind.CHANGE:
            approval, _ = facts.approvals[request.related_id or ""]
            subject = facts.instructions[approval.subject_id]
            payload = (approval.details or {})["payload"]
            facts.changes[approval.id] = _check(
                connection, settler, issuer_id, subject.operation or "", subject.related_id or "", payload
            )


def _read_usage(connection: Connection, issuer_id: str, facts: Facts, askings: Sequence[Asking]) -> None:
    keys: set[str] = set()
    of_supply: set[str] = set()
    for asking in askings:
        decides = facts.policy_of(asking.of_account)
        keys.update(decides.usage_keys(facts_for_rules(facts, asking, 0)))
        if decides.needs_supply(asking.kind):
            of_supply.add(asking.of_account.token_class_id)
    with pipelined(connection) as pipeline:
        asked = policy.read_usage(pipeline, issuer_id, keys, facts.booked_at)
    facts.usage = asked.result()
    for class_id in of_supply:
        facts.usage.set_supply(class_id, ledger.supply_minor(connection, issuer_id, class_id))


def _read_payouts(connection: Connection, issuer_id: str, facts: Facts, requests: Sequence[Request]) -> None:
    """Read what decides on payouts, and on closing accounts that have some under way."""
    ended = [one.related_id or "" for one in requests if one.kind in _ENDS_PAYOUT]
    if ended:
        facts.filed_payouts = set(payouts.filed(connection, issuer_id, ended))
    uetrs = [(one.payload or {}).get("uetr") for one in requests if one.kind == Kind.PAYOUT]
    if uetrs:
        facts.uetrs = set(payouts.by_uetr(connection, issuer_id, [one for one in uetrs if one is not None]))
    approved = [
        facts.approvals[one.related_id or ""][0].subject_id
        for one in requests
        if one.kind == Kind.APPROVE and _kind_of(facts, one) == Kind.PAYOUT
    ]
    facts.beneficiaries = standing_of_beneficiaries(connection, issuer_id, requests, approved)
    closing = [one.payer_account_id or "" for one in requests if one.kind == Kind.ACCOUNT_CLOSURE]
    if closing:
        facts.paying_out = store.read_paying_out(connection, issuer_id, closing)


def _read_issuance(connection: Connection, issuer_id: str, facts: Facts) -> None:
    breakers = store.read_breakers(connection, issuer_id)
    for account in facts.accounts.values():
        class_id = account.token_class_id
        if class_id in facts.issuance:
            continue
        terms = facts.policy_of(account).breaker
        mints, amount_minor = 0, 0
        if terms is not None:
            since = facts.booked_at - timedelta(seconds=terms.window_seconds)
            mints, amount_minor = store.read_minted_since(connection, issuer_id, class_id, since)
        breaker = breakers.get(class_id)
        tripped = breaker is not None and breaker.state == "tripped"
        stale = None if tripped else _stale(connection, issuer_id, facts, account)
        facts.issuance[class_id] = Issuance(tripped, mints, amount_minor, stale)


def _stale(connection: Connection, issuer_id: str, facts: Facts, account: AccountFacts) -> str | None:
    terms = facts.policy_of(account).reconciliation
    if terms.bank_data_age_max_hours is None:
        return None
    kind = kind_of_backing(terms)
    until = store.read_bank_evidence(connection, issuer_id, account.token_class_id, kind.value)
    return stale_because(terms, until, facts.booked_at)


def _check(
    connection: Connection,
    settler: Settler,
    issuer_id: str,
    operation: str,
    subject_id: str,
    payload: Payload,
) -> CheckedChange | DomainError:
    change = CHANGES.get(operation)
    if change is None:
        return ChangeUnknownError()
    wanted = Wanted(settler.clock, issuer_id, subject_id, payload)
    try:
        checkers = change.check(connection, wanted)
        told = Told({}) if change.tell is None else change.tell(connection, wanted)
        # Now, so that a key whose private part can't be had is refused before anything is decided.
        signer = None if told.signed_by is None else settler.signer_of(issuer_id, told.signed_by)
    except DomainError as refusal:
        return refusal
    return CheckedChange(operation, change, subject_id, payload, checkers, told.members, signer, told.entry)


def _kind_of(facts: Facts, request: Request) -> str:
    """Return the kind of what a request would settle: an approval settles its subject."""
    if request.kind == Kind.APPROVE and request.related_id in facts.approvals:
        return facts.instructions[facts.approvals[request.related_id][0].subject_id].kind
    return request.kind
