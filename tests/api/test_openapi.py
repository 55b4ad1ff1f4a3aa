"""The OpenAPI document: complete, the same as the copy in the repository, shown without help from outside, and true."""

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tallystick.api import application
from tests.api.edge import OPERATIONS, Edge, Operation
from tests.api.examples import examples, integrate_all, life_of, staff_life_of
from tests.soaking import in_full

DOCUMENT: Final[dict[str, Any]] = application.build().openapi()
COPY: Final = Path(__file__).parents[2] / "docs" / "openapi.json"
EXAMPLES_MAX: Final = in_full(8, 4)
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# JSON Lines are text to the fuzzer.
schemathesis.serializer.alias("application/x-ndjson", "text/plain")
DOCUMENTED: Final = [one for one in OPERATIONS if one.document]


def test_it_is_openapi_3_1_and_the_copy_in_the_repository() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert json.loads(COPY.read_text(encoding="utf-8")) == DOCUMENT, "run: make openapi"


def test_every_operation_is_documented_and_nothing_else() -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    served = {(one.method, one.path) for one in OPERATIONS}

    assert described <= served
    assert {path for _, path in served - described} == {
        "/",
        "/docs",
        "/docs/oauth2-redirect",
        "/docs-assets",
        "/openapi.json",
    }


@pytest.mark.parametrize("operation", DOCUMENTED, ids=str)
def test_an_operation_says_what_a_client_needs(operation: Operation) -> None:
    document = operation.document
    assert document["summary"]
    assert document["description"]
    assert len(document["tags"]) == 1
    assert re.fullmatch(r"[a-z0-9_]+", document["operationId"])
    in_path = [one["name"] for one in document.get("parameters", ()) if one["in"] == "path"]
    assert in_path == operation.parameters
    assert set(document["responses"]) - {"200", "201", "202"} == {"default"}
    refusal = document["responses"]["default"]["content"]
    # RFC 6749, section 5.2, has a shape of its own.
    media_type, view = (
        ("application/json", "OAuthErrorView")
        if operation.path == "/oauth/token"
        else ("application/problem+json", "ProblemView")
    )
    assert refusal == {media_type: {"schema": {"$ref": f"#/components/schemas/{view}"}}}
    assert ("security" in document) == isinstance(operation.roles, frozenset)
    for response in document["responses"].values():
        assert response["description"]
        for content in response.get("content", {}).values():
            assert content["schema"], "an answer has a schema"
    for parameter in document.get("parameters", ()):
        assert {"minimum", "maximum"} <= set(parameter["schema"]) or parameter["schema"].get(
            "type"
        ) != "integer"


def test_operation_ids_are_unique() -> None:
    ids = [one.document["operationId"] for one in DOCUMENTED]

    assert len(ids) == len(set(ids))


def references(within: object) -> Iterator[str]:
    members = within.values() if isinstance(within, dict) else within if isinstance(within, list) else ()
    if isinstance(within, dict) and isinstance(within.get("$ref"), str):
        yield within["$ref"]
    for one in members:
        yield from references(one)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    found = set(references(DOCUMENT))
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}

    assert found == schemas


def test_bodies_allow_no_unknown_field() -> None:
    for operation in DOCUMENTED:
        if operation.reads_json:
            body = operation.document["requestBody"]
            assert body["required"]
            name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert DOCUMENT["components"]["schemas"][name]["additionalProperties"] is False


@pytest.mark.anyio
async def test_the_document_is_served_as_it_is(shared_edge: Edge) -> None:
    response = await shared_edge.client.get("/openapi.json")

    assert response.json() == DOCUMENT
    root = await shared_edge.client.get("/")
    assert (root.status_code, root.headers["location"]) == (307, "/docs")


@pytest.mark.anyio
async def test_the_documents_page_asks_nobody_else(shared_edge: Edge) -> None:
    page = await shared_edge.client.get("/docs")
    assert page.status_code == 200
    # A name space or a comment may hold an address; what a browser would load may not.
    assert not re.findall(r"""(?:src|href|action|url)\s*[=:(]\s*["']?(?:https?:)?//""", page.text)
    assert '"validatorUrl": null' in page.text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']|url: ["']([^"']+)["']""", page.text)
    addresses = [first or second for first, second in loaded]
    assert len(addresses) >= 4
    for address in addresses:
        asset = await shared_edge.client.get(urljoin("/docs", address))
        assert asset.status_code == 200, address
        if address.endswith(".css"):
            assert not re.findall(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""", asset.text)


def without_headers() -> dict[str, Any]:
    """Return the document as the fuzzer reads it: keys of both kinds are good ones, and are given to it."""
    copy: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    for methods in copy["paths"].values():
        for document in methods.values():
            document.pop("security", None)
            kept = [one for one in document.get("parameters", ()) if one["in"] != "header"]
            document["parameters"] = kept
    return copy


class Fuzz:
    """A served bank with a little of everything in it, and what a caller of any role may know."""

    def __init__(self, edge: Edge, ids: dict[str, str]) -> None:
        self.edge = edge
        self.ids = ids
        assert edge.server is not None
        self.url = edge.server.url
        self.schema = schemathesis.openapi.from_dict(without_headers())

    def call(self, case: schemathesis.Case[Any], role: str, picked: list[str | None]) -> None:
        """Send a generated request with a good key, some of its ids replaced by ids that exist; check the answer."""
        turn = iter(picked)
        for place in (case.path_parameters, case.query, case.body):
            if isinstance(place, dict):
                for name in place:
                    if name.endswith("_id"):
                        place[name] = next(turn, None) or place[name]
        if isinstance(case.query, dict):
            case.query.pop("follow", None)
        headers = {"Authorization": f"Bearer {self.edge.keys[role]}", "Last-Event-ID": "3"}
        if case.method == "POST":
            headers["Idempotency-Key"] = secrets.token_hex(8)
        response = case.call(base_url=self.url, headers=headers, timeout=30)
        case.validate_response(response, checks=CHECKS)
        assert response.headers["request-id"]
        assert response.status_code not in {401, 403, 405, 413, 415}


@pytest.fixture(scope="module")
async def fuzz(anyio_backend: str, shared_served_edge: Edge) -> Fuzz:
    edge = shared_served_edge
    for make in examples(edge.bank).values():
        make()
    integrate_all(edge.bank)
    ids = life_of(edge.bank, edge.bank.holders["LANTERN"].id, "HARBOUR-USD", "LANTERN-USD")
    return Fuzz(edge, ids | await staff_life_of(edge.client, edge.bank))


FUZZED: Final = [
    pytest.param(one, mode, id=f"{one} {mode.value}")
    for one in DOCUMENTED
    if isinstance(one.roles, frozenset)
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    # What takes nothing, or anything, can't be asked wrongly.
    if mode == GenerationMode.POSITIVE or one.reads_json or one.parameters or one.queries
]


@pytest.mark.parametrize(("operation", "mode"), FUZZED)
def test_answers_are_what_the_document_says(fuzz: Fuzz, operation: Operation, mode: GenerationMode) -> None:
    generated = fuzz.schema[operation.path][operation.method]
    assert isinstance(operation.roles, frozenset)

    @settings(
        max_examples=EXAMPLES_MAX,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=generated.as_strategy(generation_mode=mode),
        role=st.sampled_from(sorted(operation.roles)),
        picked=st.lists(st.one_of(st.none(), st.sampled_from(sorted(fuzz.ids.values()))), max_size=4),
    )
    def ask(case: schemathesis.Case[Any], role: str, picked: list[str | None]) -> None:
        fuzz.call(case, role, picked)

    ask()
