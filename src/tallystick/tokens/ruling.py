"""Asking the rules in force: what they deny is refused, what they refer waits for people, and the version is kept."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from tallystick import policy
from tallystick.approvals import Approval, Vote
from tallystick.core.records import maker
from tallystick.participants import AccountFacts
from tallystick.policy import DENY
from tallystick.tokens.instructions import Instruction, Kind, Request
from tallystick.tokens.plans import Facts, Ruling

__all__ = ["RULED", "Asking", "asked_of_rules", "rule"]

# What the rules decide on. A reversal and a hold's release give back what was moved, and are people's or the payee's.
RULED: Final = frozenset(
    {
        Kind.DEPOSIT,
        Kind.DEPOSIT_ASSIGNMENT,
        Kind.DEPOSIT_RELEASE,
        Kind.MINT,
        Kind.TRANSFER,
        Kind.REDEMPTION,
        Kind.PAYOUT,
        Kind.HOLD,
        Kind.HOLD_EXECUTION,
    }
)


_facts = maker(policy.Facts)
_ruling = maker(Ruling)


class Asking(NamedTuple):
    """What the rules would be asked of a request, as far as it can be told before it is decided."""

    kind: str
    of_account: AccountFacts
    payer: AccountFacts | None
    payee: AccountFacts | None
    purpose: str | None
    principal_id: str


def rule(facts: Facts, asking: Asking, amount_minor: int, *, beneficiary: str | None = None) -> Ruling:
    """Return what the rules say, or raise the refusal of what they deny.

    `beneficiary` is how screening knows whom a payout pays: the rules say of that what they say of the payer.
    """
    decides = facts.policy_of(asking.of_account)
    asked = facts_for_rules(facts, asking, amount_minor)
    decision = decides.decide(asked, facts.usage)
    if beneficiary is not None and asked.payer is not None:
        paid = asked._replace(payer=asked.payer._replace(screening=beneficiary))
        decision = decision.with_reasons_of(decides.decide(paid, facts.usage))
    if decision.effect == DENY:
        raise decision.refusal()
    return _ruling((decides, asked, decision))


def facts_for_rules(facts: Facts, asking: Asking, amount_minor: int) -> policy.Facts:
    """Return an instruction as the rules see it."""
    kind, of_account, payer, payee, purpose, principal_id = asking
    parties = facts.parties
    return _facts(
        (
            kind,
            facts.class_facts_of(of_account),
            None if payer is None else parties[payer.account_id],
            None if payee is None else parties[payee.account_id],
            purpose,
            principal_id,
            facts.today,
            amount_minor,
        )
    )


def asked_of_rules(
    requests: Iterable[Request],
    earlier: dict[str, Instruction],
    waiting: dict[str, tuple[Approval, list[Vote]]],
    accounts: dict[str, AccountFacts],
) -> Iterator[Asking]:
    """Yield what a batch will ask the rules, so that what they count can be read before; it may yield too much."""
    for request in requests:
        kind, payer_id, payee_id = request.kind, request.payer_account_id, request.payee_account_id
        purpose, principal_id = request.purpose, request.principal.id
        if kind == Kind.APPROVE and request.related_id in waiting:
            subject = earlier[waiting[request.related_id][0].subject_id]
            kind, payer_id, payee_id = subject.kind, subject.payer_account_id, subject.payee_account_id
            purpose, principal_id = subject.purpose, subject.principal_id
        elif kind == Kind.HOLD_EXECUTION and request.related_id in earlier:
            hold = earlier[request.related_id]
            payer_id, payee_id, purpose = hold.payer_account_id, hold.payee_account_id, hold.purpose
        payer, payee = accounts.get(payer_id or ""), accounts.get(payee_id or "")
        of_account = payer or payee
        if kind in RULED and of_account is not None:
            yield Asking(kind, of_account, payer, payee, purpose, principal_id)
