"""What a decision rests on, and the decision. Everything here is plain data that compares and hashes by value."""

from datetime import date
from typing import Final, NamedTuple

from tallystick.core.errors import DomainError
from tallystick.policy.refusals import REFUSALS, PolicyRuleRefusedError

__all__ = ["ALLOW", "DENY", "REFER", "ClassFacts", "Decision", "Facts", "Party", "Reason", "decision_of"]

ALLOW: Final = "allow"
DENY: Final = "deny"
REFER: Final = "refer"


class ClassFacts(NamedTuple):
    """The token class that an instruction is in."""

    token_class_id: str
    mode: str
    currency: str
    scale: int


class Party(NamedTuple):
    """One side's account and holder.

    `country` and `residency` are ISO 3166-1 alpha-2; None, as for the kind, means that nobody knows, and a rule that
    asks for it denies. `screening` is `clear`, `hit` or `unscreened`. `allow_listed` says that the bank put the
    holder on the class's list elsewhere than in the policy document.
    """

    account_id: str
    account_status: str
    holder_id: str
    holder_kind: str | None
    platform_id: str | None
    country: str | None
    residency: str | None
    kyc_status: str
    kyc_expires_on: date | None
    screening: str = "unscreened"
    debit_blocked: bool = False
    credit_blocked: bool = False
    allow_listed: bool = False


class Facts(NamedTuple):
    """One instruction as the rules see it, read under lock.

    `principal_id` is who asked (of a mint, its maker). `purpose` is the purpose code, None if none was given. All but
    the amount stand first: what rests on them alone is decided once and remembered.
    """

    kind: str
    of_class: ClassFacts
    payer: Party | None
    payee: Party | None
    purpose: str | None
    principal_id: str
    today: date
    amount_minor: int


class Reason(NamedTuple):
    """One rule that does not let an instruction pass: its stable `code`, which rule it was, and `deny` or `refer`."""

    code: str
    rule_id: str
    effect: str
    message: str


class Decision(NamedTuple):
    """`deny` if any rule denies, else `refer` if any refers, else `allow`; every reason, in a fixed order.

    `version` names the rules that decided, for the event: `policy_…/3`, or `shipped/1`.
    """

    effect: str
    reasons: tuple[Reason, ...]
    version: str

    @property
    def allowed(self) -> bool:
        """True when no rule is against it."""
        return self.effect == ALLOW

    def with_reasons_of(self, other: "Decision") -> "Decision":
        """Return the decision that these and the other's reasons make."""
        return decision_of([*self.reasons, *other.reasons], self.version)

    def refusal(self) -> DomainError:
        """Return what refuses the instruction: named by the first reason that denies, with all of them as members."""
        first = next((one for one in self.reasons if one.effect == DENY), self.reasons[0])
        refused = REFUSALS.get(first.code, PolicyRuleRefusedError)
        return refused(
            first.message if refused is PolicyRuleRefusedError else None,
            reasons=[one.code for one in self.reasons],
            rules=[{"code": one.code, "rule_id": one.rule_id, "effect": one.effect} for one in self.reasons],
            policy_version=self.version,
        )


def decision_of(reasons: list[Reason], version: str) -> Decision:
    """Return the decision that these reasons make, each told once."""
    if not reasons:
        return Decision(ALLOW, (), version)
    effect = DENY if any(one.effect == DENY for one in reasons) else REFER
    return Decision(effect, tuple(dict.fromkeys(reasons)), version)
