"""Screening over HTTP: a list comes in, holders are held against it, staff see the hits, customers see nothing."""

from typing import Any

import httpx
import pytest

from tallystick.participants import Role
from tallystick.screening import clear
from tests.api.edge import Edge, assert_problem
from tests.screening.listed import company, lines

pytestmark = pytest.mark.anyio

LANTERN = company("lantern", "Lantern Lighting of Nowhere", country=["cn"])
UMBRAL = company("umbral", "Umbral Freight")


async def send(
    edge: Edge, *listed: Any, role: str = Role.OPERATOR, key: str | None = None, **asked: Any
) -> httpx.Response:
    query = {"name": "fictitious", "version": "1", **asked.pop("params", {})}
    headers = edge.bearer(role) | asked.pop("headers", {}) | ({} if key is None else {"Idempotency-Key": key})
    content = asked.pop("content", lines(*listed))
    return await edge.client.post("/v1/screening-lists", params=query, content=content, headers=headers)


async def test_a_list_comes_in_holders_are_screened_and_staff_see_why(edge: Edge) -> None:
    sent = await send(edge, LANTERN, UMBRAL)
    assert (sent.status_code, sent.json()["imported"], sent.json()["entity_count"]) == (201, True, 2)

    first = await edge.post("/v1/screenings", {"limit": 3}, Role.OPERATOR)
    second = await edge.post(
        "/v1/screenings", {"limit": 3, "cursor": first.json()["next_cursor"]}, Role.OPERATOR
    )
    assert [one.status_code for one in (first, second)] == [201, 201]
    assert first.json()["screened_count"] + second.json()["screened_count"] == 4
    assert (second.json()["next_cursor"], first.json()["object"]) == (None, "screening_run")

    [hit] = (await edge.get("/v1/screenings?state=hit")).json()["data"]
    assert (hit["holder_id"], hit["list_id"]) == (edge.bank.holders["LANTERN"].id, sent.json()["id"])
    assert hit["hits"][0] == {
        "entity_id": "lantern",
        "entity_hash": hit["hits"][0]["entity_hash"],
        "schema": "Company",
        "matched_name": "Lantern Lighting of Nowhere",
        "matched_property": "name",
        "algorithm": "word_subset",
        "score": 97,
        "confidence": 100,
        "countries": ["CN"],
        "datasets": ["fictitious"],
        "decision": None,
    }
    edge.bank.database.run(
        lambda connection: clear(
            connection,
            edge.bank.clock,
            edge.bank.issuer_id,
            hit["id"],
            reason="Another one.",
            decided_by=edge.bank.maker.id,
            approvals=["vote"],
        )
    )
    decided = (await edge.get(f"/v1/screenings/{hit['id']}")).json()
    assert (decided["state"], decided["hits"][0]["decision"]) == ("cleared", "cleared")
    assert [(one["verdict"], one["reason"], one["approvals"]) for one in decided["decisions"]] == [
        ("cleared", "Another one.", ["vote"])
    ]
    assert (await edge.get("/v1/screenings?state=hit")).json()["data"] == []
    of_holder = await edge.get(f"/v1/screenings?holder_id={hit['holder_id']}&superseded=true")
    assert len(of_holder.json()["data"]) == 1


async def test_the_same_list_again_changes_nothing(edge: Edge) -> None:
    first, again = await send(edge, UMBRAL), await send(edge, UMBRAL)
    keyed, replayed = [await send(edge, UMBRAL, key="k") for _ in range(2)]

    assert [one.status_code for one in (first, again, keyed, replayed)] == [201, 200, 200, 200]
    assert again.json() == first.json() | {"imported": False}
    assert (replayed.content, replayed.headers["idempotency-replayed"]) == (keyed.content, "true")
    assert_problem(await send(edge, LANTERN, key="k"), 409, "idempotency_key_reused")
    assert_problem(await send(edge, LANTERN), 409, "screening_list_conflict")
    listed = (await edge.get("/v1/screening-lists")).json()["data"]
    assert [one["id"] for one in listed] == [first.json()["id"]]
    got = await edge.get(f"/v1/screening-lists/{first.json()['id']}")
    assert got.json() == listed[0]


async def test_a_list_that_is_refused_says_where(edge: Edge) -> None:
    problem = assert_problem(await send(edge, UMBRAL, company("bad")), 422, "screening_list_malformed")
    assert problem["line_number"] == 2
    huge = await send(edge, content=b" " * 67_108_865)
    assert_problem(huge, 413, "body_too_large")
    assert (await edge.get("/v1/screening-lists")).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("", "/query/name"),
        ("name=a", "/query/version"),
        ("name=a&version=1&version=2", "/query"),
        ("name=a&version=1&nmae=b", "/query"),
        ("name=a&version=1&smaller_accepted=yes", "/query/smaller_accepted"),
    ],
)
async def test_a_list_is_named_exactly(shared_edge: Edge, query: str, pointer: str) -> None:
    path = f"/v1/screening-lists?{query}"
    response = await shared_edge.client.post(
        path, content=lines(UMBRAL), headers=shared_edge.bearer(Role.OPERATOR)
    )
    assert assert_problem(response, 422, "request_invalid")["errors"][0]["pointer"] == pointer


async def test_a_list_says_what_it_is_or_nothing(shared_edge: Edge) -> None:
    for media_type in ("application/xml", "text/csv", "multipart/form-data"):
        response = await send(shared_edge, UMBRAL, headers={"content-type": media_type})
        assert_problem(response, 415, "screening_list_media_type_unsupported")
    for media_type in ("application/json", "application/x-ndjson; charset=utf-8", "application/jsonl"):
        response = await send(shared_edge, company("bad"), headers={"content-type": media_type})
        assert_problem(response, 422, "screening_list_malformed")


@pytest.mark.parametrize("body", [{}, {"holder_id": "holder_x", "limit": 1}, {"limit": 0}, {"limit": 1_001}])
async def test_a_run_is_of_one_holder_or_of_so_many(shared_edge: Edge, body: dict[str, Any]) -> None:
    assert_problem(await shared_edge.post("/v1/screenings", body, Role.OPERATOR), 422, "request_invalid")


async def test_a_shorter_list_takes_a_word(edge: Edge) -> None:
    await send(edge, UMBRAL, LANTERN, company("third", "Nimbus Grey"))
    shorter = {"version": "2"}
    assert_problem(await send(edge, UMBRAL, params=shorter), 409, "screening_list_shrunk")
    accepted = await send(edge, UMBRAL, params=shorter | {"smaller_accepted": "true"})
    assert accepted.status_code == 201


async def test_who_registers_is_screened_and_not_told(edge: Edge) -> None:
    await send(edge, UMBRAL)
    body = {"kind": "corporate", "legal_name": "UMBRAL Freight GmbH", "country": "DE", "residency": "DE"}
    registered = await edge.post("/v1/holders", body, Role.OPERATOR)

    assert registered.status_code == 201
    assert not [name for name in registered.json() if "screen" in name or "hit" in name]
    found = (await edge.get(f"/v1/screenings?holder_id={registered.json()['id']}")).json()["data"]
    assert [(one["state"], one["subject"]["legal_name"]) for one in found] == [("hit", "UMBRAL Freight GmbH")]
    for role in (Role.PLATFORM, Role.HOLDER):
        assert_problem(await edge.get("/v1/screenings", role), 403, "role_not_allowed")
