"""Payments that must be signed: from the principal's own threshold on, alone and in batches."""

import json
import time
from typing import Any

import httpx
import pytest

from tallystick import participants
from tallystick.api.signed_requests import minor_units
from tallystick.identity import ClientUse
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.bank import oracle
from tests.identity.outsiders import Outsider, outsider
from tests.identity.signer import signed_headers

pytestmark = pytest.mark.anyio

PUBLIC_URL = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def signer(shared_edge: Edge) -> Outsider:
    """The platform's key for signatures, which it needs from 100.00 on."""
    bank = shared_edge.bank
    bank.mint("HARBOUR-USD", "5000.00")
    bank.database.run(
        lambda on: participants.set_signature_threshold(on, bank.issuer_id, bank.platform.id, 100_00)
    )
    return outsider(bank, bank.platform.id, use=ClientUse.SIGNATURE)


def transfer(edge: Edge, amount: str) -> dict[str, Any]:
    return {
        "payer_account_id": edge.bank.account_id("HARBOUR-USD"),
        "payee_account_id": edge.bank.account_id("LANTERN-USD"),
        "amount": amount,
        "currency": "USD",
    }


async def send(
    edge: Edge, path: str, body: object, signer: Outsider | None = None, key: str | None = None, **other: Any
) -> httpx.Response:
    content = json.dumps(body).encode()
    headers = edge.writing(Role.PLATFORM, key) | {"Content-Type": "application/json"}
    if signer is not None:
        sent: dict[str, Any] = {
            "url": PUBLIC_URL + path,
            "headers": headers,
            "body": content,
            "now": time.time(),
        }
        headers = signed_headers(signer, **(sent | other))
    return await edge.client.post(path, content=content, headers=headers)


async def test_small_payments_need_no_signature(shared_edge: Edge, signer: Outsider) -> None:
    assert (await send(shared_edge, "/v1/transfers", transfer(shared_edge, "99.99"))).status_code == 201


async def test_large_ones_do(shared_edge: Edge, signer: Outsider) -> None:
    body = transfer(shared_edge, "100.00")
    assert_problem(await send(shared_edge, "/v1/transfers", body), 403, "signature_required")
    first = await send(shared_edge, "/v1/transfers", body, signer, "signed")
    assert first.status_code == 201, first.text
    # Sent again it is signed anew, and answered as before.
    again = await send(shared_edge, "/v1/transfers", body, signer, "signed")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_batch_counts_as_a_whole(shared_edge: Edge, signer: Outsider) -> None:
    body = {"items": [transfer(shared_edge, "60.00"), transfer(shared_edge, "40.00")]}
    assert_problem(await send(shared_edge, "/v1/transfer-batches", body), 403, "signature_required")
    assert (await send(shared_edge, "/v1/transfer-batches", body, signer)).status_code == 200
    small = {"items": [transfer(shared_edge, "60.00"), transfer(shared_edge, "39.99")]}
    assert (await send(shared_edge, "/v1/transfer-batches", small)).status_code == 200


async def test_other_payments_count_too(shared_edge: Edge, signer: Outsider) -> None:
    body = {"account_id": shared_edge.bank.account_id("HARBOUR-USD"), "amount": "100.00", "currency": "USD"}
    assert_problem(await send(shared_edge, "/v1/redemptions", body), 403, "signature_required")
    assert (await send(shared_edge, "/v1/redemptions", body, signer)).status_code == 201
    hold = await send(shared_edge, "/v1/holds", transfer(shared_edge, "150.00"), signer)
    assert hold.status_code == 201
    path = f"/v1/holds/{hold.json()['id']}/execute"
    part = {"amount": "120.00", "currency": "USD"}
    assert_problem(await send(shared_edge, path, part), 403, "signature_required")
    assert (await send(shared_edge, path, part, signer)).status_code == 201
    void = await send(shared_edge, f"/v1/holds/{hold.json()['id']}/void", {"reason": "Returned."})
    assert void.status_code == 201, "what has no amount needs none"


async def test_a_wrong_signature_is_refused_even_where_none_was_needed(
    shared_edge: Edge, signer: Outsider
) -> None:
    body = transfer(shared_edge, "1.00")
    response = await send(shared_edge, "/v1/transfers", body, signer, url=f"{PUBLIC_URL}/v1/holds")
    assert_problem(response, 403, "signature_invalid")
    old = await send(shared_edge, "/v1/transfers", body, signer, now=time.time() - 400)
    assert_problem(old, 403, "signature_invalid")


async def test_nothing_moved_that_was_refused(shared_edge: Edge, signer: Outsider) -> None:
    before = shared_edge.bank.balance_minor("2110", "HARBOUR-USD")
    assert_problem(
        await send(shared_edge, "/v1/transfers", transfer(shared_edge, "300.00")), 403, "signature_required"
    )
    assert shared_edge.bank.balance_minor("2110", "HARBOUR-USD") == before
    oracle(shared_edge.bank)


async def test_a_threshold_of_zero_asks_for_every_signature(edge: Edge) -> None:
    bank = edge.bank
    bank.mint("NORTHWIND-USD", "5.00")
    bank.database.run(lambda on: participants.set_signature_threshold(on, bank.issuer_id, bank.holder.id, 0))
    hold = {
        "payer_account_id": bank.account_id("NORTHWIND-USD"),
        "payee_account_id": bank.account_id("LANTERN-USD"),
        "amount": "0.01",
        "currency": "USD",
    }
    response = await edge.post("/v1/holds", hold, Role.HOLDER)
    assert_problem(response, 403, "signature_required")
    response = await edge.post("/v1/holds/hold_absent/void", {"reason": "x"}, Role.HOLDER)
    assert_problem(response, 403, "signature_required")


@pytest.mark.parametrize(
    ("amount", "minor"),
    [("12.30", 1230), ("0.01", 1), ("100", 100), (None, 0), ("", 0), ("1e9", 0), ("-5.00", 0), ("١٢", 0)],
)
def test_an_amounts_digits_are_its_minor_units(amount: str | None, minor: int) -> None:
    assert minor_units(amount) == minor
