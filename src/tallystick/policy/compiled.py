"""A policy as the write path asks it: pure, and made to be asked a thousand times for one batch.

What rests on the parties, the kind, the purpose and the day is decided once per combination and remembered; only
amounts, usage and the rules that read them are weighed each time. Built-in rules are plain comparisons; a bank's own
expression is evaluated only where it reads an amount, or the combination is new.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from tallystick.core.errors import InvariantError
from tallystick.core.money import AMOUNT_MINOR_MAX
from tallystick.policy import subjects as subject
from tallystick.policy.corridors import Corridor
from tallystick.policy.facts import ALLOW, Decision, Facts, Party, Reason, decision_of
from tallystick.policy.kinds import MINTS, SUPPLY_SIGN, is_counted_payment
from tallystick.policy.limits import Limit, limits_of
from tallystick.policy.standing import reason, standing_reasons
from tallystick.policy.terms import CompiledRule, Terms
from tallystick.policy.usage import UsageBook

__all__ = ["CompiledPolicy"]

# Combinations remembered per policy, about a kilobyte each. When it is full, it begins anew.
_REMEMBERED_MAX: Final = 10_000
_FINE_KEYS_MAX: Final = 64
_Sides = dict[str | None, Party | None]
_UNKNOWN: Final = object()


class _Limit(NamedTuple):
    """Something that is counted and may not exceed a number. `ever`: not of the rolling day, but of all time."""

    key: str
    limit_minor: int
    reason: Reason
    ever: bool = False


class _AmountRule(NamedTuple):
    """A rule that reads an amount: what else it reads is filled in, and keys lead to what it reads of usage."""

    rule: CompiledRule
    context: dict[str, Any]
    used: tuple[tuple[str, str | None], ...]


class _Standing(NamedTuple):
    """What is known of an instruction before its amount is looked at."""

    decision: Decision
    varies: bool
    amount_limit: tuple[int, Reason] | None
    supply_limit_minor: int | None
    limits: tuple[_Limit, ...]
    rules: tuple[_AmountRule, ...]
    reads: tuple[str, ...]
    counts: tuple[str, ...]


class CompiledPolicy:
    """One version of one class's rules. `version` goes into the event of everything that it let pass.

    Without `counts_usage`, no instruction has usage to read or to count; without `asks_people`, none has an amount
    above which people approve it; without `has_supply_rules`, no kind needs the supply. `breaker` says when issuance
    stops by itself, `reconciliation` how the class is held against the bank.
    """

    def __init__(self, terms: Terms, version: str) -> None:
        self.version = version
        self.counts_usage = (
            bool(terms.counted)
            or terms.allowances_minor is not None
            or (terms.corridors is not None and terms.corridors.has_quota)
        )
        self.has_supply_rules = terms.supply_minor is not None or any(
            "supply_minor" in rule.expression.names for rules in terms.rules.values() for rule in rules
        )
        self.asks_people = bool(terms.checkers)
        self.breaker = terms.breaker
        self.reconciliation = terms.reconciliation
        self._terms = terms
        self._remembered: dict[tuple[Any, ...], _Standing] = {}
        # Where no rule looks at both sides at once, two that were fine with others are fine with each other: pairs are
        # many more than parties.
        self._looks_at_sides_apart = (
            not self.counts_usage
            and not terms.rules
            and not terms.purpose_required_into
            and terms.purposes is None
            and terms.corridors is None
        )
        self._allowed = Decision(ALLOW, (), version)
        # By account, the party as it was fine: most often the very same object is asked about again.
        self._fine: dict[tuple[Any, ...], tuple[_Sides, _Sides]] = {}

    def decide(self, facts: Facts, usage: UsageBook | None = None) -> Decision:
        """Decide on one instruction. Pure: equal facts and usage give equal decisions.

        `usage` holds at least `usage_keys(facts)`, and the supply where `needs_supply`; what it doesn't hold is
        missing, and denies.
        """
        if self._looks_at_sides_apart:
            kind, of_class, payer, payee, _, _, today, _ = facts
            fine = self._fine.get((kind, of_class, today))
            if fine is not None and _was_fine(fine[0], payer) and _was_fine(fine[1], payee):
                return self._allowed
        standing = self._remembered.get(facts[:-1]) or self._stand(facts)
        return self._weigh(facts, standing, usage) if standing.varies else standing.decision

    def _weigh(self, facts: Facts, standing: _Standing, usage: UsageBook | None) -> Decision:
        """Decide what rests on the amount and on usage too."""
        reasons = list(standing.decision.reasons)
        amount_minor = facts.amount_minor
        if standing.amount_limit is not None and amount_minor > standing.amount_limit[0]:
            reasons.append(standing.amount_limit[1])
        for limit in standing.limits:
            used_minor = _used_minor(usage, limit.key, ever=limit.ever)
            if used_minor is None:
                reasons.append(reason("fact_missing", limit.reason.rule_id))
            elif used_minor + amount_minor > limit.limit_minor:
                reasons.append(limit.reason)
        if standing.supply_limit_minor is not None:
            supply_minor = _supply_minor(usage, facts)
            if supply_minor is None:
                reasons.append(reason("fact_missing", "issuance/supply"))
            elif supply_minor + amount_minor > standing.supply_limit_minor:
                reasons.append(reason("supply_cap_exceeded", "issuance/supply"))
        for rule in standing.rules:
            against = _ask(rule, facts, usage)
            if against is not None:
                reasons.append(against)
        return decision_of(reasons, self.version)

    def usage_keys(self, facts: Facts) -> tuple[str, ...]:
        """Return the subjects whose usage must be read before `decide`; none where the policy counts nothing."""
        return (self._remembered.get(facts[:-1]) or self._stand(facts)).reads

    def counted_for(self, facts: Facts) -> tuple[str, ...]:
        """Return the subjects that an instruction is counted for when it settles."""
        return (self._remembered.get(facts[:-1]) or self._stand(facts)).counts

    def needs_supply(self, kind: str) -> bool:
        """Tell whether instructions of this kind are decided by the class's supply, which the caller must tell then."""
        terms = self._terms
        return (terms.supply_minor is not None and kind in MINTS) or any(
            "supply_minor" in rule.expression.names for rule in terms.rules.get(kind, ())
        )

    def checkers(self, kind: str, amount_minor: int) -> int:
        """Return how many other people must approve an instruction of this kind and amount, by the policy."""
        rows = self._terms.checkers.get(kind, ())
        return max((checkers for above_minor, checkers in rows if amount_minor > above_minor), default=0)

    def limits(
        self, token_class_id: str, payer: tuple[str, str] | None = None, minter_id: str | None = None
    ) -> list[Limit]:
        """Return every limit that the policy sets, as `limits.limits_of` does."""
        return limits_of(self._terms, token_class_id, payer, minter_id)

    def count(self, facts: Facts, usage: UsageBook | None) -> None:
        """Count an instruction that settles against every limit that it belongs to.

        Raises InvariantError where there is something to count and nothing was read: no caller may lose a count.
        """
        standing = self._remembered.get(facts[:-1]) or self._stand(facts)
        if usage is None:
            if standing.counts:
                raise InvariantError("usage was counted that had not been read")
            return
        for key in standing.counts:
            usage.add(key, facts.amount_minor)
        sign = SUPPLY_SIGN.get(facts.kind)
        if sign is not None:
            usage.move_supply(facts.of_class.token_class_id, sign * facts.amount_minor)

    def _stand(self, facts: Facts) -> _Standing:
        """Decide what rests on the parties alone, and remember it."""
        terms = self._terms
        reasons, corridor = standing_reasons(terms, facts)
        limits, subjects = _limits(terms, facts, corridor)
        rules = []
        for rule in terms.rules.get(facts.kind, ()):
            context = _context(rule, facts)
            if context is None:
                reasons.append(reason("fact_missing", rule.id))
            elif rule.expression.reads_amount:
                rules.append(_AmountRule(rule, context, _used_keys(rule, subjects)))
            else:
                against = _reason_of(rule, context)
                reasons += [] if against is None else [against]
        counts = {key: None for name, key in subjects.items() if _is_counted(terms, facts.kind, name)}
        read = {limit.key for limit in limits} | {key for rule in rules for _, key in rule.used if key}
        amount_limit = _amount_limit(terms, facts.kind)
        supply_limit_minor = terms.supply_minor if facts.kind in MINTS else None
        varies = bool(limits or rules or amount_limit is not None or supply_limit_minor is not None)
        found = _Standing(
            decision_of(reasons, self.version),
            varies,
            amount_limit,
            supply_limit_minor,
            tuple(limits),
            tuple(rules),
            tuple(sorted(read | counts.keys())),
            tuple(counts),
        )
        if len(self._remembered) >= _REMEMBERED_MAX:
            self._remembered.clear()
        self._remembered[facts[:-1]] = found
        if self._looks_at_sides_apart and not found.varies and found.decision.allowed:
            self._note_fine(facts)
        return found

    def _note_fine(self, facts: Facts) -> None:
        key = (facts.kind, facts.of_class, facts.today)
        if key not in self._fine and len(self._fine) >= _FINE_KEYS_MAX:
            self._fine.clear()
        payers, payees = self._fine.setdefault(key, ({}, {}))
        for side, party in ((payers, facts.payer), (payees, facts.payee)):
            if len(side) >= _REMEMBERED_MAX:
                side.clear()
            side[None if party is None else party.account_id] = party


def _was_fine(side: _Sides, party: Party | None) -> bool:
    known = side.get(None if party is None else party.account_id, _UNKNOWN)
    return known is party or known == party


def _is_counted(terms: Terms, kind: str, name: str) -> bool:
    if name in {"corridor_day", "minter"}:
        return True
    return name in terms.counted and (kind in MINTS if name == "issuance_day" else is_counted_payment(kind))


def _amount_limit(terms: Terms, kind: str) -> tuple[int, Reason] | None:
    if kind in MINTS:
        limit_minor, against = terms.mint_minor, reason("mint_limit_exceeded", "issuance/mint")
    elif is_counted_payment(kind):
        limit_minor, against = (
            terms.transaction_minor,
            reason("transaction_limit_exceeded", "limits/transaction"),
        )
    else:
        return None
    return None if limit_minor is None else (limit_minor, against)


def _limits(terms: Terms, facts: Facts, corridor: Corridor | None) -> tuple[list[_Limit], dict[str, str]]:
    """Return what limits the instruction, and the key of every subject that it can be counted for, by name."""
    class_id = facts.of_class.token_class_id
    payer, payee = facts.payer, facts.payee
    subjects = {"issuance_day": subject.issuance_day(class_id)}
    if payer is not None:
        subjects["payer_day"] = subject.payer_day(payer.account_id)
        subjects["holder_day"] = subject.holder_day(class_id, payer.holder_id)
    if payer is not None and payee is not None:
        subjects["pair_day"] = subject.pair_day(class_id, payer.holder_id, payee.holder_id)
    limits: list[_Limit] = []
    if facts.kind in MINTS:
        _add(
            limits,
            subjects,
            "issuance_day",
            terms.issuance_day_minor,
            "issuance_day_limit_exceeded",
            "issuance/day",
        )
        if terms.allowances_minor is not None:
            allowance_minor = terms.allowances_minor.get(facts.principal_id, 0)
            subjects["minter"] = subject.minter(class_id, facts.principal_id)
            against = reason("minter_allowance_exceeded", "issuance/minter_allowances")
            limits.append(_Limit(subjects["minter"], allowance_minor, against, ever=True))
    if is_counted_payment(facts.kind):
        _add(
            limits,
            subjects,
            "payer_day",
            terms.payer_day_minor,
            "payer_day_limit_exceeded",
            "limits/payer_day",
        )
        _add(limits, subjects, "pair_day", terms.pair_day_minor, "pair_day_limit_exceeded", "limits/pair_day")
        _add(
            limits,
            subjects,
            "holder_day",
            terms.holder_day_minor,
            "holder_day_limit_exceeded",
            "limits/holder_day",
        )
        if corridor is not None and corridor.quota_minor is not None:
            subjects["corridor_day"] = subject.corridor_day(class_id, corridor.id)
            against = reason("corridor_quota_exceeded", corridor.rule_id)
            limits.append(_Limit(subjects["corridor_day"], corridor.quota_minor, against))
    return limits, subjects


def _add(
    limits: list[_Limit],
    subjects: dict[str, str],
    name: str,
    limit_minor: int | None,
    code: str,
    rule_id: str,
) -> None:
    if limit_minor is not None and name in subjects:
        limits.append(_Limit(subjects[name], limit_minor, reason(code, rule_id)))


def _context(rule: CompiledRule, facts: Facts) -> dict[str, Any] | None:
    """Return what the rule reads, except amounts and usage; None if a fact is missing."""
    context: dict[str, Any] = {}
    for name in rule.expression.names:
        owner, _, member = name.partition(".")
        if owner in {"payer", "payee"}:
            party = facts.payer if owner == "payer" else facts.payee
            value = None if party is None else _told(party, member)
            if value is None:
                return None
            context.setdefault(owner, {})[member] = value
        elif owner in _PLAIN:
            context[owner] = _PLAIN[owner](facts)
    return context


_PLAIN: Final[dict[str, Callable[[Facts], str]]] = {
    "kind": lambda facts: facts.kind,
    "currency": lambda facts: facts.of_class.currency,
    "purpose": lambda facts: facts.purpose or "",
    "principal_id": lambda facts: facts.principal_id,
    "today": lambda facts: facts.today.isoformat(),
}


def _told(party: Party, member: str) -> str | None:
    # No platform and no date of expiry are facts too; an unknown country is none.
    if member == "kyc_expires_on":
        return "" if party.kyc_expires_on is None else party.kyc_expires_on.isoformat()
    if member == "platform_id":
        return party.platform_id or ""
    value: str | None = getattr(party, member)
    return value


def _used_keys(rule: CompiledRule, subjects: dict[str, str]) -> tuple[tuple[str, str | None], ...]:
    names = [name.partition(".")[2] for name in rule.expression.names if name.startswith("used.")]
    return tuple((name, subjects.get(name.removesuffix("_minor"))) for name in names)


def _ask(amount_rule: _AmountRule, facts: Facts, usage: UsageBook | None) -> Reason | None:
    rule, context, used_keys = amount_rule
    asked = {**context, "amount_minor": facts.amount_minor}
    if "supply_minor" in rule.expression.names:
        supply_minor = _supply_minor(usage, facts)
        if supply_minor is None:
            return reason("fact_missing", rule.id)
        asked["supply_minor"] = supply_minor
    if used_keys:
        used = {name: None if key is None else _used_minor(usage, key, ever=False) for name, key in used_keys}
        if None in used.values():
            return reason("fact_missing", rule.id)
        asked["used"] = {name: min(used_minor or 0, AMOUNT_MINOR_MAX) for name, used_minor in used.items()}
    return _reason_of(rule, asked)


def _reason_of(rule: CompiledRule, context: dict[str, Any]) -> Reason | None:
    holds = rule.expression.holds(context)
    if holds is None:
        return reason("policy_error", rule.id)
    return Reason(rule.code, rule.id, rule.effect, rule.message) if holds else None


def _used_minor(usage: UsageBook | None, key: str, *, ever: bool) -> int | None:
    if usage is None:
        return None
    return usage.total_minor(key) if ever else usage.used_minor(key)


def _supply_minor(usage: UsageBook | None, facts: Facts) -> int | None:
    return None if usage is None else usage.supplies.get(facts.of_class.token_class_id)
