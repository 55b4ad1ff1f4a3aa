"""`/v1/deposit-balances`: kept as they were told, under one name one figure, and nothing is confirmed by them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tallystick import statements
from tallystick.participants import Role
from tallystick.statements import DepositBalanceKind
from tests.api.edge import Edge, assert_problem, row_counts

pytestmark = pytest.mark.anyio

PATH = "/v1/deposit-balances"


def figure(edge: Edge, **changed: Any) -> dict[str, Any]:
    return {
        "token_class_id": edge.bank.classes["USD"].id,
        "kind": "balance",
        "figure": "1263278.27",
        "currency": "USD",
        "as_of": "2026-11-20T07:30:00Z",
        "source": "core",
        "source_reference": "B-1",
    } | changed


async def test_a_figure_is_kept_and_shown(edge: Edge) -> None:
    before = row_counts(edge.urls)
    first = await edge.post(PATH, figure(edge), Role.TREASURY_MAKER)
    hold = figure(
        edge,
        kind="hold",
        figure="7.00",
        account_id=edge.bank.account_id("HARBOUR-USD"),
        source_reference="H-1",
    )
    second = await edge.post(PATH, hold, Role.TREASURY_MAKER)

    assert (first.status_code, second.status_code) == (201, 201), first.text
    shown = first.json()
    assert (shown["object"], shown["figure"], shown["account_id"]) == ("deposit_balance", "1263278.27", None)
    assert not shown["overdrawn"]
    assert (shown["as_of"], shown["currency"]) == ("2026-11-20T07:30:00.000000Z", "USD")
    assert shown["recorded_by"] == edge.bank.maker.id
    assert (await edge.get(f"{PATH}/{shown['id']}")).json() == shown
    assert (await edge.get(PATH)).json()["data"] == [shown, second.json()]
    account_id = edge.bank.account_id("HARBOUR-USD")
    assert (await edge.get(f"{PATH}?account_id={account_id}")).json()["data"] == [second.json()]
    other = edge.bank.classes["EUR"].id
    assert (await edge.get(f"{PATH}?token_class_id={other}")).json()["data"] == []
    after = row_counts(edge.urls)
    changed = {name for name in after if after[name] != before[name]}
    # When the bank was last heard of is what its breaker goes by.
    assert changed == {"deposit_balance", "answer", "bank_evidence"}, "something was confirmed or posted"


async def test_told_again_it_is_the_same_and_another_is_refused(edge: Edge) -> None:
    first = await edge.post(PATH, figure(edge), Role.TREASURY_MAKER)

    again = await edge.post(PATH, figure(edge), Role.TREASURY_MAKER)
    other = await edge.post(PATH, figure(edge, figure="1.00"), Role.TREASURY_MAKER)
    elsewhere = await edge.post(PATH, figure(edge, source="other core"), Role.TREASURY_MAKER)

    assert again.json() == first.json()
    problem = assert_problem(other, 409, "deposit_balance_conflict")
    assert problem["existing_id"] == first.json()["id"]
    assert elsewhere.status_code == 201
    assert len((await edge.get(PATH)).json()["data"]) == 2


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"figure": "1.0"}, 422, "amount_malformed"),
        ({"figure": "--1.00"}, 422, "amount_malformed"),
        ({"figure": "-1.00"}, 422, "amount_malformed"),
        ({"figure": "0.00", "overdrawn": True}, 422, "amount_malformed"),
        ({"kind": "hold", "figure": "1.00", "overdrawn": True}, 422, "amount_malformed"),
        ({"currency": "EUR"}, 422, "statement_currency_mismatch"),
        ({"as_of": "2126-11-20T08:00:00Z"}, 422, "deposit_balance_in_future"),
        ({"as_of": "2026-11-20"}, 422, "request_invalid"),
        ({"kind": "other"}, 422, "request_invalid"),
        ({"source": ""}, 422, "request_invalid"),
        ({"token_class_id": "token_class_x"}, 404, "token_class_not_found"),
        ({"account_id": "account_x"}, 404, "account_not_found"),
    ],
)
async def test_what_is_refused(edge: Edge, changed: dict[str, Any], status: int, code: str) -> None:
    before = row_counts(edge.urls)

    assert_problem(await edge.post(PATH, figure(edge, **changed), Role.TREASURY_MAKER), status, code)

    assert row_counts(edge.urls) == before


async def test_an_account_of_another_class_is_as_absent(edge: Edge) -> None:
    asked = figure(edge, account_id=edge.bank.account_id("HARBOUR-EUR"))

    assert_problem(await edge.post(PATH, asked, Role.TREASURY_MAKER), 404, "account_not_found")


async def test_the_latest_figure_up_to_a_moment(edge: Edge) -> None:
    for number, minute in enumerate((10, 30, 20)):
        asked = figure(
            edge,
            figure=f"{number + 1}.00",
            overdrawn=True,
            as_of=f"2026-11-20T07:{minute}:00Z",
            source_reference=f"B-{minute}",
        )
        assert (await edge.post(PATH, asked, Role.TREASURY_MAKER)).status_code == 201
    with edge.bank.database.read() as connection:
        found = [
            statements.latest_deposit_balance(
                connection,
                edge.bank.issuer_id,
                edge.bank.classes["USD"].id,
                DepositBalanceKind.BALANCE,
                until=datetime(2026, 11, 20, 7, minute, tzinfo=UTC),
                recorded_until=edge.bank.clock.at + timedelta(days=1),
            )
            for minute in (9, 25, 59)
        ]
        holds = statements.latest_deposit_balance(
            connection,
            edge.bank.issuer_id,
            edge.bank.classes["USD"].id,
            DepositBalanceKind.HOLD,
            until=edge.bank.clock.at,
            recorded_until=edge.bank.clock.at,
        )
    assert [None if one is None else one.amount_minor for one in found] == [None, -300, -200]
    assert holds is None
