"""`/v1/limits`: each limit in force with what is used and left, for whom it may be told, and nothing of others."""

from typing import Any, Final

import pytest

from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem
from tests.policies import let_into_force

pytestmark = pytest.mark.anyio

STAFF: Final = (Role.TREASURY_MAKER, Role.TREASURY_CHECKER, Role.OPERATOR, Role.AUDITOR)


@pytest.fixture(scope="module")
async def limited(shared_edge: Edge) -> Edge:
    """A bank in which 50.00 were minted and 12.00 paid by Harbour to Lantern, under every limit there is."""
    bank = shared_edge.bank
    bank.deposit("HARBOUR-USD", "200.00")
    let_into_force(
        bank,
        limits={"transaction": "40.00", "payer_day": "100.00", "pair_day": "90.00", "holder_day": "80.00"},
        issuance={
            "mint": "60.00",
            "day": "70.00",
            "supply": "75.00",
            "minter_allowances": {bank.maker.id: "65.00"},
        },
        corridors={
            "enabled": True,
            "rows": [{"id": "to_cn", "payee_country": "CN", "action": "allow", "quota_day": "30.00"}],
        },
        approvals={"transfer_batch": [{"above": "500.00", "checkers": 1}], "mint": [{"checkers": 1}]},
        breaker={"window_seconds": 3600, "mints": 10},
    )
    bank.mint("HARBOUR-USD", "50.00", deposited=False)
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "12.00")
    return shared_edge


async def read(edge: Edge, role: str, account: str | None = None) -> dict[str, Any]:
    asked = f"/v1/limits?token_class_id={edge.bank.classes['USD'].id}"
    if account is not None:
        asked += f"&account_id={edge.bank.account_id(account)}"
    response = await edge.get(asked, role)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def told(found: dict[str, Any]) -> dict[str, tuple[str, str | None, str | None]]:
    return {one["rule_id"]: (one["limit"], one["used"], one["headroom"]) for one in found["data"]}


async def test_staff_see_every_limit_with_what_is_left_and_it_holds(limited: Edge) -> None:
    answers = [await read(limited, role, "HARBOUR-USD") for role in STAFF]
    for found in answers:
        assert told(found) == {
            "limits/transaction": ("40.00", None, "40.00"),
            "limits/payer_day": ("100.00", "12.00", "88.00"),
            "limits/pair_day": ("90.00", None, None),
            "limits/holder_day": ("80.00", "12.00", "68.00"),
            "issuance/mint": ("60.00", None, "60.00"),
            "issuance/day": ("70.00", "50.00", "20.00"),
            "issuance/supply": ("75.00", "50.00", "25.00"),
            "issuance/minter_allowances": ("65.00", "50.00", "15.00"),
            "corridors/to_cn": ("30.00", "12.00", "18.00"),
            "approvals/mint": ("0.00", None, "0.00"),
            "approvals/transfer_batch": ("500.00", None, "500.00"),
            "breaker/mints": ("10", "1", "9"),
        }
    found = answers[0]
    assert found["policy_version"].endswith("/1")
    assert (found["currency"], found["object"]) == ("USD", "limits")
    units = {one["rule_id"]: one["unit"] for one in found["data"]}
    assert (units["limits/transaction"], units["breaker/mints"]) == ("USD", "mints")
    of_class = told(await read(limited, Role.AUDITOR))
    assert of_class["limits/payer_day"] == ("100.00", None, None)
    assert of_class["issuance/day"] == ("70.00", "50.00", "20.00")

    bank = limited.bank
    for amount, status in (("18.01", 403), ("18.00", 201), ("0.01", 403)):
        body = {
            "payer_account_id": bank.account_id("HARBOUR-USD"),
            "payee_account_id": bank.account_id("LANTERN-USD"),
            "amount": amount,
            "currency": "USD",
        }
        assert (await limited.post("/v1/transfers", body, Role.PLATFORM)).status_code == status, amount


async def test_customers_see_what_limits_their_own_account_and_nothing_else(limited: Edge) -> None:
    found = await read(limited, Role.PLATFORM, "LANTERN-USD")
    assert told(found) == {
        "limits/transaction": ("40.00", None, "40.00"),
        "limits/payer_day": ("100.00", "0.00", "100.00"),
        "limits/pair_day": ("90.00", None, None),
        "limits/holder_day": ("80.00", "0.00", "80.00"),
        "approvals/transfer_batch": ("500.00", None, "500.00"),
    }
    of_class = f"/v1/limits?token_class_id={limited.bank.classes['USD'].id}"
    for role in (Role.PLATFORM, Role.HOLDER):
        problem = assert_problem(await limited.get(of_class, role), 422, "request_invalid")
        assert [one["pointer"] for one in problem["errors"]] == ["/query/account_id"]
    lantern, euros = (limited.bank.account_id(name) for name in ("LANTERN-USD", "NORTHWIND-EUR"))
    assert_problem(
        await limited.get(f"{of_class}&account_id={lantern}", Role.HOLDER), 404, "account_not_found"
    )
    # One's own account, of another class.
    assert_problem(await limited.get(f"{of_class}&account_id={euros}", Role.HOLDER), 404, "account_not_found")


async def test_a_class_without_a_policy_of_its_own_has_no_limits(limited: Edge) -> None:
    found = await limited.get(f"/v1/limits?token_class_id={limited.bank.classes['EUR'].id}")
    assert (found.json()["policy_version"], found.json()["data"]) == ("shipped/1", [])
