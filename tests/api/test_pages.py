"""Lists: page after page, nothing twice, nothing left out, and no totals. Every list is found through its routes."""

from typing import Any, Final

import pytest

from tallystick.participants import Role
from tests.api.edge import OPERATIONS, Edge, Operation, assert_problem
from tests.api.examples import add_strangers, examples, life_of, staff_life_of
from tests.bank import Bank
from tests.payouts.replying import report, take_in, transaction
from tests.tokens.paying import make_file, pay_out

pytestmark = pytest.mark.anyio

# An auditor's reading of the audit trail adds to it; tests/api/test_audit_trail.py walks through that one.
LISTS: Final = [one for one in OPERATIONS if "limit" in one.queries and one.path != "/v1/audit-trail"]
# An object of these can be read by itself; others have no id or no path of their own.
SINGLE: Final = {
    one.path.rpartition("/")[0]: one
    for one in OPERATIONS
    if one.method == "GET" and one.path.endswith("_id}") and one.path.count("/") == 3
}


UNKNOWN = "payout_00000000000000000000000000"


@pytest.fixture(scope="module")
async def ids(anyio_backend: str, shared_edge: Edge) -> dict[str, str]:
    """A bank in which every list has something; the ids that its paths need."""
    bank = shared_edge.bank
    add_strangers(bank)
    for make in examples(bank).values():
        make()
    found = {}
    for payer, payee in (("HARBOUR-USD", "LANTERN-USD"), ("SILKROAD-USD", "NORTHWIND-USD")) * 2:
        found = life_of(bank, bank.accounts[payee].holder_id, payer, payee)
        bank.release_deposit(payee, "0.50")
    bank.mint("NORTHWIND-USD", "1.00")
    for number in range(2):
        _report(bank, f"BANK-{number}")
    found |= await staff_life_of(shared_edge.client, bank)
    for role in (Role.TREASURY_MAKER, Role.AUDITOR):
        body = {"token_class_id": bank.classes["EUR"].id}
        assert (await shared_edge.post("/v1/reconciliations", body, role)).status_code == 201
        assert (await shared_edge.post("/v1/exports", {"format": "jsonl"}, role)).status_code == 202
    return found


def _report(bank: Bank, message_id: str) -> None:
    """Let the bank reject a payout of a file, and one that nobody asked for."""
    bank.mint("HARBOUR-USD", "2.00")
    payout_id = pay_out(bank, "2.00", account="HARBOUR-USD")
    told = [transaction(one, "RJCT", "AC04") for one in (payout_id, UNKNOWN)]
    take_in(bank, report(make_file(bank).message_id, *told, message_id=message_id))


def path_of(operation: Operation, ids: dict[str, str]) -> str:
    path = operation.path
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", ids[name])
    return path


async def page(edge: Edge, path: str, role: str = Role.AUDITOR, **query: object) -> dict[str, Any]:
    response = await edge.get(path, role, params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    assert set(found) == {"object", "data", "has_more", "next_cursor"}, "no totals: they would be out of date"
    assert found["object"] == "list"
    assert found["has_more"] == (found["next_cursor"] is not None)
    return {**found, "data": [still(one) for one in found["data"]]}


def still(shown: dict[str, Any]) -> dict[str, Any]:
    """Return what doesn't change while one looks: an approval also tells how many seconds are left."""
    return {name: value for name, value in shown.items() if name != "expires_in_seconds"}


async def walk(edge: Edge, path: str, limit: int, role: str = Role.AUDITOR) -> list[Any]:
    found: list[Any] = []
    query: dict[str, Any] = {"limit": limit}
    for _ in range(1_000):
        one = await page(edge, path, role, **query)
        assert len(one["data"]) == limit or not one["has_more"]
        found += one["data"]
        if not one["has_more"]:
            return found
        query["cursor"] = one["next_cursor"]
    pytest.fail("the pages do not end")


@pytest.mark.parametrize(
    ("operation", "role"),
    [
        pytest.param(one, role, id=f"{one} by {role}")
        for one in LISTS
        for role in (Role.AUDITOR, Role.PLATFORM, Role.HOLDER)
        if one.is_for(frozenset({role})) and (role == Role.AUDITOR or not one.parameters)
    ],
)
async def test_pages_add_up_to_the_whole(
    shared_edge: Edge, ids: dict[str, str], operation: Operation, role: Role
) -> None:
    path = path_of(operation, ids)
    whole = await page(shared_edge, path, role, limit=1_000)
    assert whole["data"], "an empty list proves nothing"
    assert not whole["has_more"]
    for limit in (1, 2, 7) if len(whole["data"]) < 40 else (7,):
        assert await walk(shared_edge, path, limit, role) == whole["data"]
    exactly = await page(shared_edge, path, role, limit=len(whole["data"]))
    assert (exactly["data"], exactly["has_more"]) == (whole["data"], False)
    if len(whole["data"]) > 1:
        fewer = await page(shared_edge, path, role, limit=len(whole["data"]) - 1)
        assert (fewer["data"], fewer["has_more"]) == (whole["data"][:-1], True)


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_limits_have_bounds(shared_edge: Edge, ids: dict[str, str], operation: Operation) -> None:
    path = path_of(operation, ids)
    for limit in ("0", "-1", "1001", "99999999999999999999", "x", "1.5", "", "1e2", "true"):
        response = await shared_edge.get(f"{path}?limit={limit}")
        problem = assert_problem(response, 422, "request_invalid")
        assert [error["pointer"] for error in problem["errors"]] == ["/query/limit"]
    usual = await page(shared_edge, path)
    assert len(usual["data"]) <= 100
    assert operation.queries["limit"]["schema"]["maximum"] == 1_000


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_cursors_are_checked(shared_edge: Edge, ids: dict[str, str], operation: Operation) -> None:
    path = path_of(operation, ids)
    for cursor in ("%00", "a%20b", "%F0%9F%92%B6", "a'--", "a" * 129, "%d9%a1"):
        response = await shared_edge.get(f"{path}?cursor={cursor}")
        assert_problem(response, 422, "request_invalid")


@pytest.mark.parametrize(
    ("path", "end", "beyond"),
    [
        ("/v1/accounts", "zzzz", "zzzz"),
        ("/v1/mints", "zzzz", "zzzz"),
        ("/v1/events", str(2**63 - 1), str(2**63)),
        ("/v1/transfers", str(2**63 - 1), "-2"),
        ("/v1/ledger/entries", str(2**63 - 1), str(10**30)),
    ],
)
async def test_behind_the_last_there_is_nothing(
    shared_edge: Edge, ids: dict[str, str], path: str, end: str, beyond: str
) -> None:
    assert (await page(shared_edge, path, cursor=end))["data"] == []
    if beyond != end:
        assert_problem(await shared_edge.get(f"{path}?cursor={beyond}"), 422, "request_invalid")


@pytest.mark.parametrize("path", sorted({one.path for one in LISTS} & set(SINGLE)))
async def test_what_a_list_shows_is_what_the_object_shows(
    shared_edge: Edge, ids: dict[str, str], path: str
) -> None:
    for item in (await page(shared_edge, path, limit=1_000))["data"]:
        response = await shared_edge.get(f"{path}/{item['id']}")
        assert response.status_code == 200
        alone = still(response.json())
        assert {name: alone[name] for name in item} == item


async def test_what_is_added_meanwhile_comes_at_the_end(edge: Edge) -> None:
    bank = edge.bank
    bank.mint("HARBOUR-USD", "100.00")
    made = [bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00") for _ in range(4)]
    first = await page(edge, "/v1/transfers", limit=3)
    made.append(bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00"))
    second = await page(edge, "/v1/transfers", limit=3, cursor=first["next_cursor"])

    assert [one["id"] for one in first["data"] + second["data"]] == made
    assert not second["has_more"]
