"""Orders over HTTP: placed, topped up, lifted and seized by staff, read back with all that was done under them."""

import json

import pytest

from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.api.signatures import payload_of

pytestmark = pytest.mark.anyio

OPERATOR, MAKER, CHECKER = Role.OPERATOR, Role.TREASURY_MAKER, Role.TREASURY_CHECKER


async def test_a_court_order_from_placing_to_execution(edge: Edge) -> None:
    edge.bank.mint("LANTERN-USD", "5.00")
    account_id = edge.bank.account_id("LANTERN-USD")
    placing = {
        "account_id": account_id,
        "kind": "court_order",
        "scope": "debit",
        "amount": "8.00",
        "currency": "USD",
        "authority": "Local court of Nowhere",
        "authority_reference": "7 M 11/26",
        "reason": "Attachment.",
        "expires_at": "2031-01-01T00:00:00+01:00",
    }
    placed = await edge.post("/v1/orders", placing, OPERATOR)
    order = placed.json()
    assert (placed.status_code, order["state"], order["held"]) == (201, "active", "5.00")
    assert order["expires_at"] == "2030-12-31T23:00:00.000000Z"
    assert json.loads(payload_of(order["signed_event"]))["type"] == "order.placed"

    path = f"/v1/orders/{order['id']}"
    assert_problem(await edge.post(f"{path}/top-up", {"reason": "x"}, OPERATOR), 409, "order_nothing_to_take")
    edge.bank.mint("LANTERN-USD", "4.00")
    topped_up = await edge.post(f"{path}/top-up", {"reason": "Salary."}, MAKER)
    assert (topped_up.status_code, topped_up.json()["amount"]) == (201, "3.00")

    asked = await edge.post(
        f"{path}/seize", {"amount": "2.00", "currency": "USD", "reason": "Transfer order."}, MAKER
    )
    assert (asked.status_code, asked.json()["state"]) == (202, "pending_approval")
    approval = f"/v1/approvals/{asked.json()['approval_id']}"
    shown = (await edge.get(approval)).json()
    assert (shown["operation"], shown["details"]) == ("order_seizure", {"order_id": order["id"]})
    assert shown["effect"] == [
        {"ledger_account_id": f"2130.{account_id}", "before": "8.00", "after": "6.00"},
        {"ledger_account_id": f"2310.{edge.bank.classes['USD'].id}", "before": "0.00", "after": "2.00"},
    ]
    decided = await edge.post(f"{approval}/approve", {"amount": "2.00", "currency": "USD"}, CHECKER)
    assert decided.json()["instruction"]["order_id"] == order["id"]

    lift = await edge.post(f"{path}/lift", {"reason": "Set aside."}, OPERATOR)
    assert (lift.status_code, lift.json()["amount"]) == (202, "6.00")
    approval = f"/v1/approvals/{lift.json()['approval_id']}/approve"
    await edge.post(approval, {"amount": "6.00", "currency": "USD"}, CHECKER)

    found = (await edge.get(path, Role.AUDITOR)).json()
    kept = {"restricted": "8.00", "seized": "2.00", "held": "0.00", "state": "lifted"}
    assert found == order | kept | {"ended_at": found["ended_at"], "actions": found["actions"]}
    assert [(one["action"], one["amount"], len(one["approvals"])) for one in found["actions"]] == [
        ("placed", "5.00", 0),
        ("topped_up", "3.00", 0),
        ("seized", "2.00", 1),
        ("lifted", "6.00", 1),
    ]


async def test_orders_are_listed_by_account_and_state(edge: Edge) -> None:
    bank = edge.bank
    first, second = bank.place_order("LANTERN-USD"), bank.place_order("SILKROAD-EUR", scope="credit")
    bank.lift_order(first)

    async def listed(query: str = "") -> list[str]:
        return [one["id"] for one in (await edge.get(f"/v1/orders{query}")).json()["data"]]

    assert await listed() == [first, second]
    assert await listed("?state=active") == [second]
    assert await listed(f"?account_id={bank.account_id('LANTERN-USD')}") == [first]
    page = (await edge.get("/v1/orders?limit=1")).json()
    assert await listed(f"?cursor={page['next_cursor']}") == [second]
    assert_problem(await edge.get("/v1/orders?account_id=account_absent"), 404, "account_not_found")


@pytest.mark.parametrize(
    "changed", [{"amount": "1.00"}, {"currency": "USD"}, {"scope": "all"}, {"kind": "x"}]
)
async def test_half_an_amount_is_no_order(edge: Edge, changed: dict[str, str]) -> None:
    body = {
        "account_id": edge.bank.account_id("LANTERN-USD"),
        "kind": "freeze",
        "scope": "debit",
        "authority": "Financial intelligence unit",
        "reason": "Suspicion.",
    }
    assert_problem(await edge.post("/v1/orders", body | changed, OPERATOR), 422, "request_invalid")
    assert (await edge.post("/v1/orders", body, OPERATOR)).status_code == 201
