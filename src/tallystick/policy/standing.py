"""The rules that rest on who pays whom, and not on how much: class, accounts, holders, lists, purpose and corridor."""

from datetime import date
from functools import cache

from tallystick.policy.corridors import Corridor
from tallystick.policy.facts import ALLOW, DENY, REFER, Facts, Party, Reason
from tallystick.policy.kinds import GIVES_BACK, is_payment
from tallystick.policy.refusals import REFUSALS
from tallystick.policy.terms import Terms

__all__ = ["reason", "standing_reasons"]


@cache
def reason(code: str, rule_id: str, effect: str = DENY) -> Reason:
    """Return the reason of one of the service's own rules."""
    return Reason(code, rule_id, effect, f"{REFUSALS[code].title}.")


def standing_reasons(terms: Terms, facts: Facts) -> tuple[list[Reason], Corridor | None]:
    """Return every reason against, whatever the amount, and the corridor of a payment whose ends are known."""
    gives_back = facts.kind in GIVES_BACK
    reasons = _of_class(terms, facts.of_class.mode, gives_back=gives_back)
    for party, is_payer in ((facts.payer, True), (facts.payee, False)):
        if party is not None:
            reasons += _of_account(party, is_payer=is_payer)
            reasons += _of_holder(terms, party, facts.today, gives_back=gives_back)
    if not is_payment(facts.kind):
        return reasons, None
    reasons += _of_purpose(terms, facts)
    if terms.corridors is None:
        return reasons, None
    corridor = _corridor(terms, facts)
    if corridor is None:
        return [*reasons, reason("fact_missing", "corridors")], None
    if corridor.action == DENY:
        reasons.append(reason("corridor_denied", corridor.rule_id))
    elif corridor.action == REFER:
        reasons.append(reason("corridor_referred", corridor.rule_id, REFER))
    return reasons, corridor


def _of_class(terms: Terms, mode: str, *, gives_back: bool) -> list[Reason]:
    reasons = []
    if mode != "normal":
        if mode == "paused":
            reasons.append(reason("token_class_paused", "operating_mode"))
        elif not gives_back:
            reasons.append(reason("token_class_redeem_only", "operating_mode"))
    # Whoever holds tokens of a class that was enabled once can always give them back.
    if not terms.enabled and not gives_back:
        reasons.append(reason("class_not_enabled", "approval_reference"))
    return reasons


def _of_account(party: Party, *, is_payer: bool) -> list[Reason]:
    reasons = []
    if party.account_status != "open":
        closed = party.account_status == "closed"
        reasons.append(reason("account_closed" if closed else "account_frozen", "account_status"))
    if is_payer and party.debit_blocked:
        reasons.append(reason("account_debit_blocked", "account_status"))
    if not is_payer and party.credit_blocked:
        reasons.append(reason("account_credit_blocked", "account_status"))
    return reasons


def _of_holder(terms: Terms, party: Party, today: date, *, gives_back: bool) -> list[Reason]:
    reasons = []
    if terms.checks_kyc:
        if party.kyc_status != "verified":
            reasons.append(reason("kyc_not_verified", "kyc"))
        elif party.kyc_expires_on is not None and party.kyc_expires_on < today:
            reasons.append(reason("kyc_expired", "kyc"))
    if party.screening != "clear":
        if party.screening != "unscreened":
            # What two people confirmed is denied whatever the policy says of hits.
            effect = DENY if party.screening == "confirmed" else terms.on_hit
            reasons.append(reason("screening_hit", "screening", effect))
        elif terms.on_unscreened != ALLOW:
            reasons.append(reason("screening_missing", "screening", terms.on_unscreened))
    if gives_back:
        return reasons
    if terms.holder_kinds is not None:
        if party.holder_kind is None:
            reasons.append(reason("fact_missing", "allow_list"))
        elif party.holder_kind not in terms.holder_kinds:
            reasons.append(reason("holder_kind_not_allowed", "allow_list"))
    if (
        terms.listed_holders is not None
        and not party.allow_listed
        and party.holder_id not in terms.listed_holders
    ):
        reasons.append(reason("holder_not_allow_listed", "allow_list"))
    return reasons


def _of_purpose(terms: Terms, facts: Facts) -> list[Reason]:
    if facts.purpose is not None:
        known = terms.purposes is None or facts.purpose in terms.purposes
        return [] if known else [reason("purpose_code_unknown", "purposes")]
    if not terms.purpose_required_into:
        return []
    payer, payee = facts.payer, facts.payee
    if (
        payer is None
        or payee is None
        or None in {payer.country, payer.residency, payee.country, payee.residency}
    ):
        return [reason("fact_missing", "purposes")]
    # Within one country nothing crosses a border, so nothing is asked.
    crosses = {
        there
        for here, there in ((payer.country, payee.country), (payer.residency, payee.residency))
        if here != there and there is not None
    }
    if crosses.isdisjoint(terms.purpose_required_into) and not (
        crosses and "*" in terms.purpose_required_into
    ):
        return []
    return [reason("purpose_code_required", "purposes")]


def _corridor(terms: Terms, facts: Facts) -> Corridor | None:
    payer, payee = facts.payer, facts.payee
    if terms.corridors is None or payer is None or payee is None:
        return None
    if payer.country is None or payer.residency is None or payee.country is None or payee.residency is None:
        return None
    ends = (payer.country, payer.residency, payee.country, payee.residency, facts.purpose or "")
    return terms.corridors.of(ends)
