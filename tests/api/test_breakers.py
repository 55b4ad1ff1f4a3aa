"""`/v1/breakers`: one person stops issuance, two let it go on, and redemption is never touched."""

from typing import Any

import pytest

from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.bank import oracle

pytestmark = pytest.mark.anyio


async def breaker(edge: Edge) -> dict[str, Any]:
    response = await edge.get(f"/v1/breakers/{edge.bank.classes['USD'].id}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def ask(edge: Edge, action: str, role: str = Role.TREASURY_MAKER) -> Any:
    body = {"reason": f"To {action} it."}
    return await edge.post(f"/v1/breakers/{edge.bank.classes['USD'].id}/{action}", body, role)


def amount(edge: Edge) -> dict[str, str]:
    return {"account_id": edge.bank.account_id("HARBOUR-USD"), "amount": "1.00", "currency": "USD"}


async def test_every_class_has_one_and_it_is_closed(shared_edge: Edge) -> None:
    listed = (await shared_edge.get("/v1/breakers")).json()["data"]
    assert {one["id"] for one in listed} == {one.id for one in shared_edge.bank.classes.values()}
    assert {(one["object"], one["state"], one["event_index"]) for one in listed} == {
        ("breaker", "closed", None)
    }
    assert_problem(await shared_edge.get("/v1/breakers/class_absent"), 404, "token_class_not_found")


async def test_one_person_trips_it_and_two_reset_it(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "3.00")
    edge.bank.deposit("HARBOUR-USD", "3.00")
    tripped = await ask(edge, "trip")
    assert (tripped.status_code, tripped.json()["operation"]) == (201, "breaker_trip")
    found = await breaker(edge)
    assert (found["state"], found["reason"]) == ("tripped", "To trip it.")
    assert found["event_index"] == tripped.json()["event_index"]
    assert found["changed_at"] == tripped.json()["settled_at"]
    assert_problem(await ask(edge, "trip", Role.OPERATOR), 409, "breaker_conflict")

    assert_problem(await edge.post("/v1/mints", amount(edge)), 409, "issuance_suspended")
    redeemed = await edge.post("/v1/redemptions", amount(edge), Role.PLATFORM)
    assert redeemed.status_code == 201

    assert_problem(await ask(edge, "reset"), 409, "clean_run_needed")
    assert (await breaker(edge))["clean_run_id"] is None
    run_id = edge.bank.run_clean()
    assert (await breaker(edge))["clean_run_id"] == run_id
    reset = await ask(edge, "reset")
    assert (reset.status_code, (await breaker(edge))["state"]) == (202, "tripped")
    approved = await edge.post(
        f"/v1/approvals/{reset.json()['approval_id']}/approve", {}, Role.TREASURY_CHECKER
    )
    assert approved.status_code == 200
    assert (await breaker(edge))["state"] == "closed"
    assert (await edge.post("/v1/mints", amount(edge))).status_code == 202
    oracle(edge.bank)


async def test_who_trips_it_by_itself_is_told_so_and_it_stays_tripped(edge: Edge) -> None:
    edge.bank.enact(breaker={"mints": 1})
    edge.bank.deposit("HARBOUR-USD", "3.00")
    answers = []
    for _ in range(3):
        asked = await edge.post("/v1/mints", amount(edge))
        if asked.status_code != 202:
            answers.append(asked)
            continue
        typed = {"amount": "1.00", "currency": "USD"}
        path = f"/v1/approvals/{asked.json()['approval_id']}/approve"
        answers.append(await edge.post(path, typed, Role.TREASURY_CHECKER))

    assert answers[0].status_code == 200
    problem = assert_problem(answers[1], 409, "breaker_tripped")
    assert problem["detail"] == "More than 1 mints within 60 seconds."
    assert_problem(answers[2], 409, "issuance_suspended")
    assert (await breaker(edge))["state"] == "tripped"
    trail = (await edge.get("/v1/audit-trail?code=breaker_tripped")).json()["data"]
    assert [one["decision"] for one in trail] == ["refused"]
    oracle(edge.bank)
