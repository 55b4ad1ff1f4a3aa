"""`/v1/matches` over HTTP: what matching found behind an import, why, and what people decide about it."""

from datetime import timedelta
from typing import Any

import pytest

from tallystick.core.clock import SystemClock
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.api.test_reconciliations import FUNDING, import_statement
from tests.bank import oracle
from tests.camt_writer import Entry, statement
from tests.matching.helpers import debit
from tests.matching.test_matching import release

pytestmark = pytest.mark.anyio
MAKER, CHECKER = Role.TREASURY_MAKER, Role.TREASURY_CHECKER
#: What is days apart is not suggested, and the service's clock is the real one.
TODAY = f"{SystemClock().now():%Y-%m-%d}"
TOMORROW = f"{SystemClock().now() + timedelta(days=1):%Y-%m-%d}"
UNKNOWN = "match_00000000000000000000000000"
WHY = {"reason": "On the core's screen."}


async def listed(edge: Edge, **asked: str) -> list[dict[str, Any]]:
    response = await edge.get("/v1/matches", MAKER, params=asked)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["data"]
    return found


async def told(edge: Edge, *entries: Entry) -> tuple[str, str]:
    """Fund the bank, release 40.00 of it under the reference OUT-1, and import what the bank says about both."""
    edge.bank.deposit("HARBOUR-USD", "500.00")
    released = release(edge.bank, "40.00", "OUT-1")
    return released, await import_statement(edge, statement(*entries, opening="500.00", day=TODAY))


async def test_an_import_is_matched_and_every_match_says_why(edge: Edge) -> None:
    released, statement_id = await told(edge, debit("40.00", end_to_end_id="OUT-1"), debit("7.00"))
    await import_statement(edge, statement(FUNDING, day=TOMORROW, statement_id="S-2", opening="453.00"))

    [one] = await listed(edge, statement_id=statement_id)

    assert (one["rule"], one["confidence"], one["state"], one["kind"]) == (
        "end_to_end_id",
        "exact",
        "accepted",
        "deposit_release",
    )
    assert (one["bank_item_ids"], one["book_item_ids"]) == ([f"{statement_id}.1"], [released])
    assert (one["bank_amount"], one["difference"], one["currency"]) == ("-40.00", "0.00", "USD")
    assert one["why"]
    assert one["compared"]
    assert one["made_by"] is None
    assert [match["rule"] for match in await listed(edge, kind="deposit")] == ["evidence"]
    first = (await edge.get("/v1/matches", MAKER, params={"limit": 1})).json()
    then = (await edge.get("/v1/matches", MAKER, params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert (first["has_more"], then["has_more"]) == (True, False)
    assert {first["data"][0]["rule"], then["data"][0]["rule"]} == {"end_to_end_id", "evidence"}
    shown = (await edge.get(f"/v1/matches/{one['id']}", MAKER)).json()
    assert shown == one | {"decisions": shown["decisions"]}
    assert_problem(await edge.get(f"/v1/matches/{UNKNOWN}", MAKER), 404, "match_not_found")


async def test_a_suggestion_is_accepted_once_and_undone(edge: Edge) -> None:
    await told(edge, debit("40.00"))
    [one] = await listed(edge, state="proposed")
    path = f"/v1/matches/{one['id']}"

    accepted = await edge.post(f"{path}/accept", {}, key="accept-1")
    replayed = await edge.post(f"{path}/accept", {}, key="accept-1")
    again = await edge.post(f"{path}/accept", {})

    assert (accepted.status_code, accepted.json()["state"]) == (201, "accepted"), accepted.text
    assert replayed.content == accepted.content
    assert_problem(again, 409, "match_state_conflict")
    assert_problem(await edge.post(f"{path}/reject", WHY), 409, "match_state_conflict")
    undone = await edge.post(f"{path}/undo", WHY)
    assert undone.json()["state"] == "undone"
    decided = undone.json()["decisions"]
    assert [(each["decision"], each["person"]) for each in decided] == [
        ("accepted", edge.bank.maker.person),
        ("undone", edge.bank.maker.person),
    ]
    assert decided[1]["reason"] == WHY["reason"]
    # What people took apart is not suggested again.
    await import_statement(edge, statement(FUNDING, day=TOMORROW, statement_id="S-2", opening="460.00"))
    assert await listed(edge, state="proposed") == []


async def test_people_tie_what_the_rules_could_not(edge: Edge) -> None:
    released, statement_id = await told(edge, debit("39.00"), debit("1.00"))
    entries = [f"{statement_id}.1", f"{statement_id}.2"]
    body = {"bank_item_ids": entries, "book_item_ids": [released], **WHY}
    for one in await listed(edge, state="proposed"):
        await edge.post(f"/v1/matches/{one['id']}/reject", WHY)

    made = await edge.post("/v1/matches", body)

    assert made.status_code == 201, made.text
    assert (made.json()["rule"], made.json()["difference"]) == ("person", "0.00")
    accepted = await edge.post(f"/v1/matches/{made.json()['id']}/accept", {})
    assert accepted.json()["state"] == "accepted"
    assert_problem(await edge.post("/v1/matches", body), 409, "match_item_taken")
    oracle(edge.bank)


async def test_what_differs_takes_a_tolerance_and_two_people(edge: Edge) -> None:
    await told(edge, debit("40.05", end_to_end_id="OUT-1"))
    [one] = await listed(edge, state="proposed")
    assert one["difference"] == "-0.05"
    path, usd = f"/v1/matches/{one['id']}/accept", edge.bank.classes["USD"].id
    beyond = await edge.post(path, {"difference": "0.05"})
    assert_problem(beyond, 409, "match_difference_exceeds_tolerance")
    terms = {"tolerance": "0.05", "days_max": 3, "automatic_from": "strong", **WHY}
    asked = await edge.post(f"/v1/token-classes/{usd}/matching-terms", terms, Role.OPERATOR)
    approval = f"/v1/approvals/{asked.json()['approval_id']}/approve"
    assert (await edge.post(approval, {}, CHECKER)).status_code == 200

    typed = await edge.post(path, {"difference": "0.05"})

    assert typed.json()["state"] == "pending_approval"
    assert_problem(await edge.post(path, {"difference": "0.05"}), 403, "match_same_decider")
    assert_problem(await edge.post(path, {"difference": "0.04"}, CHECKER), 422, "match_difference_mismatch")
    done = await edge.post(path, {"difference": "0.05"}, CHECKER)
    assert done.json()["state"] == "accepted"
    assert (await edge.get(f"/v1/token-classes/{usd}/matching-terms", MAKER)).json()["tolerance"] == "0.05"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"bank_item_ids": ["x"], "book_item_ids": []}, "request_invalid"),
        (
            {"bank_item_ids": ["statement_00000000000000000000000000.1"] * 101, "book_item_ids": []},
            "request_invalid",
        ),
    ],
)
async def test_what_is_no_proposal_is_refused(edge: Edge, body: dict[str, Any], code: str) -> None:
    assert_problem(await edge.post("/v1/matches", body | WHY), 422, code)


async def test_items_of_another_bank_are_absent(edge: Edge) -> None:
    elsewhere = release(edge.other, "1.00") if edge.other.deposit("HARBOUR-USD", "5.00") else ""
    body = {"bank_item_ids": ["statement_00000000000000000000000000.1"], "book_item_ids": [elsewhere], **WHY}

    assert_problem(await edge.post("/v1/matches", body), 404, "match_item_not_found")
    empty = {"bank_item_ids": [], "book_item_ids": [], **WHY}
    assert_problem(await edge.post("/v1/matches", empty), 404, "match_item_not_found")
