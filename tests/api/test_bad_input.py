"""What the edge must not take: each is refused as a problem that repeats nothing of it, and leaves nothing behind."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import httpx
import pytest

from tallystick.core.ids import new_suffix
from tallystick.participants import Role
from tests.api.edge import OPERATIONS, Edge, Operation, assert_problem, counted_rows
from tests.api.examples import Example, examples
from tests.database import connect
from tests.vectors import vectors

pytestmark = pytest.mark.anyio

CANARY: Final = "canary-4f2b9d"
WRITES: Final = [one for one in OPERATIONS if one.takes_key and one.reads_json]
BEHIND_A_KEY: Final = [one for one in OPERATIONS if isinstance(one.roles, frozenset)]
WITH_AMOUNT: Final = [
    one
    for one in WRITES
    if one.path.endswith(("s", "/execute", "/approve"))
    and one.path.split("/")[2] not in {"accounts", "holders", "token-classes", "exports", "reconciliations"}
    and one.path != "/v1/transfer-batches"
]


@pytest.fixture(scope="module")
def prepared(shared_edge: Edge) -> dict[str, Example]:
    """A request for each operation that would settle if it weren't spoiled."""
    return {path: make() for path, make in examples(shared_edge.bank).items()}


@pytest.fixture(scope="module")
def rows(shared_edge: Edge, prepared: dict[str, Example]) -> Iterator[Callable[[], dict[str, int]]]:
    """How to count every table's rows, on one connection for all tests."""
    with connect(shared_edge.urls.superuser_url) as connection:
        yield lambda: counted_rows(connection)


@pytest.fixture(autouse=True)
def unchanged(rows: Callable[[], dict[str, int]]) -> Iterator[None]:
    """No test here leaves a row behind."""
    before = rows()
    yield
    assert rows() == before


def refused(response: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert a problem in which nothing that was sent comes back."""
    problem = assert_problem(response, status, code)
    assert CANARY not in response.text
    assert not [value for value in response.headers.values() if CANARY in value]
    return problem


async def send(
    edge: Edge, example: Example, body: object = None, *, content: bytes | None = None, **headers: str
) -> httpx.Response:
    """Send an example with another body, in JSON or as it is."""
    sent = edge.writing(example.role) | {name.replace("_", "-"): value for name, value in headers.items()}
    raw = json.dumps(example.body if body is None else body).encode() if content is None else content
    if "content-type" not in sent:
        sent["content-type"] = "application/json"
    return await edge.client.post(example.path, content=raw, headers=sent)


BAD_KEYS: Final = {
    "empty": b"",
    "overlong": b"k" * 256,
    "Latin-1": b"caf\xe9-" + CANARY.encode(),
    "UTF-8": f"ключ-{CANARY}".encode(),
    "control character": b"a\x01" + CANARY.encode(),
    "tabulator": b"a\tb",
    "DEL": b"a\x7fb",
}


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_a_write_needs_one_good_key(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
    bearer = shared_edge.bearer(example.role)
    response = await shared_edge.client.post(example.path, json=example.body, headers=bearer)
    refused(response, 400, "idempotency_key_missing")
    bearers = [(name.encode(), value.encode()) for name, value in bearer.items()]
    for keys in ([one] for one in BAD_KEYS.values()):
        response = await shared_edge.client.post(
            example.path,
            json=example.body,
            headers=[*bearers, *((b"Idempotency-Key", key) for key in keys)],
        )
        refused(response, 422, "idempotency_key_malformed")
    response = await shared_edge.client.post(
        example.path,
        json=example.body,
        headers=[*bearers, (b"Idempotency-Key", b"one"), (b"Idempotency-Key", b"two")],
    )
    refused(response, 422, "idempotency_key_malformed")


async def test_the_longest_key_is_taken(shared_edge: Edge, prepared: dict[str, Example]) -> None:
    example = prepared["/v1/transfers"]
    body = example.body | {"payer_account_id": f"account_{new_suffix()}"}
    response = await send(shared_edge, example, body, Idempotency_Key="~ " * 127 + "!")

    refused(response, 404, "account_not_found")


async def test_a_key_within_a_batch_is_held_to_the_same_rules(
    shared_edge: Edge, prepared: dict[str, Example]
) -> None:
    example = prepared["/v1/transfer-batches"]
    for key in ("", "k" * 256, f"ключ {CANARY}", f"a\x01{CANARY}", f"a\x00{CANARY}"):
        items = [example.body["items"][0] | {"idempotency_key": key}]
        response = await send(shared_edge, example, {"items": items})
        assert refused(response, 422)["code"] in {
            "request_invalid",
            "idempotency_key_malformed",
            "json_string_invalid",
        }


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_unknown_fields_are_refused(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
    for name, pointer in (
        ("ammount", "/ammount"),
        ("path", "/path"),
        ("body", "/body"),
        ("__proto__", "/__proto__"),
        (f"a/~b {CANARY}", ""),
        (CANARY * 1_000, ""),
        ("", ""),
    ):
        response = await send(shared_edge, example, example.body | {name: CANARY})
        problem = refused(response, 422, "request_invalid")
        [error] = problem["errors"]
        assert (error["pointer"], error["code"]) == (pointer, "extra_forbidden")


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_every_field_is_held_to_its_type(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
    for name in example.body:
        for wrong in ({CANARY: CANARY}, [CANARY], True, 4711, CANARY * 1_000):
            response = await send(shared_edge, example, example.body | {name: wrong})
            problem = refused(response, 422)
            if problem["code"] == "request_invalid":
                assert all(error["pointer"].startswith(f"/{name}") for error in problem["errors"])
        without = {other: value for other, value in example.body.items() if other != name}
        response = await send(shared_edge, example, without | {"unknown": CANARY})
        refused(response, 422, "request_invalid")


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_a_body_is_an_object(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
    for content in (
        b"null",
        b"[]",
        b"true",
        b"1",
        f'"{CANARY}"'.encode(),
        json.dumps([example.body]).encode(),
    ):
        refused(await send(shared_edge, example, content=content), 422, "request_invalid")


BAD_AMOUNTS: Final = (
    '"1"',
    '"1.0"',
    '"1.000"',
    '"-1.00"',
    '"+1.00"',
    '"1e2"',
    '"1.00e0"',
    '" 1.00"',
    '"1.00 "',
    '"1.00\\n"',
    '"1,00"',
    '"1_0.00"',
    '"01.00"',
    '".00"',
    '"0x1.00"',
    '"\u0661.\u0660\u0660"',
    '"\uff11.\uff10\uff10"',
    '"1.0\uff10"',
    '"1\u202400"',
    '"1.00\\u200b"',
    '"1.00\\u0000"',
    '"NaN"',
    '"Infinity"',
    '""',
    '"."',
    '"0.00"',
    '"-0.00"',
    '"92233720368547758.08"',
    f'"{"9" * 37}.99"',
    f'"{"9" * 5_000}.99"',
    "1.00",
    "1",
    "1e2",
    "-1",
    "9" * 5_000,
    "true",
    "null",
    "NaN",
    "Infinity",
    "-Infinity",
    "[]",
    '["1.00"]',
    "{}",
)


@pytest.mark.parametrize("operation", WITH_AMOUNT, ids=str)
async def test_amounts_are_strings_of_exactly_the_scale(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
    assert "amount" in example.body
    rest = json.dumps({name: value for name, value in example.body.items() if name != "amount"})
    for amount in BAD_AMOUNTS:
        if amount == "null" and operation.path.endswith("/approve"):
            continue  # What has no amount is approved without one; this has, which another test covers.
        content = f'{rest[:-1]}, "amount": {amount}}}'.encode()
        problem = refused(await send(shared_edge, example, content=content), 422)
        assert problem["code"].startswith(("amount_", "request_invalid", "json_", "approval_mismatch")), (
            amount,
            problem,
        )
        if len(amount) > 7:
            assert amount.strip('"') not in json.dumps(problem, ensure_ascii=False)


async def test_a_checker_types_amount_and_currency_again(
    shared_edge: Edge, prepared: dict[str, Example]
) -> None:
    example = prepared["/v1/approvals/{approval_id}/approve"]
    for body in ({}, {"amount": "5.00"}, {"currency": "USD"}, {"amount": "5.00", "currency": "EUR"}):
        refused(await send(shared_edge, example, body), 422, "approval_mismatch")


BAD_JSON: Final = {
    "empty": (b"", "json_invalid"),
    "spaces": (b"  \n", "json_invalid"),
    "cut": (b'{"amount": "1.00', "json_invalid"),
    "two": (b"{}{}", "json_invalid"),
    "comment": (b"{} // 1", "json_invalid"),
    "single quotes": (b"{'a': 1}", "json_invalid"),
    "form": (b"amount=1.00&currency=USD", "json_invalid"),
    "byte order mark": (b"\xef\xbb\xbf{}", "json_invalid"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "json_invalid"),
    "UTF-16 without mark": ('{"a": 1}'.encode("utf-16-le"), "json_invalid"),
    "Latin-1": (b'{"reference": "caf\xe9"}', "json_invalid"),
    "overlong NUL": (b'{"reference": "\xc0\x80"}', "json_invalid"),
    "lone surrogate": (rb'{"reference": "\ud800"}', "json_invalid"),
    "NaN": (b'{"a": NaN}', "json_invalid"),
    "infinity": (b'{"a": -Infinity}', "json_invalid"),
    "NUL": (b'{"reference": "a\\u0000b"}', "json_string_invalid"),
    "fraction": (b'{"a": 1.0}', "json_number_not_integer"),
    "exponent": (b'{"a": 1E400}', "json_number_not_integer"),
    "over 2^53": (b'{"a": 9007199254740993}', "json_number_too_large"),
    "5,000 digits": (b'{"a": ' + b"7" * 5_000 + b"}", "json_number_too_large"),
    "same name twice": (b'{"amount": "1.00", "amount": "9.00"}', "json_duplicate_key"),
    "same name, escaped": (b'{"amount": "1.00", "\\u0061mount": "9.00"}', "json_duplicate_key"),
    "17 deep": (b'{"a": ' + b"[" * 16 + b"]" * 16 + b"}", "json_too_deep"),
    "100,000 deep": (b"[" * 100_000 + b"]" * 100_000, "json_too_deep"),
    "100,000 opened": (b'{"a":' * 100_000, "json_too_deep"),
}


@pytest.mark.parametrize("case", BAD_JSON)
@pytest.mark.parametrize("path", ["/v1/transfers", "/v1/transfer-batches", "/v1/holders", "/v1/exports"])
async def test_json_has_one_meaning_or_is_refused(
    shared_edge: Edge, prepared: dict[str, Example], path: str, case: str
) -> None:
    content, code = BAD_JSON[case]
    refused(await send(shared_edge, prepared[path], content=content), 422, code)


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_a_body_of_ten_megabytes_is_refused(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
    content = json.dumps(example.body | {"reference": CANARY}).encode()
    refused(await send(shared_edge, example, content=content.ljust(10_000_000)), 413, "body_too_large")

    taken = 0

    async def in_parts() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1_000):
            taken += 1
            yield b" " * 10_000

    headers = shared_edge.writing(example.role) | {"content-type": "application/json"}
    response = await shared_edge.client.post(example.path, content=in_parts(), headers=headers)
    refused(response, 413, "body_too_large")
    assert taken < 200, "it is not read to its end"


async def test_what_the_length_says_is_no_excuse(shared_edge: Edge, prepared: dict[str, Example]) -> None:
    example = prepared["/v1/transfers"]
    for length, status in (("99999999999999999999", 413), ("-1", 422), ("x", 422), ("²", 422)):
        headers = shared_edge.writing(example.role) | {"content-type": "application/json"}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        response = await shared_edge.client.post(
            example.path, content=b"{}", headers=[*raw, (b"content-length", length.encode())]
        )
        refused(response, status)


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_a_body_that_says_it_is_something_else_is_not_read(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
    for media_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonx",
        "application/json-patch+json",
        CANARY,
        "",
    ):
        response = await send(shared_edge, example, content_type=media_type)
        refused(response, 415, "media_type_unsupported")


async def test_a_body_that_says_nothing_speaks_for_itself(
    shared_edge: Edge, prepared: dict[str, Example]
) -> None:
    example = prepared["/v1/transfers"]
    headers = shared_edge.writing(example.role)
    response = await shared_edge.client.post(example.path, content=b"{}", headers=headers)
    refused(response, 422, "request_invalid")
    for media_type in ("application/json; charset=utf-8", "APPLICATION/JSON"):
        response = await send(shared_edge, example, {}, content_type=media_type)
        refused(response, 422, "request_invalid")


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


async def test_the_whole_json_test_suite_is_refused(shared_edge: Edge, prepared: dict[str, Example]) -> None:
    files = sorted(vectors("jsontestsuite").glob("test_parsing/*.json"))
    assert len(files) > 300
    for file in files:
        response = await send(shared_edge, prepared["/v1/transfers"], content=file.read_bytes())
        refused(response, 422)


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_an_id_of_another_kind_is_refused_or_absent(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
    ids = {
        value
        for one in prepared.values()
        for value in [*one.path.split("/")[3:4], *(v for n, v in one.body.items() if n.endswith("_id"))]
    }
    for name in [one for one in example.body if one.endswith("_id")]:
        for wrong in sorted(ids - {example.body[name], example.body.get("payer_account_id", "")}):
            if wrong.split("_")[0] != example.body[name].split("_")[0]:
                response = await send(shared_edge, example, example.body | {name: wrong})
                assert 400 <= response.status_code < 500, response.text
    for wrong in sorted(ids) if operation.parameters else ():
        right = example.path.split("/")[3]
        if wrong.split("_")[0] != right.split("_")[0]:
            path = example.path.replace(right, wrong)
            response = await shared_edge.post(path, example.body, example.role)
            refused(response, 404)
