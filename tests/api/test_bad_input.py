"""Bodies and keys that must not be taken: each is refused as a problem that repeats nothing and leaves nothing."""

import json
from collections.abc import AsyncIterator
from typing import Final

import pytest

from tallystick.core.ids import new_suffix
from tests.api.edge import OPERATIONS, Edge, Operation
from tests.api.examples import Example
from tests.api.refusing import CANARY, refused, send
from tests.vectors import vectors

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nothing_written")]

WRITES: Final = [one for one in OPERATIONS if one.takes_key and one.reads_json]


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
        # The name of an unknown member may come back, from within an object too; what it holds may not.
        for wrong in ({"unknown": CANARY}, [CANARY], True, 4711, CANARY * 1_000):
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


@pytest.mark.parametrize("operation", [one for one in WRITES if "amount" in one.fields], ids=str)
async def test_amounts_are_strings_of_exactly_the_scale(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
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


#: Bodies that may be longer than others: a file as evidence, in base64.
SIZES_MAX_BYTES = {"/v1/breaks/{break_id}/evidence": 7_000_000}


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
    allowed = SIZES_MAX_BYTES.get(operation.path, 1_048_576)
    assert taken < allowed / 10_000 + 95, "it is not read to its end"


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


async def test_the_whole_json_test_suite_is_refused(shared_edge: Edge, prepared: dict[str, Example]) -> None:
    files = sorted(vectors("jsontestsuite").glob("test_parsing/*.json"))
    assert len(files) > 300
    for file in files:
        response = await send(shared_edge, prepared["/v1/transfers"], content=file.read_bytes())
        refused(response, 422)


def kind_of(identifier: str) -> str:
    """Return what an id is of: its prefix, or that it is a day, or a key's thumbprint, which have none."""
    if identifier[:4].isdigit() and identifier[4:5] == "-":
        return "day"
    return "signing_key" if len(identifier) == 43 else identifier.split("_", maxsplit=1)[0]


@pytest.mark.parametrize("operation", WRITES, ids=str)
async def test_an_id_of_another_kind_is_refused_or_absent(
    shared_edge: Edge, prepared: dict[str, Example], operation: Operation
) -> None:
    example = prepared[operation.path]
    # One of each kind: all of a kind are as wrong.
    of_kind = {
        kind_of(value): value
        for one in prepared.values()
        for value in [*one.path.split("/")[3:4], *(v for n, v in one.body.items() if n.endswith("_id"))]
    }
    for name in [one for one in example.body if one.endswith("_id")]:
        for kind, wrong in sorted(of_kind.items()):
            if kind != kind_of(example.body[name]):
                response = await send(shared_edge, example, example.body | {name: wrong})
                assert 400 <= response.status_code < 500, response.text
    for kind, wrong in sorted(of_kind.items()) if operation.parameters else ():
        right = example.path.split("/")[3]
        if kind != kind_of(right):
            path = example.path.replace(right, wrong)
            response = await shared_edge.post(path, example.body, example.role)
            refused(response, 404)
