"""Every shipped rule as a table: facts in, every reason out, and what holds of all decisions."""

from collections.abc import Callable
from datetime import date
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.errors import ConflictError, DeniedError, InvariantError, MalformedError
from tallystick.policy import REFUSALS, CompiledPolicy, Facts, Party, Reason, explain, shipped_policy
from tests.policy.cases import USD, book_for, codes, facts, mint, party, policy_of, rule

Change = Callable[[Party], Party]

GIVING_BACK: Final = ("redemption", "deposit_release")
# What is against one party, whichever side it is on and whatever it asks for.
AGAINST_A_PARTY: Final[list[tuple[dict[str, Any], list[str]]]] = [
    ({}, []),
    ({"kyc_expires_on": date(2026, 11, 23)}, []),
    ({"kyc_expires_on": date(2026, 11, 22)}, []),
    ({"kyc_expires_on": date(2026, 11, 21)}, ["kyc_expired"]),
    ({"kyc_status": "pending"}, ["kyc_not_verified"]),
    ({"kyc_status": "rejected", "kyc_expires_on": date(2020, 1, 1)}, ["kyc_not_verified"]),
    ({"account_status": "frozen"}, ["account_frozen"]),
    ({"account_status": "dormant"}, ["account_frozen"]),
    ({"account_status": "closed"}, ["account_closed"]),
    ({"account_status": "closed", "kyc_status": "pending"}, ["account_closed", "kyc_not_verified"]),
    ({"screening": "unscreened"}, []),
    ({"screening": "hit"}, ["screening_hit"]),
    ({"screening": "a word of a later release"}, ["screening_hit"]),
]


def shipped() -> CompiledPolicy:
    return shipped_policy("USD", 2)


@pytest.mark.parametrize(("change", "expected"), AGAINST_A_PARTY)
def test_a_party(change: dict[str, Any], expected: list[str]) -> None:
    bad = party("x", **change)
    assert codes(shipped(), facts(payer=bad)) == expected
    assert codes(shipped(), facts(payee=bad)) == expected
    assert codes(shipped(), mint(payee=bad)) == expected
    for kind in GIVING_BACK:
        assert codes(shipped(), facts(kind, payer=bad, payee=None)) == expected
    assert codes(shipped(), facts(payer=bad, payee=bad)) == expected, "each reason is told once"


def test_blocks_go_one_way() -> None:
    blocked = party("x", debit_blocked=True)
    assert codes(shipped(), facts(payer=blocked)) == ["account_debit_blocked"]
    assert codes(shipped(), facts(payee=blocked)) == []
    blocked = party("x", credit_blocked=True)
    assert codes(shipped(), facts(payer=blocked)) == []
    assert codes(shipped(), facts(payee=blocked)) == ["account_credit_blocked"]


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("normal", "transfer", []),
        ("normal", "redemption", []),
        ("redeem_only", "mint", ["token_class_redeem_only"]),
        ("redeem_only", "transfer", ["token_class_redeem_only"]),
        ("redeem_only", "hold", ["token_class_redeem_only"]),
        ("redeem_only", "deposit", ["token_class_redeem_only"]),
        ("redeem_only", "a_kind_of_a_later_release", ["token_class_redeem_only"]),
        ("redeem_only", "redemption", []),
        ("redeem_only", "deposit_release", []),
        ("paused", "transfer", ["token_class_paused"]),
        ("paused", "redemption", ["token_class_paused"]),
    ],
)
def test_the_operating_mode(mode: str, kind: str, expected: list[str]) -> None:
    assert codes(shipped(), facts(kind, of_class=USD._replace(mode=mode))) == expected


def test_kyc_and_screening_are_switched_by_the_policy() -> None:
    unknown = facts(payer=party("x", kyc_status="pending", screening="unscreened"))
    assert codes(policy_of(kyc={"enabled": False}), unknown) == []
    strict = policy_of(screening={"on_unscreened": "deny"})
    assert codes(strict, unknown) == ["kyc_not_verified", "screening_missing"]
    referring = policy_of(screening={"on_hit": "refer", "on_unscreened": "refer"}, kyc={"enabled": False})
    assert referring.decide(unknown).effect == "refer"
    hit = referring.decide(facts(payee=party("x", screening="hit")))
    assert (hit.effect, hit.reasons[0].code) == ("refer", "screening_hit")


def test_the_allow_list() -> None:
    kinds = policy_of(allow_list={"enabled": True, "holder_kinds": ["institution", "corporate"]})
    assert codes(kinds, facts()) == ["holder_kind_not_allowed"]
    known = party("x", holder_kind="corporate")
    assert codes(kinds, facts(payer=known, payee=known)) == []
    assert codes(kinds, facts(payer=known, payee=party("x", holder_kind=None))) == ["fact_missing"]
    listed = policy_of(allow_list={"enabled": True, "only_listed": True, "holders": ["holder_a"]})
    assert codes(listed, facts()) == ["holder_not_allow_listed"]
    assert codes(listed, facts(payee=party("b", allow_listed=True))) == []
    assert codes(listed, facts("redemption", payer=party("b"), payee=None)) == [], "giving back stays open"
    off = policy_of(allow_list={"only_listed": True, "holder_kinds": ["institution"]})
    assert codes(off, facts()) == []


@pytest.mark.parametrize("currency", ["CNY", "CNH"])
def test_a_class_that_needs_an_approval_is_off_until_its_reference_is_recorded(currency: str) -> None:
    asked = facts(of_class=USD._replace(currency=currency))
    assert codes(shipped_policy(currency, 2), asked) == ["class_not_enabled"]
    assert codes(policy_of(currency=currency, requires_approval_reference=False), asked) == [
        "class_not_enabled"
    ]
    assert codes(policy_of(currency=currency, approval_reference="PBoC 2026/17"), asked) == []
    assert codes(shipped_policy(currency, 2), asked._replace(kind="redemption")) == []


def test_any_class_can_be_made_to_need_an_approval() -> None:
    assert codes(policy_of(requires_approval_reference=True), facts()) == ["class_not_enabled"]
    assert codes(policy_of(requires_approval_reference=True, approval_reference="A-1"), facts()) == []


@pytest.mark.parametrize(
    ("payer", "payee", "purpose", "expected"),
    [
        ("DE", "CN", None, ["purpose_code_required"]),
        ("DE", "CN", "GOD", []),
        ("DE", "CN", "XXX", ["purpose_code_unknown"]),
        ("DE", "DE", None, []),
        ("DE", "DE", "XXX", ["purpose_code_unknown"]),
        ("CN", "CN", None, []),
        ("CN", "DE", None, []),
        (None, "CN", None, ["fact_missing"]),
    ],
)
def test_purpose_codes(payer: str | None, payee: str, purpose: str | None, expected: list[str]) -> None:
    policy = policy_of(purposes={"required_into": ["CN"]})
    asked = facts(payer=party("a", payer), payee=party("b", payee), purpose=purpose)
    assert codes(policy, asked) == expected
    assert codes(policy, asked._replace(kind="redemption")) == []


def test_purpose_codes_go_by_residency_too_and_may_be_the_banks_own() -> None:
    policy = policy_of(purposes={"required_into": ["*"], "codes": ["RENT"]})
    at_home = party("b", "DE", residency="CN")
    assert codes(policy, facts(payee=at_home)) == ["purpose_code_required"]
    assert codes(policy, facts(payee=at_home, purpose="RENT")) == []
    assert codes(policy, facts(payee=at_home, purpose="GOD")) == ["purpose_code_unknown"]
    assert codes(policy, facts(purpose="ANYTHING")) == ["purpose_code_unknown"]
    assert codes(policy_of(), facts(purpose="ANYTHING")) == [], "without a list every code is taken"


CORRIDORS: Final = {
    "enabled": True,
    "rows": [
        {"id": "goods", "payer_country": "DE", "payee_country": "CN", "purpose": "GOD", "action": "allow"},
        {"payer_country": "DE", "payee_country": "CN", "action": "refer"},
        {"payee_residency": "CN", "currency": "EUR", "action": "allow"},
        {"payee_residency": "CN", "action": "deny"},
        {"payer_country": "DE", "payee_country": "DE", "action": "allow"},
    ],
    "otherwise": "deny",
}


@pytest.mark.parametrize(
    ("payer", "payee", "purpose", "effect", "rule_id"),
    [
        (party("a"), party("b", "CN"), "GOD", "allow", None),
        (party("a"), party("b", "CN"), None, "refer", "corridors/1"),
        (party("a", "FR"), party("b", "CN"), "GOD", "deny", "corridors/3"),
        (party("a"), party("b", "DE", residency="CN"), None, "deny", "corridors/3"),
        (party("a"), party("b"), None, "allow", None),
        (party("a", "FR"), party("b"), None, "deny", "corridors/otherwise"),
    ],
)
def test_corridors(payer: Party, payee: Party, purpose: str | None, effect: str, rule_id: str | None) -> None:
    decision = policy_of(corridors=CORRIDORS).decide(facts(payer=payer, payee=payee, purpose=purpose))
    code = {"deny": "corridor_denied", "refer": "corridor_referred"}.get(effect)
    assert decision.effect == effect
    assert [(one.code, one.rule_id) for one in decision.reasons] == ([(code, rule_id)] if rule_id else [])


def test_corridors_need_to_know_both_ends_and_let_what_is_given_back_pass() -> None:
    policy = policy_of(corridors=CORRIDORS)
    nowhere = party("a", None)
    assert codes(policy, facts(payer=nowhere)) == ["fact_missing"]
    assert codes(policy, facts(payee=None)) == ["fact_missing"]
    for kind in GIVING_BACK:
        assert codes(policy, facts(kind, payer=nowhere, payee=None)) == []
    assert codes(policy_of(corridors=CORRIDORS | {"enabled": False}), facts(payer=nowhere)) == []


def test_a_corridors_quota_is_one_for_all_that_go_through_it() -> None:
    row = {"id": "into_cn", "payee_country": "CN", "action": "allow", "quota_day": "25.00"}
    policy = policy_of(corridors={"enabled": True, "rows": [row]})
    first, second = facts(payee=party("b", "CN")), facts(payer=party("c"), payee=party("d", "CN"))
    usage = book_for(policy, first, second)
    for asked in (first, second):
        assert codes(policy, asked, usage) == []
        policy.count(asked, usage)
    refused = policy.decide(first, usage)
    assert [(one.code, one.rule_id) for one in refused.reasons] == [
        ("corridor_quota_exceeded", "corridors/into_cn")
    ]
    assert codes(policy, first._replace(amount_minor=500), usage) == []
    assert codes(policy, facts(), usage) == [], "another corridor"
    execution = first._replace(kind="hold_execution")
    assert codes(policy, execution, usage) == [], "counted when it was held"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"transaction": "10.00"}, "transaction_limit_exceeded"),
        ({"payer_day": "10.00"}, "payer_day_limit_exceeded"),
        ({"pair_day": "10.00"}, "pair_day_limit_exceeded"),
        ({"holder_day": "10.00"}, "holder_day_limit_exceeded"),
    ],
)
@pytest.mark.parametrize("kind", ["transfer", "hold", "a_kind_of_a_later_release"])
def test_a_payment_limit_lets_its_amount_pass_and_one_more_not(
    limits: dict[str, str], code: str, kind: str
) -> None:
    policy = policy_of(limits=limits)
    asked = facts(kind)
    usage = book_for(policy, asked)
    assert codes(policy, asked, usage) == []
    assert codes(policy, asked._replace(amount_minor=1_001), usage) == [code]
    for free in ("hold_execution", *GIVING_BACK, "reversal"):
        assert codes(policy, asked._replace(kind=free, amount_minor=1_001), usage) == []
    assert codes(policy, mint(1_001), usage) == []


def test_who_is_counted_together() -> None:
    policy = policy_of(limits={"payer_day": "30.00", "pair_day": "20.00", "holder_day": "40.00"})
    other_account = party("a", account_id="account_a2")
    others = [facts(payee=party(name)) for name in ("c", "d")]
    elsewhere = facts(payer=other_account, payee=party("e"))
    first = facts()
    usage = book_for(policy, first, *others, elsewhere, facts(payer=other_account))
    for _ in range(2):
        policy.count(first, usage)
    assert codes(policy, first, usage) == ["pair_day_limit_exceeded"]
    assert codes(policy, facts(payer=other_account), usage) == ["pair_day_limit_exceeded"]
    assert codes(policy, others[0], usage) == []
    policy.count(others[0], usage)
    assert codes(policy, others[1], usage) == ["payer_day_limit_exceeded"]
    assert codes(policy, elsewhere, usage) == []
    policy.count(elsewhere, usage)
    assert codes(policy, elsewhere, usage) == ["holder_day_limit_exceeded"]


def test_issuance_limits() -> None:
    policy = policy_of(
        issuance={
            "mint": "10.00",
            "day": "25.00",
            "supply": "1000.00",
            "minter_allowances": {"principal_maker": "15.00", "principal_other": "100.00"},
        }
    )
    other = mint(principal_id="principal_other")
    stranger = mint(principal_id="principal_stranger")
    usage = book_for(policy, mint(), other, stranger)
    usage.set_supply("class_usd", 0)
    assert policy.needs_supply("mint")
    assert not policy.needs_supply("transfer")
    assert codes(policy, mint(), usage) == []
    assert codes(policy, mint(1_000_000), usage) == [
        "mint_limit_exceeded",
        "issuance_day_limit_exceeded",
        "minter_allowance_exceeded",
        "supply_cap_exceeded",
    ], "a thousand times too much, whoever approved it"
    policy.count(mint(), usage)
    assert codes(policy, mint(), usage) == ["minter_allowance_exceeded"]
    assert codes(policy, other, usage) == []
    policy.count(other, usage)
    assert codes(policy, other, usage) == ["issuance_day_limit_exceeded"]
    assert codes(policy, stranger._replace(amount_minor=1), usage) == ["minter_allowance_exceeded"]
    assert usage.supplies == {"class_usd": 2_000}
    policy.count(facts("redemption", payee=None, amount_minor=1_500), usage)
    assert usage.supplies == {"class_usd": 500}
    usage.set_supply("class_usd", 99_600)
    assert codes(policy, other._replace(amount_minor=401), usage) == ["supply_cap_exceeded"]
    assert codes(policy, other._replace(amount_minor=400), usage) == []


def test_what_a_limit_needs_and_nobody_read_is_denied() -> None:
    assert codes(policy_of(limits={"payer_day": "10.00"}), facts()) == ["fact_missing"]
    capped = policy_of(issuance={"supply": "10.00"})
    assert codes(capped, mint()) == ["fact_missing"]
    assert codes(capped, mint(), book_for(capped)) == ["fact_missing"]
    allowance = policy_of(issuance={"minter_allowances": {}})
    assert codes(allowance, mint(0)) == ["fact_missing"]


def test_without_limits_nothing_is_read_or_counted() -> None:
    for asked in (facts(), mint(), facts("redemption", payee=None)):
        usage = book_for(shipped(), asked)
        assert shipped().usage_keys(asked) == ()
        shipped().count(asked, usage)
        shipped().count(asked, None)
        assert not usage.changed()
    assert not shipped().needs_supply("mint")
    assert not shipped().counts_usage
    assert not policy_of(limits={"transaction": "1.00"}, issuance={"supply": "1.00"}).counts_usage


@pytest.mark.parametrize(
    "members",
    [
        {"limits": {"pair_day": "50.00"}},
        {"issuance": {"day": "50.00"}},
        {"issuance": {"minter_allowances": {}}},
        {
            "corridors": {
                "enabled": True,
                "rows": [{"id": "all", "action": "allow", "quota_day": "50.00"}],
            }
        },
        {"rules": [rule("used.payer_day_minor > 5000")]},
    ],
)
def test_a_count_is_never_lost(members: dict[str, Any]) -> None:
    policy = policy_of(**members)
    assert policy.counts_usage
    asked = mint() if "issuance" in members else facts()
    with pytest.raises(InvariantError):
        policy.count(asked, None)
    with pytest.raises(InvariantError):
        policy.count(asked, book_for(policy))


@pytest.mark.parametrize(
    ("when", "changed", "expected"),
    [
        ("amount_minor > 1000", {}, []),
        ("amount_minor >= 1000", {}, ["our_rule"]),
        ("payer.country + payee.country == 'DECN'", {"payee": party("b", "CN")}, ["our_rule"]),
        ("payer.country in ['DE', 'FR'] && purpose == ''", {}, ["our_rule"]),
        ("payer.platform_id == '' && payer.kyc_expires_on == ''", {}, ["our_rule"]),
        ("payer.kyc_expires_on < today", {"payer": party("a", kyc_expires_on=date(2026, 11, 23))}, []),
        ("principal_id.startsWith('principal_m') && size(currency) == 3", {}, ["our_rule"]),
        ("payer.country == 'CN'", {"payer": party("a", None)}, ["fact_missing"]),
        ("payer.country == 'CN' && amount_minor > 5", {"payer": party("a", None)}, ["fact_missing"]),
        ("payer.screening == 'clear'", {}, ["our_rule"]),
        ("1000000000 / (amount_minor - 1000) > 0", {}, ["policy_error"]),
        ("amount_minor * 1000000000000 * 1000000000000 > 0", {}, ["policy_error"]),
        ("kind == 'transfer' && amount_minor > 'a'", {}, None),
        ("used.payer_day_minor + amount_minor > 1500", {}, []),
        ("used.payer_day_minor + amount_minor > 1500", {"amount_minor": 1_501}, ["our_rule"]),
        ("supply_minor > 0", {}, ["fact_missing"]),
    ],
)
def test_rules_of_the_banks_own(when: str, changed: dict[str, Any], expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(MalformedError):
            policy_of(rules=[rule(when)])
        return
    policy = policy_of(rules=[rule(when)])
    asked = facts(**changed)
    assert codes(policy, asked, book_for(policy, asked)) == expected
    assert codes(policy, asked._replace(kind="hold")) == [], "asked of its kinds only"


def test_what_a_rule_reads_of_usage_is_counted_without_a_limit() -> None:
    policy = policy_of(rules=[rule("used.holder_day_minor >= 2000", effect="refer")])
    assert codes(policy, facts()) == ["fact_missing"]
    usage = book_for(policy, facts(), facts("hold"))
    policy.count(facts(), usage)
    policy.count(facts("hold"), usage)
    decision = policy.decide(facts(), usage)
    assert (decision.effect, decision.reasons) == (
        "refer",
        (Reason("our_rule", "rules/our_own", "refer", "Against our rule."),),
    )


def test_a_rule_may_read_the_supply() -> None:
    policy = policy_of(rules=[rule("supply_minor + amount_minor > 1500", "mint")])
    assert policy.needs_supply("mint")
    usage = book_for(policy, mint())
    usage.set_supply("class_usd", 500)
    assert codes(policy, mint(), usage) == []
    policy.count(mint(), usage)
    assert codes(policy, mint(), usage) == ["our_rule"]


def test_a_decision_tells_the_version_and_every_reason() -> None:
    policy = policy_of(
        limits={"transaction": "5.00"},
        corridors={"enabled": True, "otherwise": "refer"},
        rules=[rule("amount_minor > 0"), rule("true", effect="refer", code="noted") | {"id": "noted"}],
    )
    asked = facts(
        of_class=USD._replace(mode="paused"), payer=party("a", account_status="frozen", kyc_status="pending")
    )
    decision = policy.decide(asked, book_for(policy, asked))
    assert not decision.allowed
    assert explain(decision) == {
        "effect": "deny",
        "policy_version": "policy_test/1",
        "reasons": [
            {
                "code": code,
                "rule_id": rule_id,
                "effect": effect,
                "message": message if code in {"noted", "our_rule"} else f"{REFUSALS[code].title}.",
            }
            for code, rule_id, effect, message in [
                ("token_class_paused", "operating_mode", "deny", ""),
                ("account_frozen", "account_status", "deny", ""),
                ("kyc_not_verified", "kyc", "deny", ""),
                ("corridor_referred", "corridors/otherwise", "refer", ""),
                ("noted", "rules/noted", "refer", "Against our rule."),
                ("transaction_limit_exceeded", "limits/transaction", "deny", ""),
                ("our_rule", "rules/our_own", "deny", "Against our rule."),
            ]
        ],
    }


def test_a_refusal_is_named_by_the_first_that_denies() -> None:
    policy = policy_of(corridors={"enabled": True, "otherwise": "refer"}, limits={"transaction": "5.00"})
    refused = policy.decide(facts()).refusal()
    assert (refused.code, refused.members) == (
        "transaction_limit_exceeded",
        {
            "reasons": ["corridor_referred", "transaction_limit_exceeded"],
            "rules": [
                {"code": "corridor_referred", "rule_id": "corridors/otherwise", "effect": "refer"},
                {"code": "transaction_limit_exceeded", "rule_id": "limits/transaction", "effect": "deny"},
            ],
            "policy_version": "policy_test/1",
        },
    )
    assert policy.decide(facts(amount_minor=1)).refusal().code == "corridor_referred"
    own = policy_of(rules=[rule("true")]).decide(facts()).refusal()
    assert (own.code, own.detail, own.members["reasons"]) == (
        "policy_rule_refused",
        "Against our rule.",
        ["our_rule"],
    )


@pytest.mark.parametrize("code", REFUSALS)
def test_every_reason_has_its_refusal(code: str) -> None:
    assert REFUSALS[code].code == code
    assert issubclass(REFUSALS[code], ConflictError | DeniedError | MalformedError)


PARTIES: Final = st.builds(
    lambda change, country: party("x", country, **change),
    st.sampled_from([change for change, _ in AGAINST_A_PARTY]),
    st.sampled_from(["DE", "CN", None]),
)
ASKED: Final = st.builds(
    lambda kind, payer, payee, purpose, amount_minor, mode: Facts(
        kind, USD._replace(mode=mode), payer, payee, purpose, "principal_1", date(2026, 11, 22), amount_minor
    ),
    st.sampled_from(["transfer", "hold", "mint", "redemption", "deposit", "later"]),
    PARTIES,
    PARTIES,
    st.sampled_from([None, "GOD", "XXX"]),
    st.integers(1, 3_000),
    st.sampled_from(["normal", "redeem_only", "paused"]),
)
MEMBERS: Final[dict[str, Any]] = {
    "screening": {"on_hit": "refer", "on_unscreened": "refer"},
    "purposes": {"required_into": ["CN"]},
    "corridors": CORRIDORS,
    "limits": {"transaction": "20.00", "payer_day": "15.00"},
    "issuance": {"mint": "20.00", "day": "25.00"},
    "rules": [
        rule("amount_minor > 2500", "transfer", "mint", effect="refer"),
        rule("payee.country == 'CN'", "transfer", "deposit", code="into_cn") | {"id": "into_cn"},
    ],
}
SEVERITY: Final = ["allow", "refer", "deny"]


@settings(max_examples=60)
@given(ASKED, st.sets(st.sampled_from(sorted(MEMBERS))), st.sampled_from(sorted(MEMBERS)))
def test_one_more_rule_never_makes_a_decision_milder(asked: Facts, some: set[str], more: str) -> None:
    # Screening refers here what it denies by itself, so it is on in both.
    fewer = {name: MEMBERS[name] for name in some | {"screening"}}
    policy, stricter = policy_of(**fewer), policy_of(**fewer | {more: MEMBERS[more]})
    before = policy.decide(asked, book_for(policy, asked))
    after = stricter.decide(asked, book_for(stricter, asked))
    assert SEVERITY.index(after.effect) >= SEVERITY.index(before.effect)
    assert set(before.reasons) <= set(after.reasons)


REMEMBERING: Final = policy_of(**MEMBERS)


@settings(max_examples=100)
@given(ASKED)
def test_what_is_remembered_is_what_would_be_decided_anew(asked: Facts) -> None:
    fresh = policy_of(**MEMBERS)
    usage = book_for(fresh, asked)
    expected = fresh.decide(asked, usage)
    for _ in range(2):
        assert REMEMBERING.decide(asked, usage) == expected
        assert REMEMBERING.usage_keys(asked) == fresh.usage_keys(asked)
    other = asked._replace(amount_minor=asked.amount_minor + 1_500)
    assert REMEMBERING.decide(other, usage) == policy_of(**MEMBERS).decide(other, usage)


APART: Final = {name: MEMBERS[name] for name in ("kyc", "screening", "allow_list") if name in MEMBERS}
REMEMBERING_SIDES: Final = policy_of(**APART)


@settings(max_examples=100)
@given(ASKED)
def test_sides_that_were_fine_apart_are_decided_as_if_anew(asked: Facts) -> None:
    for one in (asked, facts(), asked._replace(payer=facts().payer), asked._replace(payee=facts().payee)):
        assert REMEMBERING_SIDES.decide(one) == policy_of(**APART).decide(one)


def test_what_is_remembered_is_bounded() -> None:
    policy = policy_of()
    for number in range(10_050):
        assert policy.decide(facts(principal_id=f"principal_{number}")).allowed
    assert len(policy._remembered) <= 10_000
