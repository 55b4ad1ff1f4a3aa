"""The audit trail over HTTP: what leaves an entry and what doesn't, for every route and every role."""

import pytest

from tallystick.participants import Role
from tests.api.edge import Edge

pytestmark = pytest.mark.anyio


async def test_smoke(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "100.00")
    body = {
        "payer_account_id": edge.bank.account_id("HARBOUR-USD"),
        "payee_account_id": edge.bank.account_id("LANTERN-USD"),
        "amount": "5.00",
        "currency": "USD",
    }
    r = await edge.post("/v1/transfers", body, Role.PLATFORM)
    print(r.status_code)
    r = await edge.post("/v1/transfers", body | {"amount": "500.00"}, Role.PLATFORM)
    print(r.json())
    r = await edge.get("/v1/accounts", Role.AUDITOR)
    r = await edge.client.get(
        "/v1/accounts", headers={"Authorization": f"Bearer {edge.keys[Role.OPERATOR][:-43]}{'A' * 43}"}
    )
    print(r.json())
    r = await edge.get("/v1/audit-trail", Role.OPERATOR)
    import json

    print(json.dumps(r.json(), indent=1))
    r = await edge.get("/v1/audit-trail.ndjson", Role.OPERATOR)
    print(r.text)
    assert 0
