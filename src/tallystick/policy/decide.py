"""The standing rules: an open account, a valid know-your-customer check, and a token class that is in operation.

A decision names every reason that blocks, not only the first, so that a caller can mend all of them at once.
"""

from datetime import date
from typing import NamedTuple

from tallystick.core.errors import DomainError
from tallystick.policy.refusals import REFUSALS

__all__ = ["PartyFacts", "PolicyFacts", "StandingDecision", "decide", "refusal"]


class PartyFacts(NamedTuple):
    """What is known of one side's account and holder."""

    account_status: str
    kyc_status: str
    kyc_expires_on: date | None


class PolicyFacts(NamedTuple):
    """What a decision rests on. `creates_or_moves` is False for what only gives tokens or deposits back."""

    class_mode: str
    creates_or_moves: bool
    parties: tuple[PartyFacts, ...]
    today: date


class StandingDecision(NamedTuple):
    """Allowed when there is no reason against; reasons are stable codes in a fixed order."""

    reasons: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        """True when nothing blocks."""
        return not self.reasons


def decide(facts: PolicyFacts) -> StandingDecision:
    """Decide on one instruction. Pure: equal facts give equal decisions."""
    mode, creates_or_moves, parties, today = facts
    reasons: list[str] = []
    if mode != "normal":
        if mode == "paused":
            reasons.append("token_class_paused")
        elif creates_or_moves:
            reasons.append("token_class_redeem_only")
    for account_status, kyc_status, kyc_expires_on in parties:
        if account_status != "open":
            reasons.append("account_closed" if account_status == "closed" else "account_frozen")
        if kyc_status != "verified":
            reasons.append("kyc_not_verified")
        elif kyc_expires_on is not None and kyc_expires_on < today:
            reasons.append("kyc_expired")
    return StandingDecision(tuple(dict.fromkeys(reasons)))


def refusal(decision: StandingDecision) -> DomainError:
    """Return the refusal of a decision that blocks: named by its first reason, with all of them as a member."""
    return REFUSALS[decision.reasons[0]](reasons=list(decision.reasons))
