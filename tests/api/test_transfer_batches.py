"""A batch that waits for people, over HTTP: 202, its approval with what it comes to, and its outcome under its id."""

from typing import Any

import pytest

from tallystick.core.ids import with_prefix
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.policies import let_into_force

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def watched(shared_edge: Edge) -> Edge:
    """A bank that looks at batches above 10.00, with 100.00 of Harbour's."""
    shared_edge.bank.mint("HARBOUR-USD", "100.00")
    let_into_force(shared_edge.bank, approvals={"transfer_batch": [{"above": "10.00", "checkers": 1}]})
    return shared_edge


def body(edge: Edge, *amounts: str, **other: Any) -> dict[str, Any]:
    sides = {
        "payer_account_id": edge.bank.account_id("HARBOUR-USD"),
        "payee_account_id": edge.bank.account_id("LANTERN-USD"),
        "currency": "USD",
    }
    return {"items": [sides | {"amount": amount} for amount in amounts], **other}


async def test_it_waits_is_looked_at_and_settles(watched: Edge) -> None:
    asked = body(watched, "7.00", "8.00")
    first = await watched.post("/v1/transfer-batches", asked, Role.PLATFORM, key="waits")
    assert first.status_code == 202, first.text
    waiting = first.json()
    assert (waiting["state"], waiting["amount"], waiting["settled_at"]) == ("pending_approval", "15.00", None)
    again = await watched.post("/v1/transfer-batches", asked, Role.PLATFORM, key="waits")
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"

    path = f"/v1/transfer-batches/{waiting['id']}"
    for role in (Role.PLATFORM, Role.AUDITOR, Role.TREASURY_CHECKER):
        found = (await watched.get(path, role)).json()
        assert (found["state"], found["items_count"]) == ("pending_approval", 2)
        assert "items" not in found
    assert_problem(await watched.get(path, Role.HOLDER), 404, "instruction_not_found")

    approval_path = f"/v1/approvals/{waiting['approval_id']}"
    shown = (await watched.get(approval_path, Role.TREASURY_CHECKER)).json()
    assert (shown["operation"], shown["amount"], shown["currency"]) == ("transfer_batch", "15.00", "USD")
    assert shown["instruction"]["id"] == waiting["id"]
    assert shown["details"]["body"] == asked
    assert "key_digests" not in shown["details"]
    # What it comes to, by account, and not a thousand times before and after.
    lantern = f"2110.{watched.bank.account_id('LANTERN-USD')}"
    effect = {one["ledger_account_id"]: (one["before"], one["after"]) for one in shown["effect"]}
    assert len(effect) == 2
    assert float(effect[lantern][1]) - float(effect[lantern][0]) == 15.0
    listed = (await watched.get("/v1/approvals?operation=transfer_batch", Role.TREASURY_CHECKER)).json()
    [row] = [one for one in listed["data"] if one["id"] == waiting["approval_id"]]
    assert row["details"] == {"items_count": 2, "atomic": False, "answered_before": []}

    typed = {"amount": "15.00", "currency": "USD"}
    wrong = await watched.post(f"{approval_path}/approve", typed | {"amount": "15.01"}, Role.TREASURY_CHECKER)
    assert_problem(wrong, 422, "approval_mismatch")
    approved = await watched.post(f"{approval_path}/approve", typed, Role.TREASURY_CHECKER)
    assert approved.status_code == 200
    assert approved.json()["instruction"]["state"] == "settled"
    assert approved.json()["signed_event"]

    settled = (await watched.get(path, Role.PLATFORM)).json()
    assert (settled["state"], settled["settled_count"], settled["refused_count"]) == ("settled", 2, 0)
    assert [one["status"] for one in settled["items"]] == ["settled", "settled"]
    assert settled["signed_event"] == approved.json()["signed_event"]
    paid = (await watched.get(f"/v1/transfers/{settled['items'][0]['id']}", Role.PLATFORM)).json()
    assert (paid["amount"], paid["state"]) == ("7.00", "settled")


async def test_a_rejected_one_tells_so_and_moves_nothing(watched: Edge) -> None:
    waiting = (await watched.post("/v1/transfer-batches", body(watched, "11.00"), Role.PLATFORM)).json()
    before = watched.bank.balance_minor("2110", "LANTERN-USD")
    rejected = await watched.post(
        f"/v1/approvals/{waiting['approval_id']}/reject", {"reason": "Not ours."}, Role.TREASURY_CHECKER
    )
    assert rejected.status_code == 200
    found = (await watched.get(f"/v1/transfer-batches/{waiting['id']}", Role.PLATFORM)).json()
    assert (found["state"], found["amount"]) == ("rejected", "11.00")
    assert watched.bank.balance_minor("2110", "LANTERN-USD") == before


async def test_a_batch_that_settled_at_once_is_found_too(watched: Edge) -> None:
    made = await watched.post("/v1/transfer-batches", body(watched, "1.00", "900.00"), Role.PLATFORM)
    # The total is above the limit, whatever is there to pay it with.
    assert made.status_code == 202
    at_once = await watched.post("/v1/transfer-batches", body(watched, "1.00", "2.00"), Role.PLATFORM)
    assert at_once.status_code == 200
    found = await watched.get(f"/v1/transfer-batches/{at_once.json()['id']}", Role.PLATFORM)
    assert found.json() == at_once.json()
    assert (found.json()["state"], found.json()["pending_count"]) == ("settled", 0)


async def test_what_is_refused_as_a_whole_says_why(watched: Edge) -> None:
    asked = body(watched, "11.00", "1")
    refused = await watched.post("/v1/transfer-batches", asked, Role.PLATFORM)
    problem = assert_problem(refused, 422, "batch_items_malformed")
    assert [(one["item"], one["code"]) for one in problem["items"]] == [(1, "amount_malformed")]


async def test_that_it_waits_is_on_record(watched: Edge) -> None:
    waiting = (await watched.post("/v1/transfer-batches", body(watched, "12.00"), Role.PLATFORM)).json()
    found = (await watched.get(f"/v1/audit-trail?subject_id={waiting['id']}")).json()["data"]
    assert [(one["operation"], one["decision"], one["status"]) for one in found] == [
        ("transfer_batch", "pending", 202)
    ]
    assert waiting["approval_id"] == with_prefix("approval", waiting["id"])
