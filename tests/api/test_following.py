"""`GET /v1/events?follow=true`: the log as server-sent events, over a real connection, until somebody ends it."""

import asyncio
import json
from typing import Any, Final

import httpx
import pytest

from tallystick import participants, tokens
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem

pytestmark = pytest.mark.anyio

SECONDS_MAX: Final = 20


class Stream:
    """A followed log, read event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[int, dict[str, Any]]:
        """Return the next event's id and data; StopAsyncIteration at the end of the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(SECONDS_MAX):
            async for line in self._lines:
                if not line and fields:
                    data = json.loads(fields["data"])
                    assert fields["event"] == data["type"]
                    return int(fields["id"]), data
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
        raise StopAsyncIteration

    async def take(self, count: int) -> list[int]:
        return [(await self.next())[0] for _ in range(count)]

    async def ends(self) -> bool:
        """Whether nothing more comes and the server ends the response as it should."""
        try:
            await self.next()
        except StopAsyncIteration:
            return True
        return False


class Following:
    """Opens a stream; use it with `async with`."""

    def __init__(
        self, edge: Edge, role: str = Role.AUDITOR, last: str | None = None, **query: str | int
    ) -> None:
        headers = edge.bearer(role) | ({} if last is None else {"Last-Event-ID": last})
        self._opening = edge.client.stream(
            "GET", "/v1/events", headers=headers, params={"follow": "true", **query}
        )

    async def __aenter__(self) -> Stream:
        response = await self._opening.__aenter__()
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["request-id"]
        return Stream(response)

    async def __aexit__(self, *raised: Any) -> None:
        await self._opening.__aexit__(*raised)


async def listed(edge: Edge, role: str = Role.AUDITOR) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await edge.get("/v1/events", role)).json()["data"]
    return found


async def test_what_was_and_what_comes_is_told_once_and_in_order(served_edge: Edge) -> None:
    bank = served_edge.bank
    bank.mint("HARBOUR-USD", "100.00")
    async with Following(served_edge) as stream:
        assert await stream.take(3) == [0, 1, 2]
        for number in range(3, 6):
            bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
            index, event = await stream.next()
            assert (index, event) == (number, (await listed(served_edge))[number])
    # Where the caller stopped, the next stream goes on.
    async with Following(served_edge, last="2") as stream:
        assert await stream.take(3) == [3, 4, 5]
    async with Following(served_edge, last="3", cursor=0) as stream:
        assert await stream.take(1) == [4]
    async with Following(served_edge, cursor=3) as stream:
        assert await stream.take(2) == [4, 5]
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        assert await stream.take(1) == [6]


async def test_more_than_a_page_is_told(served_edge: Edge) -> None:
    bank = served_edge.bank
    bank.mint("HARBOUR-USD", "100.00")
    items = [
        {
            "payer_account_id": bank.account_id("HARBOUR-USD"),
            "payee_account_id": bank.account_id("LANTERN-USD"),
            "amount": "0.01",
            "currency": "USD",
        }
    ] * 600
    batch = await served_edge.post("/v1/transfer-batches", {"items": items}, Role.PLATFORM)
    assert batch.json()["settled_count"] == 600

    async with Following(served_edge) as stream:
        assert await stream.take(603) == list(range(603))


async def test_customers_follow_what_is_theirs(served_edge: Edge) -> None:
    bank = served_edge.bank
    bank.mint("NORTHWIND-USD", "100.00")
    bank.mint("HARBOUR-USD", "100.00")
    async with (
        Following(served_edge, Role.HOLDER) as holder,
        Following(served_edge, Role.PLATFORM) as platform,
    ):
        assert (await holder.take(2), await platform.take(2)) == ([0, 2], [3, 5])
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        bank.transfer("NORTHWIND-USD", "LANTERN-USD", "1.00")
        assert await platform.take(2) == [6, 7]
        assert await holder.take(1) == [7]


async def test_an_account_that_is_opened_meanwhile_is_followed_too(served_edge: Edge) -> None:
    bank = served_edge.bank
    bank.mint("HARBOUR-USD", "100.00")
    async with Following(served_edge, Role.HOLDER) as stream:
        with bank.database.engine.begin() as connection:
            bank.accounts["NEW"] = tokens.open_account(
                connection,
                bank.clock,
                bank.issuer_id,
                holder_id=bank.holders["NORTHWIND"].id,
                token_class_id=bank.classes["USD"].id,
                deposit_account_number="4000000001",
            )
        bank.transfer("HARBOUR-USD", "NEW", "1.00")
        assert await stream.take(1) == [3]


async def test_one_account_or_liability_may_be_followed(served_edge: Edge) -> None:
    bank = served_edge.bank
    bank.mint("HARBOUR-USD", "100.00")
    account_id = bank.account_id("LANTERN-USD")
    query = {"holder_id": bank.holders["LANTERN"].id, "token_class_id": bank.classes["USD"].id}
    [liability] = (await served_edge.get("/v1/liabilities", Role.PLATFORM, params=query)).json()["data"]
    async with (
        Following(served_edge, Role.PLATFORM, account_id=account_id) as of_account,
        Following(served_edge, Role.PLATFORM, liability_id=liability["id"]) as of_liability,
    ):
        bank.deposit("LANTERN-USD", "1.00")
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        assert await of_account.take(2) == [3, 4]
        # A deposit is no token yet, and no claim under the liability.
        assert await of_liability.take(1) == [4]


@pytest.mark.parametrize("query", ["account_id", "liability_id"])
async def test_somebody_elses_can_not_be_followed(served_edge: Edge, query: str) -> None:
    path = f"/v1/events?follow=true&{query}={served_edge.bank.account_id('NORTHWIND-USD')}"
    assert_problem(await served_edge.get(path, Role.PLATFORM), 404)
    response = await served_edge.client.get("/v1/events?follow=true")
    assert_problem(response, 401, "api_key_invalid")


async def test_a_revoked_key_ends_its_streams(served_edge: Edge) -> None:
    bank = served_edge.bank
    bank.mint("HARBOUR-USD", "100.00")
    async with Following(served_edge) as stream:
        assert await stream.take(3) == [0, 1, 2]
        with bank.database.engine.begin() as connection:
            for key in participants.api_keys(connection, bank.issuer_id):
                participants.revoke_api_key(connection, bank.clock, bank.issuer_id, key.id)
        assert await stream.ends()


async def test_a_server_that_stops_ends_its_streams_in_order(served_edge: Edge) -> None:
    served_edge.bank.mint("HARBOUR-USD", "100.00")
    server = served_edge.server
    assert server is not None
    async with Following(served_edge) as first, Following(served_edge, Role.PLATFORM) as second:
        assert (await first.take(3), await second.take(2)) == ([0, 1, 2], [0, 2])
        stopped = asyncio.get_running_loop().run_in_executor(None, server.stop)
        assert await first.ends()
        assert await second.ends()
        assert await stopped


async def test_a_follower_that_left_holds_up_nobody(served_edge: Edge) -> None:
    served_edge.bank.mint("HARBOUR-USD", "100.00")
    server = served_edge.server
    assert server is not None
    async with Following(served_edge) as stream:
        assert await stream.take(1) == [0]

    # It isn't told that the server stops: its stream must be gone already.
    assert await asyncio.get_running_loop().run_in_executor(None, lambda: server.stop(closing=False))


async def test_many_followers_see_the_same(served_edge: Edge) -> None:
    bank = served_edge.bank
    bank.mint("HARBOUR-USD", "100.00")

    async def follow() -> list[int]:
        async with Following(served_edge) as stream:
            return await stream.take(12)

    followers = [asyncio.create_task(follow()) for _ in range(20)]
    for _ in range(10):
        bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
        await asyncio.sleep(0)

    assert await asyncio.gather(*followers) == [list(range(12))] * 20
