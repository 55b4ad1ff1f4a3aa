"""What would happen to an instruction: everything that is against it, and nothing is locked, written or kept."""

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import ledger, policy
from tallystick.core.clock import Clock
from tallystick.core.errors import DomainError
from tallystick.core.pipeline import pipelined
from tallystick.ledger import Book
from tallystick.participants import AccountFacts
from tallystick.policy import ALLOW, DENY, REFER
from tallystick.tokens import store
from tallystick.tokens.instructions import Kind, Request
from tallystick.tokens.issuance import kind_of_backing, stale_because
from tallystick.tokens.journals import journal
from tallystick.tokens.known_accounts import read_accounts
from tallystick.tokens.plans import Facts
from tallystick.tokens.ruling import Asking, facts_for_rules
from tallystick.tokens.sides import amount_of, own_account, two_sides

__all__ = ["SIMULATED", "simulate"]

SIMULATED: Final = (Kind.TRANSFER, Kind.HOLD, Kind.MINT, Kind.REDEMPTION, Kind.DEPOSIT_RELEASE)


@dataclass(slots=True)
class _Verdict:
    reasons: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, refusal: DomainError) -> None:
        self.reasons.append(
            {"code": refusal.code, "rule_id": "books", "effect": DENY, "message": refusal.detail}
        )


def simulate(connection: Connection, clock: Clock, request: Request) -> dict[str, Any]:
    """Return `{effect, reasons, policy_version, checkers}` for a request as it would be decided now.

    `checkers` is how many other people would have to approve it. Raises what makes the request itself meaningless:
    accounts that are absent or the caller's not, a wrong currency or a malformed amount.
    """
    issuer_id = request.principal.issuer_id
    now = clock.now()
    ids = {request.payer_account_id or "", request.payee_account_id or ""} - {""}
    with pipelined(connection) as pipeline:
        rules = policy.policies_in_force(pipeline, issuer_id, now)
    known = read_accounts(connection, issuer_id, ids, now)
    facts = Facts(
        book=Book({}),
        accounts={account_id: one.facts for account_id, one in known.items()},
        parties={account_id: one.party for account_id, one in known.items()},
        now=now,
        today=now.date(),
        booked_at=now,
        next_index=0,
        policies=rules.result(),
    )
    payer, payee, of_account = _sides(facts, request)
    amount_minor = amount_of(request, of_account)
    verdict = _Verdict()
    asking = Asking(request.kind, of_account, payer, payee, request.purpose, request.principal.id)
    told = _ask_rules(connection, issuer_id, facts, asking, amount_minor)
    verdict.reasons += told["reasons"]
    _check_books(connection, issuer_id, asking, amount_minor, verdict)
    if request.kind == Kind.MINT:
        breaker = store.read_breakers(connection, issuer_id).get(of_account.token_class_id)
        if breaker is not None and breaker.state == "tripped":
            verdict.reasons.append(
                {
                    "code": "issuance_suspended",
                    "rule_id": "breaker",
                    "effect": DENY,
                    "message": breaker.reason,
                }
            )
        stale = _stale(connection, issuer_id, facts, of_account)
        if stale is not None:
            verdict.reasons.append(
                {"code": "breaker_tripped", "rule_id": "reconciliation", "effect": DENY, "message": stale}
            )
    effects = {one["effect"] for one in verdict.reasons}
    checkers = facts.policy_of(of_account).checkers(request.kind, amount_minor)
    return {
        "effect": DENY if DENY in effects else REFER if REFER in effects else ALLOW,
        "reasons": verdict.reasons,
        "policy_version": told["policy_version"],
        "checkers": max(checkers, int(request.kind == Kind.MINT or REFER in effects)),
    }


def _sides(facts: Facts, request: Request) -> tuple[AccountFacts | None, AccountFacts | None, AccountFacts]:
    if request.kind in {Kind.TRANSFER, Kind.HOLD}:
        payer, payee = two_sides(facts, request)
        return payer, payee, payer
    if request.kind == Kind.MINT:
        own = own_account(facts, request.principal, request.payee_account_id, "account_id")
        return None, own, own
    own = own_account(facts, request.principal, request.payer_account_id, "account_id")
    return own, None, own


def _ask_rules(
    connection: Connection, issuer_id: str, facts: Facts, asking: Asking, amount_minor: int
) -> dict[str, Any]:
    asked = facts_for_rules(facts, asking, amount_minor)
    supply_minor = None
    if facts.policy_of(asking.of_account).needs_supply(asking.kind):
        supply_minor = ledger.supply_minor(connection, issuer_id, asking.of_account.token_class_id)
    return policy.simulate(connection, issuer_id, asked, facts.now, supply_minor=supply_minor)


def _stale(connection: Connection, issuer_id: str, facts: Facts, account: AccountFacts) -> str | None:
    terms = facts.policy_of(account).reconciliation
    kind = kind_of_backing(terms)
    until = store.read_bank_evidence(connection, issuer_id, account.token_class_id, kind.value)
    return stale_because(terms, until, facts.now)


def _check_books(
    connection: Connection, issuer_id: str, asking: Asking, amount_minor: int, verdict: _Verdict
) -> None:
    postings = journal(
        asking.kind,
        amount_minor,
        asking.of_account.token_class_id,
        None if asking.payer is None else asking.payer.account_id,
        None if asking.payee is None else asking.payee.account_id,
    )
    book = ledger.present_book(connection, issuer_id, [one.ledger_account_id for one in postings])
    try:
        book.check(postings)
    except DomainError as refusal:
        verdict.refuse(refusal)
