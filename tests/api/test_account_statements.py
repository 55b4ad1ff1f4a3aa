"""A holder fetches its own statement, as a PDF and as camt.053; nobody else's."""

from datetime import timedelta

import pytest
from lxml import etree

from tallystick import exports
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem

_CAMT = "{urn:iso:std:iso:20022:tech:xsd:camt.053.001.08}"


@pytest.fixture
def edge(edge: Edge) -> Edge:
    """Let the service's clock be the bank's, and something have happened."""
    edge.application.state.service.clock = edge.bank.clock
    bank = edge.bank
    bank.mint("NORTHWIND-USD", "10.00")
    bank.transfer("NORTHWIND-USD", "LANTERN-USD", "4.00")
    return edge


def path(edge: Edge, account: str = "NORTHWIND-USD") -> str:
    return f"/v1/accounts/{edge.bank.account_id(account)}/statement"


@pytest.mark.parametrize("role", [Role.HOLDER, Role.OPERATOR, Role.TREASURY_MAKER, Role.AUDITOR])
async def test_it_is_a_file_for_people(role: Role, edge: Edge) -> None:
    answer = await edge.get(path(edge), role)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf"), answer.text
    assert answer.content.startswith(b"%PDF-")
    assert answer.headers["content-disposition"].endswith('.pdf"')


async def test_it_is_a_message_for_systems(edge: Edge) -> None:
    answer = await edge.get(path(edge), Role.HOLDER, params={"format": "camt053"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
    amounts = [one.text for one in etree.fromstring(answer.content).iter(f"{_CAMT}Amt")]
    assert "4.00" in amounts
    assert "6.00" in amounts


async def test_a_period_is_whole_days_that_are_over(edge: Edge) -> None:
    day = edge.bank.clock.at.date()
    asked = {"format": "camt053", "business_date": day.isoformat()}
    assert_problem(await edge.get(path(edge), params=asked), 422, "export_period_invalid")
    edge.bank.clock.at += timedelta(days=2)
    whole = await edge.get(path(edge), params=asked)
    assert b"4.00" in whole.content
    later = asked | {"business_date": (day + timedelta(days=1)).isoformat()}
    empty = etree.fromstring((await edge.get(path(edge), params=later)).content)
    assert list(empty.iter(f"{_CAMT}Ntry")) == []
    backwards = asked | {"business_date_until": (day - timedelta(days=1)).isoformat()}
    assert_problem(await edge.get(path(edge), params=backwards), 422, "export_period_invalid")
    lonely = {"business_date_until": day.isoformat()}
    assert_problem(await edge.get(path(edge), params=lonely), 422, "export_options_invalid")


async def test_it_is_nobody_elses(edge: Edge) -> None:
    foreign = path(edge, "LANTERN-USD")
    assert_problem(await edge.get(foreign, Role.HOLDER), 404, "account_not_found")
    absent = "/v1/accounts/account_absent/statement"
    assert_problem(await edge.get(absent), 404, "account_not_found")
    stranger = f"/v1/accounts/{edge.other.account_id('HARBOUR-USD')}/statement"
    assert_problem(await edge.get(stranger), 404, "account_not_found")


async def test_what_is_long_is_for_an_export(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports.statements_at_once, "MOVEMENTS_MAX", 1)
    assert_problem(await edge.get(path(edge)), 422, "account_statement_too_long")
