"""`/v1/reconciliations` and `/v1/breaks` over HTTP: a run is kept, and a difference is a break with its evidence."""

from datetime import date, timedelta
from typing import Any

import pytest

from tallystick.core.clock import SystemClock, format_time
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem, row_counts
from tests.camt_writer import Entry, statement

pytestmark = pytest.mark.anyio

FUNDING = Entry("250000.00", remittance="Funding HARBOUR-USD", bank_reference="B-1")
PATH = "/v1/reconciliations"


async def import_statement(edge: Edge, content: bytes) -> str:
    headers = edge.bearer(Role.TREASURY_MAKER) | {"Content-Type": "application/xml"}
    response = await edge.client.post("/v1/statements", content=content, headers=headers)
    assert response.status_code == 201, response.text
    return str(response.json()["statements"][0]["id"])


async def run(edge: Edge, role: str = Role.AUDITOR, **asked: Any) -> dict[str, Any]:
    response = await edge.post(PATH, {"token_class_id": edge.bank.classes["USD"].id, **asked}, role)
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_what_ties_is_kept_as_tied(edge: Edge) -> None:
    statement_id = await import_statement(edge, statement(FUNDING))

    made = await run(edge)

    assert (made["object"], made["currency"], made["verdict"]) == ("reconciliation", "USD", "tied")
    assert (made["findings"], made["has_more_findings"]) == ([], False)
    assert (made["event_index"], made["statement_id"]) == (0, statement_id)
    assert made["run_by"] == edge.bank.auditor.id
    assert {figure for group in made["figures"].values() for figure in group.values()} >= {"250000.00"}
    assert (await edge.get(f"{PATH}/{made['id']}")).json() == made
    [listed] = (await edge.get(PATH)).json()["data"]
    assert listed == {name: made[name] for name in listed}
    assert "findings" not in listed


async def test_a_difference_of_a_cent_is_a_break(edge: Edge) -> None:
    # On the statement's day: a later one would be for the next statement to show.
    edge.bank.deposit("LANTERN-USD", "0.01", value_date=date(2026, 11, 20))
    await import_statement(edge, statement(FUNDING))

    made = await run(edge)

    assert made["verdict"] == "broken"
    [found] = [one for one in made["findings"] if one["type"] != "timing"]
    assert (found["difference"], found["reconciliation_id"], found["currency"]) == ("0.01", made["id"], "USD")
    assert (found["object"], found["finding_number"]) == ("reconciliation_finding", 1)
    assert all(one["explanation"] and one["evidence"] for one in made["findings"])
    listed = (await edge.get(f"{PATH}/{made['id']}/findings")).json()["data"]
    assert listed == made["findings"]
    [waiting] = (await edge.get("/v1/breaks?state=open")).json()["data"]
    assert (waiting["id"], waiting["difference"], waiting["object"]) == (found["break_id"], "0.01", "break")
    for query in ("", f"?reconciliation_id={made['id']}", "?type=missing_bank_entry"):
        assert (await edge.get(f"/v1/breaks{query}")).json()["data"] == [waiting]
    for query in (
        "state=cleared",
        "type=amount",
        "overdue=true",
        f"owner_id={edge.bank.maker.id}",
        f"token_class_id={edge.bank.classes['EUR'].id}",
        "reconciliation_id=reconciliation_00000000000000000000000000",
    ):
        assert (await edge.get(f"/v1/breaks?{query}")).json()["data"] == []


async def test_runs_and_breaks_are_listed_page_by_page(edge: Edge) -> None:
    euro = edge.bank.classes["EUR"].id
    made = [await run(edge), await run(edge, token_class_id=euro), await run(edge)]

    for path, wanted in ((PATH, [one["id"] for one in made]), ("/v1/breaks", None)):
        seen = []
        cursor = ""
        while True:
            page = (await edge.get(path, params={"limit": 1, "cursor": cursor})).json()
            seen += [one["id"] for one in page["data"]]
            if not page["has_more"]:
                break
            cursor = page["next_cursor"]
        # Both runs of the one class found the same, which is one break.
        assert seen == (wanted or [made[0]["findings"][0]["break_id"], made[1]["findings"][0]["break_id"]])
        assert seen == sorted(seen)
    [of_class] = (await edge.get(PATH, params={"token_class_id": euro})).json()["data"]
    assert of_class["currency"] == "EUR"


async def test_the_same_key_gives_the_same_run(edge: Edge) -> None:
    body = {"token_class_id": edge.bank.classes["USD"].id}

    first = await edge.post(PATH, body, Role.OPERATOR, key="month-end")
    second = await edge.post(PATH, body, Role.OPERATOR, key="month-end")
    other = await edge.post(
        PATH, body | {"token_class_id": edge.bank.classes["EUR"].id}, Role.OPERATOR, key="month-end"
    )

    assert (second.status_code, second.content) == (201, first.content)
    problem = assert_problem(other, 409, "idempotency_key_reused")
    assert problem["existing_id"] == first.json()["id"]
    assert len((await edge.get(PATH)).json()["data"]) == 1


async def test_a_past_moment(edge: Edge) -> None:
    edge.bank.deposit("HARBOUR-USD", "5.00")

    made = await run(edge, as_of=format_time(edge.bank.clock.at - timedelta(microseconds=1)))

    assert made["event_index"] == -1


async def test_what_is_refused_leaves_nothing(edge: Edge) -> None:
    usd = edge.bank.classes["USD"].id
    before = row_counts(edge.urls)

    tomorrow = format_time(SystemClock().now() + timedelta(days=1))
    for body, status, code in (
        ({}, 422, "request_invalid"),
        ({"token_class_id": usd, "as_of": "2026-11-20"}, 422, "request_invalid"),
        ({"token_class_id": usd, "colour": "red"}, 422, "request_invalid"),
        ({"token_class_id": usd, "as_of": tomorrow}, 422, "as_of_in_future"),
        ({"token_class_id": "class_00000000000000000000000000"}, 404, "token_class_not_found"),
        ({"token_class_id": edge.other.classes["USD"].id}, 404, "token_class_not_found"),
    ):
        assert_problem(await edge.post(PATH, body, Role.AUDITOR), status, code)

    assert row_counts(edge.urls) == before
    assert_problem(await edge.get(f"{PATH}/reconciliation_1"), 404, "reconciliation_not_found")
    assert_problem(await edge.get("/v1/breaks?state=lost"), 422, "request_invalid")
