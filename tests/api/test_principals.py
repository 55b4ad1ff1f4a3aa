"""`/v1/principals`: taken up by one person, powerless until others agree, and suspended at once."""

import asyncio
import json

import pytest

from tallystick import participants
from tallystick.participants import Role
from tests.api.edge import Edge, api_key, assert_problem
from tests.api.examples import new_client, new_principal

pytestmark = pytest.mark.anyio


async def test_a_principal_is_taken_up_and_found(shared_edge: Edge) -> None:
    body = {
        "name": "Audit 2026",
        "roles": ["auditor"],
        "person": "paul.lindqvist",
        "scopes": ["read"],
        "access_until": "2099-01-31T00:00:00Z",
    }
    made = await shared_edge.post("/v1/principals", body, Role.OPERATOR)

    assert made.status_code == 201, made.text
    shown = made.json()
    assert shown["access_until"] == "2099-01-31T00:00:00.000000Z"
    assert {name: shown[name] for name in ("name", "roles", "person", "scopes", "status")} == {
        name: body.get(name, "active") for name in ("name", "roles", "person", "scopes", "status")
    }
    assert (await shared_edge.get(f"/v1/principals/{shown['id']}")).json() == shown
    listed = (await shared_edge.get("/v1/principals?limit=1000")).json()["data"]
    assert shown in listed
    for what in ("api-keys", "clients"):
        assert (await shared_edge.get(f"/v1/principals/{shown['id']}/{what}")).json()["data"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"access_until": None},
        {"access_until": "2020-01-01T00:00:00Z"},
        {"roles": ["auditor", "operator"]},
        {"person": None},
        {"holder_id": "HARBOUR"},
        {"roles": ["platform"]},
    ],
)
async def test_what_does_not_fit_is_refused(shared_edge: Edge, change: dict[str, object]) -> None:
    body: dict[str, object] = {
        "name": "Audit",
        "roles": ["auditor"],
        "person": "paul",
        "access_until": "2099-01-31T00:00:00Z",
    } | change
    if body.get("holder_id"):
        body["holder_id"] = shared_edge.bank.holders["HARBOUR"].id
    response = await shared_edge.post("/v1/principals", body, Role.OPERATOR)
    assert_problem(response, 422, "principal_malformed")


async def test_keys_and_clients_are_shown_without_secrets(shared_edge: Edge) -> None:
    bank = shared_edge.bank
    of = new_principal(bank)
    text = api_key(bank, of, lifetime_days=30, ip_allow_list=["203.0.113.0/24"])
    client_id = new_client(bank, of.id)

    [key] = (await shared_edge.get(f"/v1/principals/{of.id}/api-keys")).json()["data"]
    assert text.startswith(key["key_prefix"])
    assert text.removeprefix(key["key_prefix"]) not in json.dumps(key)
    assert key["ip_allow_list"] == ["203.0.113.0/24"]
    [client] = (await shared_edge.get(f"/v1/principals/{of.id}/clients")).json()["data"]
    assert client["id"] == client_id
    assert set(client["jwk"]) == {"kty", "crv", "x"}
    assert client["client_id"].startswith("tsc_")


async def test_suspending_closes_every_way_in_at_once(edge: Edge) -> None:
    of = new_principal(edge.bank)
    headers = {"Authorization": f"Bearer {api_key(edge.bank, of)}"}
    assert (await edge.client.get("/v1/holders", headers=headers)).status_code == 200
    path = f"/v1/principals/{of.id}/suspend"
    suspended = await edge.post(path, {"reason": "Lost her laptop."}, Role.OPERATOR)
    assert suspended.json()["status"] == "suspended"
    assert suspended.json()["status_reason"] == "Lost her laptop."
    for _ in range(100):
        if (await edge.client.get("/v1/holders", headers=headers)).status_code == 401:
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("the key still opens after ten seconds")
    again = await edge.post(path, {"reason": "Again."}, Role.OPERATOR)
    assert_problem(again, 409, "principal_status_conflict")


async def test_a_key_is_revoked_by_its_own_principals_path(shared_edge: Edge) -> None:
    bank = shared_edge.bank
    of, other = new_principal(bank), new_principal(bank)
    api_key(bank, of)
    client_id = new_client(bank, of.id)
    with bank.database.read() as connection:
        [key] = participants.api_keys(connection, bank.issuer_id, principal_id=of.id)
    body = {"reason": "Found in a log."}
    for what, identifier, code in (
        ("api-keys", key.id, "api_key_not_found"),
        ("clients", client_id, "client_not_found"),
    ):
        wrong = f"/v1/principals/{other.id}/{what}/{identifier}/revoke"
        assert_problem(await shared_edge.post(wrong, body, Role.OPERATOR), 404, code)
        right = f"/v1/principals/{of.id}/{what}/{identifier}/revoke"
        revoked = await shared_edge.post(right, body, Role.OPERATOR)
        assert revoked.json()["revoked_at"], revoked.text


def test_no_route_gives_power_to_act(shared_edge: Edge) -> None:
    """A key, a client, a login, roles and reactivation take another person: nobody is given any at once."""
    written = {
        path: set(methods)
        for path, methods in shared_edge.application.openapi()["paths"].items()
        if path.startswith("/v1/principals") and "post" in methods
    }
    waiting = {
        path
        for path in written
        if "202" in shared_edge.application.openapi()["paths"][path]["post"]["responses"]
    }
    assert waiting == {
        f"/v1/principals/{{principal_id}}/{what}"
        for what in ("api-keys", "api-keys/rotate", "clients", "reactivate", "terms")
    }
    assert set(written) - waiting == {
        "/v1/principals",
        "/v1/principals/{principal_id}/suspend",
        "/v1/principals/{principal_id}/api-keys/{key_id}/revoke",
        "/v1/principals/{principal_id}/clients/{client_id}/revoke",
    }
    fields = shared_edge.application.openapi()["components"]["schemas"]["PrincipalRequest"]["properties"]
    assert "oidc_subject" not in fields
