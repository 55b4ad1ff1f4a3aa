"""`/v1/policy/simulate`: every reason against an instruction, told before it is given, and nothing done."""

from typing import Any

import pytest

from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem, row_counts

pytestmark = pytest.mark.anyio


def sides(edge: Edge, amount: str) -> dict[str, str]:
    return {
        "payer_account_id": edge.bank.account_id("HARBOUR-USD"),
        "payee_account_id": edge.bank.account_id("LANTERN-USD"),
        "amount": amount,
        "currency": "USD",
    }


async def simulate(edge: Edge, kind: str, role: str = Role.PLATFORM, **fields: Any) -> dict[str, Any]:
    before = row_counts(edge.urls)
    response = await edge.client.post(
        "/v1/policy/simulate", json={"kind": kind, **fields}, headers=edge.bearer(role)
    )
    assert response.status_code == 200, response.text
    assert row_counts(edge.urls) == before
    told: dict[str, Any] = response.json()
    assert told["object"] == "simulation"
    return told


async def test_what_would_settle_is_allowed(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "5.00")
    told = await simulate(edge, "transfer", **sides(edge, "5.00"))
    assert told == {
        "object": "simulation",
        "effect": "allow",
        "reasons": [],
        "policy_version": "shipped/1",
        "checkers": 0,
    }
    assert (await edge.post("/v1/transfers", sides(edge, "5.00"), Role.PLATFORM)).status_code == 201


async def test_every_reason_is_told_the_books_own_too(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "5.00")
    drafted = edge.bank.enact(limits={"transaction": "4.00", "payer_day": "4.50"})
    edge.bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    edge.bank.freeze("LANTERN-USD")

    told = await simulate(edge, "transfer", **sides(edge, "4.01"))

    assert (told["effect"], told["policy_version"]) == ("deny", f"{drafted.id}/1")
    assert [(one["code"], one["rule_id"], one["effect"]) for one in told["reasons"]] == [
        ("account_frozen", "account_status", "deny"),
        ("transaction_limit_exceeded", "limits/transaction", "deny"),
        ("payer_day_limit_exceeded", "limits/payer_day", "deny"),
        ("insufficient_funds", "books", "deny"),
    ]
    assert all(one["message"] for one in told["reasons"])
    # The refusal itself has the rules' reasons; the books are not asked any more.
    refused = await edge.post("/v1/transfers", sides(edge, "4.01"), Role.PLATFORM)
    problem = assert_problem(refused, 403, "account_frozen")
    assert problem["reasons"] == [one["code"] for one in told["reasons"][:3]]


async def test_who_would_have_to_approve_is_counted(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "5.00")
    edge.bank.deposit("HARBOUR-USD", "5.00")
    own = {"amount": "2.00", "currency": "USD"}
    account_id = edge.bank.account_id("HARBOUR-USD")
    plain = await simulate(edge, "mint", Role.TREASURY_MAKER, payee_account_id=account_id, **own)
    assert (plain["effect"], plain["checkers"]) == ("allow", 1)
    rule = {
        "id": "any_payment",
        "on": ["transfer"],
        "when": "amount_minor > 100",
        "effect": "refer",
        "code": "any_payment",
        "message": "People look at it.",
    }
    edge.bank.enact(rules=[rule], approvals={"mint": [{"checkers": 2}], "redemption": [{"checkers": 1}]})

    minted = await simulate(edge, "mint", Role.TREASURY_MAKER, payee_account_id=account_id, **own)
    redeemed = await simulate(edge, "redemption", payer_account_id=account_id, **own)
    paid = await simulate(edge, "transfer", **sides(edge, "2.00"))
    assert [(one["effect"], one["checkers"]) for one in (minted, redeemed, paid)] == [
        ("allow", 2),
        ("allow", 1),
        ("refer", 1),
    ]
    assert [(one["code"], one["effect"]) for one in paid["reasons"]] == [("any_payment", "refer")]
    assert (await edge.post("/v1/transfers", sides(edge, "2.00"), Role.PLATFORM)).status_code == 202


async def test_a_suspended_issuance_is_told(edge: Edge) -> None:
    edge.bank.deposit("HARBOUR-USD", "5.00")
    edge.bank.change("breaker_trip", edge.bank.classes["USD"].id)
    account_id = edge.bank.account_id("HARBOUR-USD")
    told = await simulate(
        edge, "mint", Role.TREASURY_MAKER, payee_account_id=account_id, amount="5.00", currency="USD"
    )
    assert [(one["code"], one["rule_id"]) for one in told["reasons"]] == [("issuance_suspended", "breaker")]
    assert told["effect"] == "deny"


async def test_a_supply_cap_is_told(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "5.00")
    edge.bank.deposit("HARBOUR-USD", "5.00")
    edge.bank.enact(issuance={"supply": "9.99"})
    account_id = edge.bank.account_id("HARBOUR-USD")
    for amount, codes in (("4.99", []), ("5.00", ["supply_cap_exceeded"])):
        told = await simulate(
            edge, "mint", Role.TREASURY_MAKER, payee_account_id=account_id, amount=amount, currency="USD"
        )
        assert [one["code"] for one in told["reasons"]] == codes


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"kind": "reversal"}, 422, "request_invalid"),
        ({"amount": "1"}, 422, "amount_malformed"),
        ({"currency": "EUR"}, 422, "currency_mismatch"),
        ({"payee_account_id": None}, 404, "account_not_found"),
    ],
)
async def test_what_can_t_be_meant_is_refused(
    shared_edge: Edge, changed: dict[str, Any], status: int, code: str
) -> None:
    body = {"kind": "transfer", **sides(shared_edge, "1.00"), **changed}
    response = await shared_edge.client.post(
        "/v1/policy/simulate", json=body, headers=shared_edge.bearer(Role.PLATFORM)
    )
    assert_problem(response, status, code)


async def test_another_customer_s_account_is_as_absent(shared_edge: Edge) -> None:
    body = {"kind": "transfer", **sides(shared_edge, "1.00")}
    response = await shared_edge.client.post(
        "/v1/policy/simulate", json=body, headers=shared_edge.bearer(Role.HOLDER)
    )
    assert_problem(response, 404, "account_not_found")
