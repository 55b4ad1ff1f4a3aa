"""Metrics: numbers of one issuer in Prometheus's text format, for whoever holds a key of its staff."""

import re
from datetime import timedelta

import pytest

from tallystick.api.metrics import Gauge, exposition
from tallystick.participants import Role
from tests.api.edge import Edge

_LINE = re.compile(r"(tallystick_[a-z_]+) (-?[0-9]+)")


@pytest.fixture
def edge(edge: Edge) -> Edge:
    """Let the service's clock be the bank's."""
    edge.application.state.service.clock = edge.bank.clock
    return edge


async def metrics(edge: Edge) -> dict[str, int]:
    answer = await edge.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [one for one in answer.text.splitlines() if not one.startswith("#")]
    found = [_LINE.fullmatch(one) for one in lines]
    assert all(found), "no labels, and nothing but whole numbers"
    return {one[1]: int(one[2]) for one in found if one is not None}


async def test_windows_queues_and_alerts_are_told(edge: Edge) -> None:
    before = await metrics(edge)
    edge.bank.mint("HARBOUR-USD", "10.00")
    after = await metrics(edge)
    grown = after["tallystick_log_events"] - before["tallystick_log_events"]
    assert grown > 1
    for name in ("log_unwitnessed_events", "unsealed_events"):
        assert after[f"tallystick_{name}"] - before[f"tallystick_{name}"] == grown
    assert (after["tallystick_breakers_tripped"], after["tallystick_queued_instructions"]) == (0, 0)
    assert after["tallystick_seal_missed"] == 0
    # Never sealed, and no worker ever looked: an age that nobody knows is left out.
    assert "tallystick_seal_age_seconds" not in after

    edge.bank.change("breaker_trip", edge.bank.classes["USD"].id)
    edge.bank.clock.at += timedelta(days=3)
    late = await metrics(edge)
    assert (late["tallystick_breakers_tripped"], late["tallystick_seal_missed"]) == (1, 1)
    assert late["tallystick_log_unwitnessed_seconds"] >= timedelta(days=3).total_seconds()


async def test_a_missed_seal_is_an_alert_of_the_schedules(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "10.00")
    found = (await edge.get("/v1/schedules")).json()
    assert (found["alerts"], found["seal_missed"], found["sealed_at"]) == (0, False, None)
    edge.bank.clock.at += timedelta(days=1, minutes=15)
    found = (await edge.get("/v1/schedules")).json()
    assert (found["alerts"], found["seal_missed"]) == (1, True)


async def test_nobody_else_is_told(edge: Edge) -> None:
    assert (await edge.client.get("/metrics")).status_code == 401
    assert (await edge.get("/metrics", Role.HOLDER)).status_code == 403


def test_the_text_is_what_scrapers_read() -> None:
    text = exposition([Gauge("one", "A number.", 7), Gauge("other", "Unknown.", None)])
    assert text == "# HELP tallystick_one A number.\n# TYPE tallystick_one gauge\ntallystick_one 7\n"


@pytest.mark.parametrize("name", ["holder_", "account_", "issuer_", "principal_"])
async def test_no_id_stands_in_it(name: str, edge: Edge) -> None:
    assert name not in (await edge.get("/metrics")).text
