"""Limits as they are shown: all that a policy sets, under the names that it counts under, and what is left of each."""

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.policy import CompiledPolicy, Issued, LimitState
from tallystick.policy.documents import Breaker, Issuance, Limits
from tallystick.policy.limits import states_of
from tallystick.policy.usage import UsageBook
from tests.policy.cases import book_for, codes, facts, mint, policy_of

PAYER: Final = ("account_a", "holder_a")
NOTHING_ISSUED: Final = Issued(0, 0, 0)
WHOLE: Final[dict[str, Any]] = {
    "limits": {"transaction": "20.00", "payer_day": "30.00", "pair_day": "40.00", "holder_day": "50.00"},
    "issuance": {
        "mint": "60.00",
        "day": "70.00",
        "supply": "80.00",
        "minter_allowances": {"principal_maker": "90.00", "principal_other": "15.00"},
    },
    "corridors": {
        "enabled": True,
        "rows": [
            {
                "id": "home",
                "payer_country": "DE",
                "payee_country": "DE",
                "action": "allow",
                "quota_day": "35.00",
            },
            {"id": "abroad", "action": "deny"},
        ],
    },
    "approvals": {"transfer_batch": [{"above": "100.00", "checkers": 1}, {"above": "500.00", "checkers": 2}]},
    "breaker": {"window_seconds": 600, "mints": 5, "amount": "45.00"},
}


def shown(
    policy: CompiledPolicy,
    usage: UsageBook,
    issued: Issued = NOTHING_ISSUED,
    payer: tuple[str, str] | None = PAYER,
    minter_id: str | None = None,
) -> dict[str, LimitState]:
    found = policy.limits("class_usd", payer, minter_id)
    known = UsageBook(usage.hour, {**usage.usages})
    return {
        f"{one.limit.rule_id} {one.limit.subject_id or one.limit.checkers or ''}".strip(): one
        for one in states_of(found, known, issued)
    }


def book(policy: CompiledPolicy) -> UsageBook:
    others = mint()._replace(principal_id="principal_other")
    return book_for(policy, facts(), mint(), others)


def test_every_limit_that_a_policy_can_set_is_shown() -> None:
    whole = policy_of(**WHOLE)
    found = shown(whole, book(whole))
    assert {
        name: (one.limit.limit, one.limit.period, one.used, one.headroom) for name, one in found.items()
    } == {
        "limits/transaction": (2_000, "each", None, 2_000),
        "limits/payer_day account_a": (3_000, "rolling_day", 0, 3_000),
        "limits/pair_day": (4_000, "rolling_day", None, None),
        "limits/holder_day holder_a": (5_000, "rolling_day", 0, 5_000),
        "issuance/mint": (6_000, "each", None, 6_000),
        "issuance/day class_usd": (7_000, "rolling_day", 0, 7_000),
        "issuance/supply class_usd": (8_000, "supply", 0, 8_000),
        "issuance/minter_allowances principal_maker": (9_000, "ever", 0, 9_000),
        "issuance/minter_allowances principal_other": (1_500, "ever", 0, 1_500),
        "corridors/home home": (3_500, "rolling_day", 0, 3_500),
        "approvals/transfer_batch 1": (10_000, "each", None, 10_000),
        "approvals/transfer_batch 2": (50_000, "each", None, 50_000),
        "breaker/mints class_usd": (5, "window", 0, 5),
        "breaker/amount class_usd": (4_500, "window", 0, 4_500),
    }
    # A limit that is added to the document must be added here.
    members = [*Limits.model_fields, *Issuance.model_fields, *Breaker.model_fields]
    assert {"window_seconds", *(name.partition("/")[2].partition(" ")[0] for name in found)} >= set(members)


def test_without_a_policy_of_its_own_nothing_is_limited() -> None:
    assert policy_of().limits("class_usd", PAYER) == []


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3_000)), max_size=8))
def test_what_is_counted_is_what_is_shown_and_what_is_left_passes(asked: list[tuple[bool, int]]) -> None:
    """Headroom is to the minor unit what the policy itself lets through next."""
    limited = policy_of(**{**WHOLE, "breaker": {}})
    usage = book(limited)
    usage.set_supply("class_usd", 0)
    supply_minor = 0
    for is_mint, amount_minor in asked:
        one = mint(amount_minor) if is_mint else facts(amount_minor=amount_minor)
        if limited.decide(one, usage).allowed:
            limited.count(one, usage)
            supply_minor += amount_minor if is_mint else 0
    found = shown(limited, usage, Issued(supply_minor, 0, 0))
    # The pair's is not told: it has to be left out of what limits a payment here.
    pays = [
        one.headroom
        for one in found.values()
        if one.limit.part in {"limits", "corridors"} and one.headroom is not None
    ]
    mints = [
        one.headroom
        for one in found.values()
        if one.limit.part == "issuance"
        and one.headroom is not None
        and one.limit.subject_id != "principal_other"
    ]
    pair_left = 4_000 - usage.usages["pair_day:class_usd:holder_a:holder_b"].day_minor
    pay_left, mint_left = min([*pays, pair_left]), min(mints)
    for left, make in ((pay_left, facts), (mint_left, mint)):
        if left:
            assert codes(limited, make(amount_minor=left), usage) == []
        assert codes(limited, make(amount_minor=left + 1), usage) != []


def test_limits_of_nobody_in_particular_are_told_without_usage() -> None:
    whole = policy_of(**WHOLE)
    found = shown(whole, book(whole), payer=None)
    for name in ("limits/payer_day", "limits/holder_day", "limits/pair_day"):
        assert (found[name].used, found[name].headroom) == (None, None)


def test_a_maker_without_an_allowance_has_one_of_nothing() -> None:
    whole = policy_of(**WHOLE)
    usage = book_for(whole, mint()._replace(principal_id="principal_new"))
    found = [
        one for one in whole.limits("class_usd", None, "principal_new") if one.name == "minter_allowance"
    ]
    assert [(one.subject_id, one.limit) for one in found] == [("principal_new", 0)]
    assert [one.headroom for one in states_of(found, usage, NOTHING_ISSUED)] == [0]
    free = policy_of(issuance={"mint": "1.00"})
    assert [one.name for one in free.limits("class_usd", None, "principal_new")] == ["mint"]


def test_an_allowance_is_used_up_for_ever_and_a_day_is_a_day() -> None:
    whole = policy_of(**WHOLE)
    usage = book(whole)
    for used in usage.usages.values():
        used.total_minor, used.day_minor = 1_400, 300
    found = shown(whole, usage)
    assert found["issuance/minter_allowances principal_other"].headroom == 100
    assert found["issuance/day class_usd"].headroom == 6_700


def test_what_is_over_its_limit_has_nothing_left() -> None:
    whole = policy_of(**WHOLE)
    found = shown(whole, book(whole), Issued(9_000, 7, 4_500))
    assert (found["issuance/supply class_usd"].used, found["issuance/supply class_usd"].headroom) == (
        9_000,
        0,
    )
    assert (found["breaker/mints class_usd"].used, found["breaker/mints class_usd"].headroom) == (7, 0)
    assert found["breaker/amount class_usd"].headroom == 0
