"""`/v1/changes` and what asks for them: at once or 202, seen by who must decide, and signed."""

import json
from typing import Any

import pytest

from tallystick.core.ids import with_prefix
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.api.signatures import payload_of
from tests.bank import oracle

pytestmark = pytest.mark.anyio


async def set_mode(edge: Edge, mode: str, role: str = Role.OPERATOR) -> Any:
    path = f"/v1/token-classes/{edge.bank.classes['USD'].id}/mode"
    return await edge.post(path, {"mode": mode, "reason": "As decided."}, role)


async def approve(edge: Edge, approval_id: str, **typed: str) -> Any:
    return await edge.post(f"/v1/approvals/{approval_id}/approve", typed, Role.TREASURY_CHECKER)


async def test_a_stricter_mode_is_answered_with_its_signed_event(edge: Edge) -> None:
    response = await set_mode(edge, "paused")

    made = response.json()
    assert (response.status_code, made["object"], made["state"]) == (201, "change", "settled")
    assert (made["operation"], made["subject_id"]) == ("token_class_mode", edge.bank.classes["USD"].id)
    payload = json.loads(payload_of(made["signed_event"]))
    assert (payload["type"], payload["instruction_id"]) == ("token_class.mode_changed", made["id"])
    assert (await edge.get(f"/v1/changes/{made['id']}")).json() == made
    shown = (await edge.get(f"/v1/token-classes/{edge.bank.classes['USD'].id}")).json()
    assert shown["mode"] == "paused"
    assert_problem(await set_mode(edge, "paused"), 409, "class_mode_conflict")
    assert_problem(await set_mode(edge, "normal", Role.TREASURY_MAKER), 403, "role_not_allowed")
    oracle(edge.bank)


async def test_a_laxer_mode_waits_where_the_checker_looks(edge: Edge) -> None:
    await set_mode(edge, "paused")
    response = await set_mode(edge, "normal")
    made = response.json()
    assert (response.status_code, made["state"], made["settled_at"]) == (202, "pending_approval", None)

    [waiting] = (await edge.get("/v1/changes?state=pending_approval")).json()["data"]
    assert waiting["id"] == made["id"]
    [mine] = (await edge.get("/v1/approvals?mine=true", Role.TREASURY_CHECKER)).json()["data"]
    assert (mine["id"], mine["subject_id"]) == (made["approval_id"], made["id"])
    assert (await edge.get("/v1/approvals?mine=true", Role.OPERATOR)).json()["data"] == []
    found = (await edge.get(f"/v1/approvals/{made['approval_id']}")).json()
    assert found["details"] == {"operation": "token_class_mode", "payload": {"mode": "normal"}}
    assert (found["waits_for"], found["maker"], found["amount"]) == (["Chen Checker"], "Omar Operator", None)

    decided = await approve(edge, made["approval_id"])
    assert (decided.status_code, decided.json()["instruction"]["state"]) == (200, "settled")
    settled = (await edge.get(f"/v1/changes/{made['id']}")).json()
    assert json.loads(payload_of(settled["signed_event"]))["approvals"] == [decided.json()["hash"]]
    assert (await edge.get("/v1/changes?state=pending_approval")).json()["data"] == []
    assert (await edge.get("/v1/approvals?mine=true", Role.TREASURY_CHECKER)).json()["data"] == []
    again = await edge.post(
        f"/v1/token-classes/{edge.bank.classes['USD'].id}/mode",
        {"mode": "normal", "reason": "As decided."},
        Role.OPERATOR,
    )
    assert_problem(again, 409, "class_mode_conflict")
    oracle(edge.bank)


async def test_rules_go_into_force_and_out_of_it_over_http(edge: Edge) -> None:
    document = {"format": "tallystick-policy/1", "limits": {"transaction": "1.00"}}
    body = {"token_class_id": edge.bank.classes["USD"].id, "document": document}
    drafted = (await edge.post("/v1/policies", body, Role.OPERATOR)).json()
    reason = {"reason": "The board decided."}
    states = [drafted["state"]]
    for change in ("activate", "retire"):
        asked = await edge.post(f"/v1/policies/{drafted['id']}/{change}", reason, Role.OPERATOR)
        assert asked.status_code == 202
        assert (await approve(edge, asked.json()["approval_id"])).status_code == 200
        states.append((await edge.get(f"/v1/policies/{drafted['id']}")).json()["state"])
    assert states == ["draft", "active", "retired"]
    types = [one["type"] for one in (await edge.get("/v1/events")).json()["data"]]
    assert types == ["approval.approved", "policy.activated", "approval.approved", "policy.retired"]
    late = await edge.post(f"/v1/policies/{drafted['id']}/activate", reason, Role.OPERATOR)
    assert_problem(late, 409, "policy_state_conflict")


async def test_an_approval_shows_what_it_would_do_to_each_account(edge: Edge) -> None:
    edge.bank.deposit("HARBOUR-USD", "7.00")
    account_id = edge.bank.account_id("HARBOUR-USD")
    asked = await edge.post("/v1/mints", {"account_id": account_id, "amount": "5.00", "currency": "USD"})
    approval_id = with_prefix("approval", asked.json()["id"])

    found = (await edge.get(f"/v1/approvals/{approval_id}")).json()
    assert found["effect"] == [
        {"ledger_account_id": f"2010.{account_id}", "before": "7.00", "after": "2.00"},
        {"ledger_account_id": f"2110.{account_id}", "before": "0.00", "after": "5.00"},
    ]
    assert (found["quorum"], found["waits_for"], found["details"]) == (1, ["Chen Checker"], None)
    for query, ids in (("operation=mint", [approval_id]), ("operation=reversal", []), ("state=expired", [])):
        listed = (await edge.get(f"/v1/approvals?{query}")).json()["data"]
        assert [one["id"] for one in listed] == ids
    await approve(edge, approval_id, amount="5.00", currency="USD")
    assert (await edge.get(f"/v1/approvals/{approval_id}")).json()["waits_for"] == []


async def test_customers_know_nothing_of_changes(shared_edge: Edge) -> None:
    for role in (Role.PLATFORM, Role.HOLDER):
        for path in ("/v1/changes", "/v1/breakers", "/v1/policies"):
            assert_problem(await shared_edge.get(path, role), 403, "role_not_allowed")
