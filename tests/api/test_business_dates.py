"""A day over HTTP, from its calendar to its signed close; schedules; and attestations that need no key."""

from datetime import timedelta
from typing import Any

import pytest

from tallystick.core.clock import FixedClock
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.bank import OPENED_AT, oracle
from tests.closing.days import CALENDAR, FRIDAY, bring_statement

pytestmark = pytest.mark.anyio

DATES = "/v1/business-dates"


@pytest.fixture
def friday(edge: Edge) -> Edge:
    """The service with a clock of its own: nothing here depends on what day it is."""
    service = edge.application.state.service
    edge.bank.clock.at = OPENED_AT
    clock = FixedClock(OPENED_AT)
    service.clock = edge.bank.clock
    object.__setattr__(service.settler, "clock", edge.bank.clock)
    assert clock.now() == edge.bank.clock.now()
    return edge


async def ok(
    edge: Edge, path: str, body: object, status: int, role: str = Role.TREASURY_MAKER
) -> dict[str, Any]:
    answer = await edge.post(path, body, role)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def approve(edge: Edge, change: dict[str, Any]) -> dict[str, Any]:
    return await ok(edge, f"/v1/approvals/{change['approval_id']}/approve", {}, 200, Role.TREASURY_CHECKER)


async def set_calendar(edge: Edge) -> None:
    await approve(edge, await ok(edge, "/v1/business-calendar", CALENDAR | {"reason": "From now on."}, 202))


async def test_a_day_from_open_to_signed_close(friday: Edge) -> None:
    edge = friday
    for path in ("/v1/business-calendar", DATES, f"{DATES}/current", f"{DATES}/2026-11-20"):
        assert_problem(await edge.get(path), 409, "business_calendar_missing")
    await set_calendar(edge)
    calendar = (await edge.get("/v1/business-calendar")).json()
    assert (calendar["current_date"], calendar["opened_on"]) == ("2026-11-20", "2026-11-20")
    assert {name: calendar[name] for name in CALENDAR} == CALENDAR

    bring_statement(edge.bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    edge.bank.mint("HARBOUR-USD", "60.00", deposited=False)
    run = await ok(edge, "/v1/reconciliations", {"token_class_id": edge.bank.classes["USD"].id}, 201)
    before = (await edge.get(f"{DATES}/current")).json()
    assert (before["id"], before["state"], before["can_close"]) == ("2026-11-20", "open", False)
    assert [(one["name"], one["done"]) for one in before["checklist"]] == [
        ("statement_complete", True),
        ("reconciled", True),
        ("trial_balance_zero", True),
        ("hand_off_produced", False),
    ]
    made = await ok(edge, f"{DATES}/2026-11-20/hand-off", {}, 201)
    [usd] = [one for one in made["totals"] if one["currency"] == "USD"]
    assert (usd["debits"], usd["credits"], usd["line_count"]) == ("160.00", "160.00", 4)
    assert (await edge.get(f"{DATES}/2026-11-20")).json()["can_close"]

    asked = await ok(edge, f"{DATES}/2026-11-20/close", {"hand_off_id": made["id"]}, 202)
    assert (asked["operation"], asked["subject_id"]) == ("business_date_close", "2026-11-20")
    await approve(edge, asked)
    closed = (await edge.get(f"{DATES}/2026-11-20")).json()
    assert (closed["state"], closed["is_current"], closed["can_close"]) == ("closed", False, False)
    [action] = closed["actions"]
    assert action["figures"]["hand_off_sha256"] == made["sha256"]
    assert action["figures"]["classes"][0]["reconciliation_id"] == run["id"]

    typed = {"account_id": edge.bank.account_id("HARBOUR-USD"), "amount": "1.00", "currency": "USD"}
    back_dated = await edge.post("/v1/deposits", typed | {"value_date": "2026-11-20", "reason": "Seen."})
    assert_problem(back_dated, 409, "business_date_closed")
    await approve(edge, await ok(edge, f"{DATES}/2026-11-20/reopen", {"reason": "It came late."}, 202))
    await ok(edge, "/v1/deposits", typed | {"value_date": "2026-11-20", "reason": "Seen."}, 202)

    listed = (await edge.get(DATES)).json()["data"]
    assert [(one["id"], one["state"], one["is_current"]) for one in listed] == [
        ("2026-11-20", "reopened", False),
        ("2026-11-23", "open", True),
    ]
    page = (await edge.get(DATES, params={"limit": 1})).json()
    assert (page["has_more"], page["next_cursor"]) == (True, "2026-11-20")
    rest = (await edge.get(DATES, params={"cursor": page["next_cursor"]})).json()
    assert [one["id"] for one in rest["data"]] == ["2026-11-23"]
    oracle(edge.bank)


async def test_what_stands_in_the_way_is_named(friday: Edge) -> None:
    edge = friday
    await set_calendar(edge)
    made = await ok(edge, f"{DATES}/2026-11-20/hand-off", {}, 201)
    edge.bank.deposit("HARBOUR-USD", "1.00")
    refused = await edge.post(f"{DATES}/2026-11-20/close", {"hand_off_id": made["id"]})
    problem = assert_problem(refused, 409, "checklist_incomplete")
    assert [one.split(":")[0] for one in problem["missing"]] == [
        "statement_complete",
        "reconciled",
        "hand_off_produced",
    ]
    absent = await edge.post(f"{DATES}/2026-11-20/close", {"hand_off_id": "hand_off_absent"})
    assert_problem(absent, 404, "hand_off_not_found")
    for day in ("2026-11-21", "2026-11-19", "2030-01-01", "tomorrow", "2026-02-30"):
        assert_problem(await edge.get(f"{DATES}/{day}"), 404, "business_date_not_found")
        assert_problem(await edge.post(f"{DATES}/{day}/hand-off", {}), 404, "business_date_not_found")
    assert_problem(
        await edge.post(f"{DATES}/2026-11-20/reopen", {"reason": "No."}), 409, "business_date_conflict"
    )
    for changed in ({"time_zone": "Moon/Crater"}, {"weekend": [1, 2, 3, 4, 5, 6, 7]}, {"cut_off": "00:00"}):
        refused = await edge.post("/v1/business-calendar", CALENDAR | {"reason": "x"} | changed)
        assert_problem(refused, 422, "business_calendar_malformed")


async def test_schedules_tell_what_is_due_and_what_was_missed(friday: Edge) -> None:
    edge = friday
    found = (await edge.get("/v1/schedules")).json()
    assert (found["data"], found["next_due_at"], found["alerts"]) == ([], None, 0)
    await set_calendar(edge)
    statement_id = bring_statement(edge.bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    found = (await edge.get("/v1/schedules")).json()
    assert (found["next_due_at"], found["alerts"]) == ("2026-11-20T17:00:00.000000Z", 0)
    assert [(one["statement_id"], one["overdue"]) for one in found["arrivals"]] == [(statement_id, False)]

    edge.bank.clock.at += timedelta(hours=9, minutes=15)
    found = (await edge.get("/v1/schedules")).json()
    # Two classes were missed, and the statement waits too long.
    assert ([one["state"] for one in found["data"]], found["alerts"]) == (["missed", "missed"], 3)
    edge.application.state.service._scheduler.look()
    found = (await edge.get("/v1/schedules")).json()
    assert ([one["state"] for one in found["data"]], found["alerts"], found["arrivals"]) == (
        ["late", "late"],
        0,
        [],
    )
    assert found["looked_at"] == "2026-11-20T17:15:00.000000Z"
    [listed] = (
        await edge.get("/v1/attestations", params={"token_class_id": edge.bank.classes["USD"].id})
    ).json()["data"]
    assert (listed["verdict"], listed["supply"], listed["bank_balance"], listed["difference"]) == (
        "tied",
        "0.00",
        "100.00",
        "0.00",
    )


async def test_an_attestation_is_anybody_s_who_has_its_id(friday: Edge) -> None:
    edge = friday
    bring_statement(edge.bank, FRIDAY, ("HARBOUR-USD", "100.00"))
    run = await ok(edge, "/v1/reconciliations", {"token_class_id": edge.bank.classes["USD"].id}, 201)
    path = f"/v1/reconciliations/{run['id']}/attestation"
    found = (await edge.client.get(path)).json()
    assert (found["object"], found["id"], found["issuer"]["legal_name"]) == (
        "attestation",
        run["id"],
        "Riverbank AG",
    )
    assert found["payload"]["attestation"]["bank_balance"] == "100.00"
    keys = (await edge.client.get("/.well-known/jwks.json")).json()["keys"]
    assert found["key_id"] in {one["kid"] for one in keys}
    text = str(found)
    assert not any(holder.legal_name in text or holder.id in text for holder in edge.bank.holders.values())
    page = await edge.client.get(f"{path}.pdf")
    assert (page.status_code, page.headers["content-type"]) == (200, "application/pdf")
    assert page.content == (await edge.client.get(f"{path}.pdf")).content
    assert page.content.startswith(b"%PDF-")
    for absent in ("reconciliation_00000000000000000000000000", "x"):
        for suffix in ("", ".pdf"):
            answer = await edge.client.get(f"/v1/reconciliations/{absent}/attestation{suffix}")
            assert_problem(answer, 404, "run_not_attested")
    euro = {"token_class_id": edge.bank.classes["EUR"].id}
    await ok(edge, "/v1/reconciliations", euro, 201)
    listed = (await edge.get("/v1/attestations", params={"limit": 1})).json()
    assert (listed["has_more"], listed["next_cursor"]) == (True, run["id"])
    behind = (await edge.get("/v1/attestations", params={"cursor": run["id"], "verdict": "broken"})).json()
    assert [one["bank_balance"] for one in behind["data"]] == [None]
