"""`/oauth/token` as RFC 6749 has it, and what its tokens open."""

import asyncio
import time
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.identity.outsiders import Outsider, outsider

pytestmark = pytest.mark.anyio

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def machine(shared_edge: Edge) -> Outsider:
    return outsider(shared_edge.bank, shared_edge.bank.platform.id)


def form(client: Outsider, **other: str | None) -> dict[str, str]:
    sent = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": client.assertion(time.time()),
    } | other
    return {name: value for name, value in sent.items() if value is not None}


def refused(response: httpx.Response, status: int, error: str) -> None:
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert set(response.json()) == {"error", "error_description"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["request-id"]


async def test_a_token_opens_what_its_principal_may(shared_edge: Edge, machine: Outsider) -> None:
    response = await shared_edge.client.post("/oauth/token", data=form(machine, client_id=machine.name))

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert set(answer) == {"access_token", "token_type", "expires_in"}
    assert answer["token_type"] == "Bearer"
    assert 295 <= answer["expires_in"] <= 300
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    listed = await shared_edge.client.get("/v1/accounts", headers=bearer)
    own = await shared_edge.get("/v1/accounts", Role.PLATFORM)
    assert listed.content == own.content
    assert_problem(await shared_edge.client.get("/v1/statements", headers=bearer), 403, "role_not_allowed")


async def test_a_token_is_narrowed_by_its_scope(shared_edge: Edge, machine: Outsider) -> None:
    answer = (await shared_edge.client.post("/oauth/token", data=form(machine, scope="read"))).json()

    assert answer["scope"] == "read"
    headers = {"Authorization": f"Bearer {answer['access_token']}", "Idempotency-Key": "1"}
    assert (await shared_edge.client.get("/v1/accounts", headers=headers)).status_code == 200
    assert_problem(
        await shared_edge.client.post("/v1/transfers", json={}, headers=headers), 403, "scope_not_allowed"
    )
    both = await shared_edge.client.post("/oauth/token", data=form(machine, scope="payments read"))
    assert both.json()["scope"] == "payments read"


async def test_an_assertion_is_used_once_even_by_fifty_at_once(shared_edge: Edge, machine: Outsider) -> None:
    sent = form(machine)
    answers = await asyncio.gather(*(shared_edge.client.post("/oauth/token", data=sent) for _ in range(50)))
    assert sorted(one.status_code for one in answers) == [200] + [401] * 49
    for one in answers:
        if one.status_code == 401:
            refused(one, 401, "invalid_client")


REQUESTS: dict[str, tuple[dict[str, str | None], int, str]] = {
    "no grant": ({"grant_type": None}, 400, "invalid_request"),
    "an empty grant": ({"grant_type": ""}, 400, "invalid_request"),
    "another grant": ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    "no assertion": ({"client_assertion": None}, 400, "invalid_request"),
    "no type": ({"client_assertion_type": None}, 400, "invalid_request"),
    "another type": ({"client_assertion_type": "saml"}, 400, "invalid_request"),
    "a secret beside it": ({"client_secret": "x"}, 400, "invalid_request"),
    "garbage": ({"client_assertion": "x.y.z"}, 401, "invalid_client"),
    "another client": ({"client_id": "tsc_x"}, 401, "invalid_client"),
    "an unknown scope": ({"scope": "everything"}, 400, "invalid_scope"),
    "an odd scope": ({"scope": "read  payments"}, 400, "invalid_scope"),
}


@pytest.mark.parametrize("case", REQUESTS)
async def test_refusals_are_the_standards(shared_edge: Edge, machine: Outsider, case: str) -> None:
    other, status, error = REQUESTS[case]
    refused(await shared_edge.client.post("/oauth/token", data=form(machine, **other)), status, error)


async def test_a_form_is_read_strictly(shared_edge: Edge, machine: Outsider) -> None:
    good = urlencode(form(machine))
    kind = {"Content-Type": "application/x-www-form-urlencoded"}

    async def post(content: bytes, headers: dict[str, str]) -> httpx.Response:
        return await shared_edge.client.post("/oauth/token", content=content, headers=headers)

    for content in (
        f"{good}&grant_type=client_credentials".encode(),
        f"{good}&scope=read&scope=payments".encode(),
        f"{good}&padding={'x' * 20_000}".encode(),
        f"{good}&x=%ff".encode(),
        f"{good}&x=é".encode(),
        f"{good}&{'&'.join(f'a{n}=1' for n in range(40))}".encode(),
        b"",
        b"{}",
    ):
        refused(await post(content, kind), 400, "invalid_request")
    refused(await post(good.encode(), {"Content-Type": "application/json"}), 400, "invalid_request")
    refused(await post(good.encode(), {}), 400, "invalid_request")
    refused(await post(good.encode(), kind | {"Authorization": "Basic eDp5"}), 400, "invalid_request")
    charset = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    assert (await post(f"{good}&unknown=1".encode(), charset)).status_code == 200


async def test_it_is_for_posting(shared_edge: Edge) -> None:
    assert_problem(await shared_edge.client.get("/oauth/token"), 405, "method_not_allowed")


async def test_nothing_that_was_sent_comes_back(shared_edge: Edge, machine: Outsider) -> None:
    for name in ("grant_type", "client_assertion_type", "client_assertion", "client_id", "scope"):
        sent: Any = form(machine, **{name: "canary-4f2b9d"})
        response = await shared_edge.client.post("/oauth/token", data=sent)
        assert response.status_code in {400, 401}
        assert "canary" not in response.text
