"""`/v1/statements` over HTTP: imported once, whole or not at all, and shown with everything that was odd."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tallystick import statements
from tallystick.participants import Role
from tallystick.statements import importing
from tests.api.edge import Edge, api_key, assert_problem, row_counts
from tests.camt_writer import Entry, Stated, message, replace, statement
from tests.swift_writer import Line, mt940

pytestmark = pytest.mark.anyio

FUNDING = Entry("250000.00", remittance="Funding HARBOUR-USD", end_to_end_id="HM-1", bank_reference="B-1")
STRANGER = Entry("777.77", remittance="Rent", bank_reference="B-2")
FEE = Entry("1.50", credit=False, bank_reference="B-3")


async def send(edge: Edge, content: bytes, role: str = Role.TREASURY_MAKER, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "application/xml", **edge.bearer(role), **headers}
    return await edge.client.post("/v1/statements", content=content, headers=sent)


async def imported(edge: Edge, content: bytes) -> dict[str, Any]:
    response = await send(edge, content)
    assert response.status_code == 201, response.text
    [one] = response.json()["statements"]
    assert isinstance(one, dict)
    return one


async def listed(edge: Edge, path: str) -> list[dict[str, Any]]:
    response = await edge.get(path)
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


async def test_a_statement_is_imported_once_and_shown(edge: Edge) -> None:
    content = statement(FUNDING, STRANGER, FEE, sequence=7)

    one = await imported(edge, content)
    again = await send(edge, content)

    shown = (await edge.get(f"/v1/statements/{one['id']}")).json()
    assert {**shown, "imported": True} == one
    assert shown["object"] == "statement"
    assert (shown["opening_balance"], shown["closing_balance"]) == ("0.00", "250776.27")
    assert (shown["message_type"], shown["sequence_number"], shown["entry_count"]) == ("camt.053", 7, 3)
    assert (shown["bank_account"], shown["currency"]) == ("RIVB-CONTROL-USD", "USD")
    assert (shown["opened_on"], shown["closed_on"]) == ("2026-11-20", "2026-11-20")
    assert shown["imported_by"] == edge.bank.maker.id
    assert (again.status_code, again.json()["imported"]) == (200, False)
    assert again.json()["statements"] == [{**shown, "imported": False}]
    assert await listed(edge, "/v1/statements") == [shown]
    assert len(await listed(edge, "/v1/deposits")) == 2


async def test_entries_tell_what_became_of_them(edge: Edge) -> None:
    one = await imported(edge, statement(FUNDING, STRANGER, FEE))

    first, second, third = await listed(edge, f"/v1/statements/{one['id']}/entries")

    deposits = {deposit["id"]: deposit for deposit in await listed(edge, "/v1/deposits")}
    assert first["id"] == f"{one['id']}.1"
    assert (first["amount"], first["currency"], first["direction"], first["status"]) == (
        "250000.00",
        "USD",
        "credit",
        "booked",
    )
    assert (first["matched_by"], first["end_to_end_id"], first["bank_reference"]) == (
        "reference",
        "HM-1",
        "B-1",
    )
    assert deposits[first["deposit_id"]]["statement_entry_id"] == first["id"]
    assert deposits[first["deposit_id"]]["account_id"] == edge.bank.account_id("HARBOUR-USD")
    assert (second["matched_by"], deposits[second["deposit_id"]]["state"]) == (None, "unassigned")
    assert (third["direction"], third["deposit_id"]) == ("debit", None)


async def test_findings_are_shown(edge: Edge) -> None:
    one = await imported(edge, statement(FUNDING, closing="250000.01"))

    found = await listed(edge, f"/v1/statements/{one['id']}/findings")

    assert [one["finding_number"] for one in found] == list(range(1, len(found) + 1))
    assert {one["severity"] for one in found} >= {"error", "warning"}
    assert [deposit["state"] for deposit in await listed(edge, "/v1/deposits")] == ["unassigned"]


@pytest.mark.parametrize("kind", ["entries", "findings"])
async def test_lists_go_on_from_the_cursor(edge: Edge, kind: str) -> None:
    entries = [Entry(f"{n}.00", remittance="Rent", bank_reference="SAME") for n in (1, 1, 1)]
    one = await imported(edge, statement(*entries))
    path = f"/v1/statements/{one['id']}/{kind}"
    everything = await listed(edge, path)

    seen: list[dict[str, Any]] = []
    cursor = "0"
    while True:
        page = (await edge.get(path, params={"limit": 1, "cursor": cursor})).json()
        seen += page["data"]
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]

    assert seen == everything
    assert len(everything) >= 2


async def test_statements_of_one_class(edge: Edge) -> None:
    euro = Stated((), account="DE75512108001245126199", currency="EUR")
    both = await send(edge, message(Stated((FUNDING,)), euro))

    assert [one["currency"] for one in both.json()["statements"]] == ["USD", "EUR"]
    for currency, of_class in edge.bank.classes.items():
        found = await listed(edge, f"/v1/statements?token_class_id={of_class.id}")
        assert [one["currency"] for one in found] == [currency]


async def test_an_idempotency_key_is_not_needed_and_is_kept_to(edge: Edge) -> None:
    content = statement(FUNDING)

    first = await send(edge, content, **{"Idempotency-Key": "statement-1"})
    second = await send(edge, content, **{"Idempotency-Key": "statement-1"})
    without = await send(edge, content)
    other_key = await send(edge, content, **{"Idempotency-Key": "statement-2"})
    other_body = await send(edge, statement(STRANGER, day="2026-11-21"), **{"Idempotency-Key": "statement-1"})

    assert first.status_code == second.status_code == 201
    assert (second.content, second.headers["idempotency-replayed"]) == (first.content, "true")
    assert (without.status_code, other_key.status_code) == (200, 200)
    problem = assert_problem(other_body, 409, "idempotency_key_reused")
    assert problem["existing_id"] == first.json()["statements"][0]["id"]
    malformed = await send(edge, content, **{"Idempotency-Key": "x" * 256})
    assert_problem(malformed, 422, "idempotency_key_malformed")


async def test_the_same_statement_sent_at_once_is_imported_once(edge: Edge) -> None:
    content = statement(FUNDING)

    answers = await asyncio.gather(*[send(edge, content) for _ in range(8)])

    assert sorted(one.status_code for one in answers) == [200] * 7 + [201]
    assert len({one.json()["statements"][0]["id"] for one in answers}) == 1
    assert len(await listed(edge, "/v1/deposits")) == 1


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "statement_not_xml"),
        (b"{}", 422, "statement_not_xml"),
        (b"<!DOCTYPE x><x/>", 422, "statement_doctype_forbidden"),
        (b'<Document xmlns="urn:x"/>', 422, "statement_namespace_unknown"),
        (message(), 422, "statement_malformed"),
        (message(Stated((FUNDING,)), kind="camt.055.001.08"), 422, "statement_type_unsupported"),
        (message(Stated((FUNDING,)), kind="camt.053.001.99"), 422, "statement_type_unsupported"),
        (statement(FUNDING, account="ELSEWHERE"), 422, "statement_account_unknown"),
        (statement(FUNDING, currency="EUR"), 422, "statement_currency_mismatch"),
        (message(Stated((FUNDING,)), Stated((STRANGER,), account="X")), 422, "statement_account_unknown"),
    ],
)
async def test_what_is_refused_leaves_nothing(edge: Edge, content: bytes, status: int, code: str) -> None:
    before = row_counts(edge.urls)

    for headers in ({}, {"Idempotency-Key": "refused"}):
        assert_problem(await send(edge, content, **headers), status, code)

    assert row_counts(edge.urls) == before


async def test_another_statement_under_the_same_identification_is_refused(edge: Edge) -> None:
    one = await imported(edge, statement(FUNDING))

    problem = assert_problem(await send(edge, statement(STRANGER)), 409, "statement_conflict")

    assert problem["statement_id"] == one["id"]


async def test_a_body_over_the_limit_is_refused_before_it_is_read(edge: Edge) -> None:
    limit = edge.application.state.service.settings.statement_size_max_bytes

    assert_problem(await send(edge, b"<" * (limit + 1)), 413, "body_too_large")


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "text/csv", "application/octet-stream", "application/x-www-form-urlencoded"],
)
async def test_a_body_that_says_it_is_something_else(edge: Edge, media_type: str) -> None:
    response = await send(edge, statement(FUNDING), **{"Content-Type": media_type})

    assert_problem(response, 415, "statement_media_type_unsupported")


@pytest.mark.parametrize("media_type", ["text/xml; charset=utf-8", "Application/XML"])
async def test_other_names_of_xml(edge: Edge, media_type: str) -> None:
    response = await send(edge, statement(FUNDING), **{"Content-Type": media_type})

    assert response.status_code == 201


async def test_mt940_is_text(edge: Edge) -> None:
    content = mt940(Line("100.00", "Funding HARBOUR-USD"))

    response = await send(edge, content, **{"Content-Type": "text/plain; charset=utf-8"})

    assert response.status_code == 201, response.text
    assert response.json()["message_type"] == "MT940"
    assert [one["amount"] for one in await listed(edge, "/v1/deposits")] == ["100.00"]


CSV_JSON = "application/vnd.tallystick.csv+json"
CSV_MAPPING = {
    "version": 1,
    "encoding": "iso-8859-1",
    "delimiter": ",",
    "order": "oldest_first",
    "account": {"value": "RIVB-CONTROL-USD"},
    "currency": {"value": "USD"},
    "days": {"format": "YYYY-MM-DD", "booking": "Day"},
    "amounts": {"style": "signed", "column": "Amount", "decimal": "."},
    "balance": "Balance",
    "columns": {"remittance": ["Text"]},
}
CSV = "Day,Text,Amount,Balance\n2026-11-20,HARBOUR-USD \u20ac,100.00,100.00\n"


async def test_csv_comes_with_its_mapping(edge: Edge) -> None:
    body = json.dumps({"csv": CSV, "mapping": CSV_MAPPING}).encode()

    response = await send(edge, body, **{"Content-Type": CSV_JSON})
    again = await send(edge, body, **{"Content-Type": CSV_JSON})

    assert (response.status_code, again.status_code) == (201, 200), response.text
    [one] = response.json()["statements"]
    assert (one["message_type"], one["closing_balance"], one["state"]) == ("CSV", "100.00", "complete")
    [entry] = await listed(edge, f"/v1/statements/{one['id']}/entries")
    assert (entry["matched_by"], entry["remittance"]) == ("reference", "HARBOUR-USD \u20ac")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"csv": CSV}, 422, "request_invalid"),
        ({"csv": CSV, "mapping": {}}, 422, "statement_mapping_invalid"),
        ({"csv": CSV, "mapping": CSV_MAPPING | {"version": 2}}, 422, "statement_mapping_invalid"),
        ({"csv": CSV, "mapping": CSV_MAPPING, "more": 1}, 422, "request_invalid"),
        ({"csv": "", "mapping": CSV_MAPPING}, 422, "statement_malformed"),
        ({"csv": 1, "mapping": CSV_MAPPING}, 422, "request_invalid"),
        ([], 422, "request_invalid"),
    ],
)
async def test_csv_that_is_refused(edge: Edge, body: object, status: int, code: str) -> None:
    content = json.dumps(body).encode()

    assert_problem(await send(edge, content, **{"Content-Type": CSV_JSON}), status, code)


async def test_a_long_file_is_answered_once_under_its_key(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "PART_SIZE_MAX", 2)
    monkeypatch.setattr(statements, "PART_SIZE_MAX", 2)
    credits_ = [replace(FUNDING, amount="1.00", bank_reference=f"B-{number}") for number in range(5)]
    content = statement(*credits_)
    key = {"Idempotency-Key": "long"}

    first = await send(edge, content, **key)
    again = await send(edge, content, **key)
    before = row_counts(edge.urls)
    other = await send(edge, statement(*credits_, day="2026-11-21", opening="5.00"), **key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert_problem(other, 409, "idempotency_key_reused")
    assert row_counts(edge.urls) == before
    assert len(await listed(edge, "/v1/deposits")) == 5


async def test_another_banks_statement_is_as_absent(edge: Edge) -> None:
    other_key = api_key(edge.other, edge.other.maker)
    theirs = await edge.client.post(
        "/v1/statements",
        content=statement(FUNDING),
        headers={"Authorization": f"Bearer {other_key}", "Content-Type": "application/xml"},
    )
    statement_id = theirs.json()["statements"][0]["id"]

    for suffix in ("", "/entries", "/findings"):
        hidden = await edge.get(f"/v1/statements/{statement_id}{suffix}")
        absent = await edge.get(f"/v1/statements/statement_00000000000000000000000000{suffix}")
        assert_problem(hidden, 404, "statement_not_found")
        assert hidden.content == absent.content
    assert await listed(edge, "/v1/statements") == []
    # Nor does it stand in the way of the same statement here: identifications are a bank's own.
    await imported(edge, statement(FUNDING))
