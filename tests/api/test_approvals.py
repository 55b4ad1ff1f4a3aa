"""What a checker is shown before deciding: who is paid, what it comes to, what is left, and what a change changes."""

from datetime import timedelta
from typing import Any

import pytest

from tallystick.core.ids import with_prefix
from tallystick.participants import Role
from tallystick.tokens import Kind
from tests.api.edge import Edge
from tests.bank import APPROVAL_LIFETIME
from tests.policies import let_into_force

pytestmark = pytest.mark.anyio


async def shown(edge: Edge, instruction_id: str) -> dict[str, Any]:
    response = await edge.get(
        f"/v1/approvals/{with_prefix('approval', instruction_id)}", Role.TREASURY_CHECKER
    )
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def asked_mint(edge: Edge, amount: str) -> str:
    bank = edge.bank
    return bank.ask(
        Kind.MINT,
        bank.maker,
        amount=amount,
        currency="EUR",
        payee_account_id=bank.account_id("HARBOUR-EUR"),
    ).resource_id


async def test_a_mint_is_shown_with_all_that_it_would_leave(edge: Edge) -> None:
    bank = edge.bank
    bank.deposit("HARBOUR-EUR", "300.00")
    unlimited = await shown(edge, asked_mint(edge, "50.00"))
    assert unlimited["headroom"] == {
        "deposits_available_after": "250.00",
        "supply_cap_after": None,
        "issuance_day_after": None,
        "minter_allowance_after": None,
        "policy_version": "shipped/1",
    }
    let_into_force(
        bank,
        "EUR",
        issuance={"day": "200.00", "supply": "90.00", "minter_allowances": {bank.maker.id: "95.00"}},
    )
    first, second = asked_mint(edge, "60.00"), asked_mint(edge, "70.00")
    found = await shown(edge, first)
    assert found["instruction"]["account_id"] == bank.account_id("HARBOUR-EUR")
    assert (found["instruction"]["id"], found["instruction"]["state"]) == (first, "pending_approval")
    assert [(one["before"], one["after"]) for one in found["effect"]] == [
        ("300.00", "240.00"),
        ("0.00", "60.00"),
    ]
    assert found["request"] is None
    assert 0 < found["expires_in_seconds"] <= APPROVAL_LIFETIME.total_seconds()
    bank.approve(first, "60.00", "EUR")
    left = await shown(edge, second)
    # Below zero: it would be refused, and the checker sees by how much.
    headroom = left["headroom"]
    assert headroom.pop("policy_version").endswith("/1")
    assert headroom == {
        "deposits_available_after": "170.00",
        "supply_cap_after": "-40.00",
        "issuance_day_after": "70.00",
        "minter_allowance_after": "-35.00",
    }
    decided = await shown(edge, first)
    assert (decided["state"], decided["expires_in_seconds"]) == ("approved", None)
    assert (decided["effect"], decided["headroom"]) == (None, None), "it would not be done again"
    assert decided["instruction"]["state"] == "settled"


async def test_a_reversal_shows_who_pays_and_who_is_paid(shared_edge: Edge) -> None:
    bank = shared_edge.bank
    bank.mint("HARBOUR-USD", "5.00")
    transfer = bank.transfer("HARBOUR-USD", "LANTERN-USD", "5.00")
    body = {"transfer_id": transfer, "amount": "2.00", "currency": "USD", "reason": "Sent twice."}
    made = (await shared_edge.post("/v1/reversals", body)).json()
    found = (await shown(shared_edge, made["id"]))["instruction"]
    assert (found["payer_account_id"], found["payee_account_id"]) == (
        bank.account_id("LANTERN-USD"),
        bank.account_id("HARBOUR-USD"),
    )
    assert (found["transfer_id"], found["amount"], found["reason"]) == (transfer, "2.00", "Sent twice.")
    listed = (await shared_edge.get("/v1/approvals?state=pending&limit=1000", Role.TREASURY_CHECKER)).json()
    [row] = [one for one in listed["data"] if one["subject_id"] == made["id"]]
    assert row["instruction"] == found
    # A page is the same a second later.
    assert not {"effect", "expires_in_seconds"} & set(row)


async def test_a_policy_is_shown_with_what_it_changes(shared_edge: Edge) -> None:
    in_force = let_into_force(shared_edge.bank, limits={"transaction": "10.00", "payer_day": "50.00"})
    asked = {
        "token_class_id": shared_edge.bank.classes["USD"].id,
        "document": {
            "format": "tallystick-policy/1",
            "limits": {"transaction": "1000.00", "holder_day": "70.00"},
            "issuance": {"minter_allowances": {"principal_1": "5.00"}},
        },
    }
    drafted = (await shared_edge.post("/v1/policies", asked, Role.OPERATOR)).json()
    made = await shared_edge.post(
        f"/v1/policies/{drafted['id']}/activate", {"reason": "Harbour grows."}, Role.OPERATOR
    )
    assert made.status_code == 202, made.text if made.status_code >= 400 else ""
    found = await shown(shared_edge, made.json()["id"])
    request = found["request"]
    assert (request["operation"], request["subject_id"], request["payload"], request["reason"]) == (
        "policy_activation",
        drafted["id"],
        {},
        "Harbour grows.",
    )
    assert request["compared_with"] == in_force.label
    assert request["differences_omitted_count"] == 0
    assert {one["pointer"]: (one["change"], one["old"], one["new"]) for one in request["differences"]} == {
        "/limits/transaction": ("changed", "10.00", "1000.00"),
        "/limits/payer_day": ("changed", "50.00", None),
        "/limits/holder_day": ("changed", None, "70.00"),
        "/issuance/minter_allowances": ("changed", None, {"principal_1": "5.00"}),
    }
    assert (found["effect"], found["headroom"]) == (None, None)


async def test_any_other_change_is_shown_with_what_it_asks(shared_edge: Edge) -> None:
    bank = shared_edge.bank
    body = {"name": "Otto's", "roles": ["treasury_maker"], "person": "Otto Operator"}
    made = (await shared_edge.post("/v1/principals", body, Role.OPERATOR)).json()
    asked = await shared_edge.post(
        f"/v1/principals/{made['id']}/terms",
        {"calls_per_minute_max": 5, "reason": "Too many."},
        Role.OPERATOR,
    )
    assert asked.status_code == 202, asked.text
    found = await shown(shared_edge, asked.json()["id"])
    assert found["request"]["payload"]["calls_per_minute_max"] == 5
    assert "differences" not in found["request"] or found["request"]["differences"] is None
    assert found["instruction"]["subject_id"] == made["id"]
    assert bank.issuer_id == found["issuer_id"]


async def test_time_that_is_over_is_no_time_left(shared_edge: Edge) -> None:
    bank = shared_edge.bank
    bank.deposit("HARBOUR-USD", "5.00")
    now = bank.clock.at
    bank.clock.at = now - APPROVAL_LIFETIME - timedelta(hours=1)
    mint = bank.request(
        Kind.MINT, bank.maker, amount="5.00", currency="USD", payee_account_id=bank.account_id("HARBOUR-USD")
    )
    asked = bank.outcome(mint).resource_id
    bank.clock.at = now
    found = await shown(shared_edge, asked)
    assert (found["state"], found["expires_in_seconds"]) == ("pending", 0)


async def test_what_an_order_takes_and_gives_back_is_shown_before_and_after(shared_edge: Edge) -> None:
    bank = shared_edge.bank
    bank.mint("SILKROAD-EUR", "10.00")
    order_id = bank.place_order("SILKROAD-EUR", "6.00")
    asked = await shared_edge.post(f"/v1/orders/{order_id}/lift", {"reason": "Set aside."}, Role.OPERATOR)
    assert asked.status_code == 202, asked.text
    found = await shown(shared_edge, asked.json()["id"])
    assert sorted((one["before"], one["after"]) for one in found["effect"]) == [
        ("4.00", "10.00"),
        ("6.00", "0.00"),
    ]


async def test_mine_is_what_waits_for_the_callers_own_decision(edge: Edge) -> None:
    bank = edge.bank
    bank.deposit("HARBOUR-EUR", "300.00")
    waiting, decided = asked_mint(edge, "50.00"), asked_mint(edge, "60.00")
    bank.approve(decided, "60.00", "EUR")

    async def mine(role: Role) -> list[str]:
        response = await edge.get("/v1/approvals?mine=true", role)
        assert response.status_code == 200, response.text
        return [one["subject_id"] for one in response.json()["data"]]

    assert await mine(Role.TREASURY_CHECKER) == [waiting]
    # Whoever asked decides nothing, and whoever may not decide has nothing to.
    assert await mine(Role.TREASURY_MAKER) == []
    assert await mine(Role.OPERATOR) == []
