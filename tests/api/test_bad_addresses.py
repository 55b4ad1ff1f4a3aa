"""Paths, queries, methods and headers that must not be taken: refused as problems that repeat nothing."""

from typing import Final

import pytest

from tallystick.participants import Role
from tests.api.edge import OPERATIONS, Edge, Operation
from tests.api.examples import Example
from tests.api.refusing import CANARY, refused, send

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_written")]

BEHIND_A_KEY: Final = [one for one in OPERATIONS if isinstance(one.roles, frozenset)]


ODD_IDS: Final = {
    "NUL": "account_%00",
    "newline": "account_%0A",
    "dots": "%2e%2e",
    "a path": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "emoji": "%F0%9F%92%B6",
    "no UTF-8": "account_%ff%fe",
    "a lone surrogate": "account_%ed%a0%80",
    "spaces": "account_%20",
    "10,000 characters": "a" * 10_000,
    "65 characters": "a" * 65,
    "a quotation mark": f"account_%27{CANARY}%22--",
    "a percent sign": f"{CANARY}%25s",
    "full-width digits": "%EF%BC%91",
    "a minus": "-1",
    "a huge number": "9" * 40,
}


@pytest.mark.parametrize("operation", [one for one in BEHIND_A_KEY if one.parameters], ids=str)
async def test_what_can_not_be_an_id_is_absent(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    assert isinstance(operation.roles, frozenset)
    role = min(operation.roles)
    example = prepared.get(operation.path)
    for odd in ODD_IDS.values():
        path = operation.path
        for name in operation.parameters:
            path = path.replace(f"{{{name}}}", odd)
        if operation.method == "GET":
            response = await shared_edge.get(path, role)
        else:
            body = example.body if example else {}
            response = await shared_edge.post(path, body, role)
        refused(response, 404)


ODD_QUERIES: Final = ("%00", "a%00b", "%F0%9F%92%B6", "%ff", "a" * 10_000, "a'--", f"{CANARY}%0a", "%d9%a1")


@pytest.mark.parametrize(
    "operation", [one for one in BEHIND_A_KEY if one.queries and not one.parameters], ids=str
)
async def test_queries_are_held_to_their_type(shared_edge: Edge, operation: Operation) -> None:
    assert isinstance(operation.roles, frozenset)
    role = min(operation.roles)
    for name in operation.queries:
        for odd in ODD_QUERIES:
            response = await shared_edge.get(f"{operation.path}?{name}={odd}", role)
            problem = refused(response, 422, "request_invalid")
            assert f"/query/{name}" in {error["pointer"] for error in problem["errors"]}


@pytest.mark.parametrize("operation", [one for one in BEHIND_A_KEY if one.method == "GET"], ids=str)
async def test_an_unknown_or_repeated_query_is_refused(shared_edge: Edge, operation: Operation) -> None:
    # A misspelled `as_of` answered with today's figures would be worse than no answer.
    assert isinstance(operation.roles, frozenset)
    path = operation.path
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", "4711")
    role = min(operation.roles)
    response = await shared_edge.get(f"{path}?asof=2026-11-20T00:00:00Z&{CANARY}%20x=1", role)
    problem = refused(response, 422, "request_invalid")
    assert [error["pointer"] for error in problem["errors"]] == ["/query/asof", "/query"]
    for name in operation.queries:
        refused(await shared_edge.get(f"{path}?{name}=1&{name}=1", role), 422, "request_invalid")


BAD_MOMENTS: Final = (
    "2026-11-20",
    "2026-11-20T10:00:00",
    "2026-11-20T10:00",
    "2026-11-20 10:00:00Z",
    "20261120T100000Z",
    "2026-W47-5T10:00:00Z",
    "2026-11-20T10:00:00.1234567Z",
    "2026-11-20T24:00:01Z",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-11-20T10:00:00+25:00",
    "0001-01-01T00:00:00+05:00",
    "9999-12-31T23:59:59-05:00",
    "0000-01-01T00:00:00Z",
    "1763632800",
    "now",
    "-1",
    CANARY,
)


@pytest.mark.parametrize("moment", BAD_MOMENTS)
async def test_moments_have_one_spelling(
    shared_edge: Edge, prepared: dict[str, Example], moment: str
) -> None:
    example = prepared["/v1/holds"]
    response = await send(shared_edge, example, example.body | {"expires_at": moment})
    [error] = refused(response, 422, "request_invalid")["errors"]
    assert error["pointer"] == "/expires_at"
    account_id = example.body["payer_account_id"]
    response = await shared_edge.get(f"/v1/accounts/{account_id}/balance", params={"as_of": moment})
    [error] = refused(response, 422, "request_invalid")["errors"]
    assert error["pointer"] == "/query/as_of"


async def test_a_moment_is_told_in_utc(shared_edge: Edge, prepared: dict[str, Example]) -> None:
    account_id = prepared["/v1/holds"].body["payer_account_id"]
    for sent, told in (
        ("2026-11-20T10:00:00+05:30", "2026-11-20T04:30:00.000000Z"),
        ("2026-11-20T10:00:00.25Z", "2026-11-20T10:00:00.250000Z"),
        ("0999-01-01T00:00:00Z", "0999-01-01T00:00:00.000000Z"),
    ):
        response = await shared_edge.get(f"/v1/accounts/{account_id}/balance", params={"as_of": sent})
        assert response.json()["as_of"] == told


@pytest.mark.parametrize(
    "day", ["2026-02-30", "0000-01-01", "20261120", "2026-1-2", "2026-11-20T00:00:00Z", CANARY]
)
async def test_days_have_one_spelling(shared_edge: Edge, prepared: dict[str, Example], day: str) -> None:
    for path, name in (("/v1/deposits", "value_date"), ("/v1/holders/{holder_id}/kyc", "expires_on")):
        example = prepared[path]
        response = await send(shared_edge, example, example.body | {name: day})
        [error] = refused(response, 422, "request_invalid")["errors"]
        assert error["pointer"] == f"/{name}"


async def test_an_account_or_a_liability_not_both(shared_edge: Edge) -> None:
    refused(await shared_edge.get("/v1/events?account_id=a&liability_id=b"), 422, "malformed")
    for odd in ("x", "-1", "1" * 19, "\u0661"):
        headers = [
            *((name.encode(), value.encode()) for name, value in shared_edge.bearer(Role.AUDITOR).items()),
            (b"Last-Event-ID", odd.encode()),
        ]
        refused(await shared_edge.client.get("/v1/events", headers=headers), 422, "request_invalid")


@pytest.mark.parametrize("path", sorted({one.path for one in BEHIND_A_KEY}))
async def test_other_methods_are_refused_and_the_right_ones_named(shared_edge: Edge, path: str) -> None:
    allowed = {one.method for one in OPERATIONS if one.path == path}
    for name in path.split("/"):
        if name.startswith("{"):
            path = path.replace(name, "4711")
    for method in ("HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GET", "POST"):
        if method in allowed:
            continue
        response = await shared_edge.client.request(
            method, path, headers=shared_edge.writing(Role.OPERATOR), content=CANARY
        )
        assert response.status_code == 405
        assert set(response.headers["allow"].split(", ")) == allowed
        if method != "HEAD":
            refused(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    [
        f"/{CANARY}",
        "/v1",
        "/v1/",
        "/v1/accounts/",
        "/v1//accounts",
        "/v1/accounts/a/b/c",
        "/v1/transfers/",
        "/V1/accounts",
        "/v2/accounts",
        "/docs/",
        "/docs-assets/%2e%2e/%2e%2e/core.py",
        "/.env",
        "/%00",
        "/" + "a" * 10_000,
    ],
)
async def test_an_unknown_path_is_a_problem_and_no_redirect(shared_edge: Edge, path: str) -> None:
    for headers in ({}, shared_edge.bearer(Role.OPERATOR)):
        refused(await shared_edge.client.get(path, headers=headers), 404, "path_unknown")


async def test_request_ids_are_taken_over_only_if_they_are_plain(shared_edge: Edge) -> None:
    response = await shared_edge.client.get("/nowhere", headers={"Request-Id": "trace-17.b_C"})
    assert response.headers["request-id"] == "trace-17.b_C"
    for odd in (b"", b"a b", b"a\r\nSet-Cookie: b", b"\xff", b"a" * 129):
        response = await shared_edge.client.get("/nowhere", headers=[(b"Request-Id", odd)])
        assert response.headers["request-id"].startswith("request_")
        assert len(response.headers.get_list("request-id")) == 1
