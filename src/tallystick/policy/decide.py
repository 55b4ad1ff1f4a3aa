"""The standing rules: an open account, a valid know-your-customer check, and a token class that is in operation.

A decision names every reason that blocks, not only the first, so that a caller can mend all of them at once.
"""

from datetime import date
from typing import Final, NamedTuple

from tallystick.core.errors import ConflictError, DeniedError, DomainError

__all__ = ["REFUSALS", "Decision", "PartyFacts", "PolicyFacts", "decide", "refusal"]


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


class Decision(NamedTuple):
    """Allowed when there is no reason against; reasons are stable codes in a fixed order."""

    reasons: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        """True when nothing blocks."""
        return not self.reasons


class TokenClassPausedError(ConflictError):
    """The token class is paused."""

    code = "token_class_paused"
    title = "The token class is paused"


class TokenClassRedeemOnlyError(ConflictError):
    """The token class is being wound down: only redemption is open."""

    code = "token_class_redeem_only"
    title = "The token class is open for redemption only"


class AccountClosedError(ConflictError):
    """An account is closed."""

    code = "account_closed"
    title = "The account is closed"


class AccountFrozenError(DeniedError):
    """An account is frozen."""

    code = "account_frozen"
    title = "The account is frozen"


class KycNotVerifiedError(DeniedError):
    """A holder's know-your-customer check is not complete."""

    code = "kyc_not_verified"
    title = "A holder's know-your-customer check is not complete"


class KycExpiredError(DeniedError):
    """A holder's know-your-customer check has expired."""

    code = "kyc_expired"
    title = "A holder's know-your-customer check has expired"


REFUSALS: Final[dict[str, type[DomainError]]] = {
    error.code: error
    for error in (
        TokenClassPausedError,
        TokenClassRedeemOnlyError,
        AccountClosedError,
        AccountFrozenError,
        KycNotVerifiedError,
        KycExpiredError,
    )
}


def decide(facts: PolicyFacts) -> Decision:
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
    return Decision(tuple(dict.fromkeys(reasons)))


def refusal(decision: Decision) -> DomainError:
    """Return the refusal of a decision that blocks: named by its first reason, with all of them as a member."""
    return REFUSALS[decision.reasons[0]](reasons=list(decision.reasons))
