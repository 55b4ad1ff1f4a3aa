"""What callers see when something breaks: a problem that tells what to do, and in the end one stable answer."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import pytest

from tallystick import app
from tallystick.api.patience import Patience
from tallystick.core import migrations
from tallystick.core.database import OutcomeUnknownError
from tallystick.core.embedded_postgres import EmbeddedPostgres, embedded_postgres
from tallystick.core.migrations import SchemaMismatchError
from tallystick.core.settings import Settings
from tallystick.participants import Role
from tests.api.edge import Edge, assert_problem, open_edge, row_counts
from tests.api.examples import examples
from tests.bank import oracle
from tests.database import DatabaseUrls, connect, urls_of

pytestmark = pytest.mark.anyio

RECOVERY_SECONDS_MAX: Final = 30
UNDER_LOAD: Final = 30
SMALL: Final = {"shared_buffers": "16MB"}


def transfer(edge: Edge, amount: str = "1.00") -> dict[str, Any]:
    return {
        "payer_account_id": edge.bank.account_id("HARBOUR-USD"),
        "payee_account_id": edge.bank.account_id("LANTERN-USD"),
        "amount": amount,
        "currency": "USD",
    }


async def until(done: Callable[[], Awaitable[Any]], seconds_max: float = RECOVERY_SECONDS_MAX) -> Any:
    """Ask again and again until there is an answer; fail when there is none in time."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        found = await done()
        if found:
            return found
        await asyncio.sleep(0.05)
    pytest.fail(f"nothing within {seconds_max} seconds")


def retryable(response: httpx.Response) -> dict[str, Any]:
    problem = assert_problem(response, 503)
    assert problem["code"] in {"database_unavailable", "outcome_unknown"}
    assert 1 <= int(response.headers["retry-after"]) <= 60
    return problem


def stop(server: EmbeddedPostgres, how: signal.Signals) -> None:
    """Stop a PostgreSQL server, and return when its last process is gone."""
    process_id = int((server.data_directory / "postmaster.pid").read_text().splitlines()[0])
    os.kill(process_id, how)
    for _ in range(600):
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the server does not stop")


async def test_the_service_outlives_its_database(tmp_path: Path) -> None:
    # As the product starts it: what is acknowledged must be durable.
    with embedded_postgres(tmp_path / "own", settings=SMALL) as server:
        migrations.upgrade(server.owner_url)
        urls = urls_of(server, "tallystick")
        async with open_edge(urls, tmp_path / "state", over_network=True) as edge:
            edge.bank.mint("HARBOUR-USD", "1000.00")
            for how in (signal.SIGQUIT, signal.SIGINT):
                settled = await edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key=f"{how} before")
                assert settled.status_code == 201
                sent = [asyncio.create_task(under_load(edge, f"{how} {n}")) for n in range(UNDER_LOAD)]
                await asyncio.sleep(0)
                await asyncio.get_running_loop().run_in_executor(None, stop, server, how)
                told = dict(await asyncio.gather(*sent))
                await check_outage(edge, how)

                with embedded_postgres(tmp_path / "own", settings=SMALL):
                    await check_recovery(edge, f"{how} before", settled, told)
                    oracle(edge.bank)


async def under_load(edge: Edge, key: str) -> tuple[str, bytes | None]:
    """Send a transfer; return its answer's bytes, or None for one that said: try again."""
    response = await edge.post("/v1/transfers", transfer(edge, "0.01"), Role.PLATFORM, key=key)
    if response.status_code == 201:
        return key, response.content
    retryable(response)
    return key, None


async def check_outage(edge: Edge, how: signal.Signals) -> None:
    for _ in range(3):
        retryable(await edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key=f"{how} during"))
        retryable(await edge.post("/v1/holders", {}, Role.OPERATOR))
        for path in (
            "/v1/accounts",
            "/v1/events",
            "/v1/events?follow=true",
            "/.well-known/jwks.json",
            "/readyz",
        ):
            retryable(await edge.get(path))
        alive = await edge.client.get("/healthz")
        assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
        assert (await edge.client.get("/docs")).status_code == 200
        assert_problem(await edge.client.get("/v1/accounts"), 401)


async def check_recovery(
    edge: Edge, key: str, settled: httpx.Response, told: dict[str, bytes | None]
) -> None:
    async def ready() -> bool:
        response = await edge.client.get("/readyz")
        if response.status_code != 200:
            retryable(response)
        return response.status_code == 200

    await until(ready)

    async def answered(key: str, amount: str) -> httpx.Response | None:
        response = await edge.post("/v1/transfers", transfer(edge, amount), Role.PLATFORM, key=key)
        if response.status_code == 201:
            return response
        retryable(response)
        return None

    again = await until(partial(answered, key, "1.00"))
    assert again.content == settled.content
    for sent, content in told.items():
        one = await until(partial(answered, sent, "0.01"))
        assert content is None or one.content == content


async def test_cut_connections_are_replaced(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "100.00")

    async def cut() -> None:
        with connect(edge.urls.superuser_url) as connection:
            others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(f"SELECT pg_terminate_backend(pid) {others}".encode())

            async def gone() -> bool:
                return connection.execute(f"SELECT 1 {others}".encode()).fetchone() is None

            await until(gone)

    for number in range(3):
        for path in ("/v1/accounts", "/readyz", "/.well-known/jwks.json"):
            await asyncio.gather(*(edge.get(path) for _ in range(5)))
            await cut()
            first, second = await edge.get(path), await edge.get(path)
            assert first.status_code == 200 or retryable(first)
            assert second.status_code == 200
        await cut()

        async def settled(number: int = number) -> bool:
            key = f"cut {number}"
            response = await edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key=key)
            return response.status_code == 201 or not retryable(response)

        await until(settled)
    oracle(edge.bank)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = '9999'",
        "UPDATE alembic_version SET version_num = '0001'",
        "DELETE FROM alembic_version",
        "INSERT INTO alembic_version VALUES ('9999')",
    ],
)
async def test_another_schema_is_not_touched(
    database_urls: DatabaseUrls, tmp_path: Path, change: str
) -> None:
    with connect(database_urls.superuser_url) as connection:
        connection.execute(change.encode())
    application = app.create_with(Settings(state_directory=tmp_path), database_urls.service_url)

    with pytest.raises(SchemaMismatchError):
        async with application.router.lifespan_context(application):
            pass


async def test_a_schema_that_changes_meanwhile_makes_the_service_unready(edge: Edge) -> None:
    assert (await edge.client.get("/readyz")).json() == {"status": "ready"}
    with connect(edge.urls.superuser_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    assert_problem(await edge.client.get("/readyz"), 503, "database_unavailable")
    assert (await edge.client.get("/healthz")).status_code == 200


@contextmanager
def head_locked(edge: Edge) -> Iterator[psycopg.Connection[Any]]:
    """Keep every instruction of the bank from settling until the end of the block."""
    with connect(edge.urls.superuser_url) as connection, connection.transaction():
        connection.execute("SELECT 1 FROM log_head WHERE issuer_id = %s FOR UPDATE", [edge.bank.issuer_id])
        yield connection


async def somebody_waits(connection: psycopg.Connection[Any]) -> bool:
    # A transaction goes on seeing who was there when it first looked.
    connection.execute("SELECT pg_stat_clear_snapshot()")
    found = connection.execute(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return found.fetchone() is not None


def raw_request(edge: Edge, body: bytes, key: str, *, sent_bytes: int | None = None) -> socket.socket:
    """Send a transfer over a connection of its own, whole or cut short, and return that."""
    assert edge.server is not None
    connection = socket.create_connection(("127.0.0.1", edge.server.port), timeout=30)
    head = (
        f"POST /v1/transfers HTTP/1.1\r\nHost: tallystick.test\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {edge.keys[Role.PLATFORM]}\r\nIdempotency-Key: {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body[:sent_bytes])
    return connection


async def test_a_commit_that_does_not_end_in_time_is_unknown_and_resolved_by_its_key(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "100.00")
    service = edge.application.state.service
    service._until_settled = Patience(0.0, OutcomeUnknownError)
    with head_locked(edge):
        told = await edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key="hung")
        assert_problem(told, 503, "outcome_unknown")
    service._until_settled = Patience(60.0, OutcomeUnknownError)

    answered = await edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key="hung")
    assert answered.status_code == 201
    assert len((await edge.get("/v1/transfers")).json()["data"]) == 1
    oracle(edge.bank)


async def test_a_caller_that_leaves_cancels_nothing(served_edge: Edge) -> None:
    edge = served_edge
    edge.bank.mint("HARBOUR-USD", "100.00")
    body = httpx.Request("POST", "/", json=transfer(edge)).content
    with head_locked(edge) as holding:
        leaving = raw_request(edge, body, "left")
        await until(lambda: somebody_waits(holding))
        leaving.close()
        # The server has seen it leave once it has answered somebody who came later.
        assert (await edge.get("/v1/accounts")).status_code == 200

    async def settled() -> list[Any]:
        found: list[Any] = (await edge.get("/v1/transfers")).json()["data"]
        return found

    [made] = await until(settled)
    again = await edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key="left")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.json()["id"] == made["id"]
    oracle(edge.bank)


async def test_a_settling_process_that_is_killed_costs_one_retry(served_edge: Edge) -> None:
    edge = served_edge
    edge.bank.mint("HARBOUR-USD", "100.00")
    settling = edge.application.state.service._settling
    killed = settling.process_id
    with head_locked(edge) as holding:
        sent = [asyncio.create_task(under_load(edge, f"killed {number}")) for number in range(UNDER_LOAD)]
        await until(lambda: somebody_waits(holding))
        os.kill(killed, signal.SIGKILL)
        told = dict(await asyncio.gather(*sent))
    # Whoever arrived behind its death was settled by the next one.
    assert None in told.values()

    for key, before in told.items():
        again = await edge.post("/v1/transfers", transfer(edge, "0.01"), Role.PLATFORM, key=key)
        assert again.status_code == 201
        assert before is None or before == again.content
    assert settling.process_id not in {killed, None}
    assert len((await edge.get("/v1/transfers")).json()["data"]) == UNDER_LOAD
    oracle(edge.bank)


async def test_a_task_that_is_cancelled_cancels_nothing(edge: Edge) -> None:
    edge.bank.mint("HARBOUR-USD", "100.00")
    with head_locked(edge) as holding:
        sent = asyncio.create_task(edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key="left"))
        await until(lambda: somebody_waits(holding))
        sent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent

    again = await edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key="left")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert len((await edge.get("/v1/transfers")).json()["data"]) == 1
    oracle(edge.bank)


async def test_half_a_request_is_nothing_and_no_fault_of_ours(
    served_edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    edge = served_edge
    edge.bank.mint("HARBOUR-USD", "100.00")
    before = row_counts(edge.urls)
    body = httpx.Request("POST", "/", json=transfer(edge)).content
    with caplog.at_level(logging.INFO):
        for sent_bytes in (0, 1, len(body) - 1):
            raw_request(edge, body, "half", sent_bytes=sent_bytes).close()
        for _ in range(3):
            assert (await edge.get("/v1/accounts")).status_code == 200
        assert edge.server is not None
        assert await asyncio.get_running_loop().run_in_executor(None, edge.server.stop)
    assert row_counts(edge.urls) == before
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_ten_megabytes_over_a_real_connection_are_refused(served_edge: Edge) -> None:
    async def parts() -> Any:
        for _ in range(1_000):
            yield b" " * 10_000

    headers = served_edge.writing(Role.PLATFORM) | {"Content-Type": "application/json"}
    for content in (b" " * 10_000_000, parts()):
        response = await served_edge.client.post("/v1/transfers", content=content, headers=headers)
        assert_problem(response, 413, "body_too_large")
    assert (await served_edge.get("/v1/accounts")).status_code == 200


async def test_a_full_queue_says_so_and_takes_more_later(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    async with open_edge(database_urls, tmp_path / "state", queue_length_max=2) as edge:
        edge.bank.mint("HARBOUR-USD", "100.00")

        async def send(number: int) -> httpx.Response:
            return await edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key=f"queued {number}")

        with head_locked(edge) as holding:
            begun = asyncio.create_task(send(0))
            await until(lambda: somebody_waits(holding))
            crowd = [asyncio.create_task(send(number)) for number in range(1, 20)]

            async def refused() -> bool:
                return sum(one.done() for one in crowd) == 17

            await until(refused)
            for one in crowd:
                if one.done():
                    assert_problem(one.result(), 503, "queue_full")
                    assert one.result().headers["retry-after"]
            taken = [one for one in crowd if not one.done()]
        assert {one.status_code for one in await asyncio.gather(begun, *taken)} == {201}
        for number in range(20):
            assert (await send(number)).status_code == 201
        assert len((await edge.get("/v1/transfers")).json()["data"]) == 20
        oracle(edge.bank)


async def test_what_waited_too_long_is_never_begun(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    async with open_edge(database_urls, tmp_path / "state", request_deadline_seconds=1.5) as edge:
        edge.bank.mint("HARBOUR-USD", "100.00")

        def send(key: str) -> "asyncio.Task[httpx.Response]":
            return asyncio.create_task(edge.post("/v1/transfers", transfer(edge), Role.PLATFORM, key=key))

        with head_locked(edge) as holding:
            begun = send("begun")
            await until(lambda: somebody_waits(holding))
            late = send("late")
            await asyncio.sleep(2)
        assert (await begun).status_code == 201
        assert_problem(await late, 503, "deadline_exceeded")
        assert (await send("late")).status_code == 201
        oracle(edge.bank)


async def test_a_fault_of_ours_is_a_problem_and_names_the_request_in_the_log(
    edge: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    example = examples(edge.bank)["/v1/holders"]()
    with connect(edge.urls.superuser_url) as connection:
        connection.execute("REVOKE INSERT ON holder FROM tallystick_service")
    before = row_counts(edge.urls)

    headers = edge.writing(example.role) | {"Request-Id": "trace-500"}
    response = await edge.client.post(example.path, json=example.body, headers=headers)

    problem = assert_problem(response, 500, "internal_error")
    assert set(problem) == {"type", "title", "status", "detail", "code"}
    assert response.headers["request-id"] == "trace-500"
    [told] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert "trace-500" in told.getMessage()
    assert row_counts(edge.urls) == before


async def test_secrets_and_names_stay_out_of_the_log(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    canary = f"canary-{secrets.token_hex(8)}"
    bodies: list[tuple[str, dict[str, Any], Role]] = [
        ("/v1/holders", holder_named(canary), Role.OPERATOR),
        ("/v1/holders", holder_named(canary) | {"country": "XX"}, Role.OPERATOR),
        ("/v1/holders", holder_named(canary) | {"unknown": canary}, Role.OPERATOR),
        ("/v1/transfers", transfer(edge) | {"reference": canary}, Role.PLATFORM),
        ("/v1/transfers", transfer(edge, "90000000.00") | {"reference": canary}, Role.PLATFORM),
        ("/v1/deposits", deposit(edge) | {"reason": canary, "reference": canary}, Role.TREASURY_MAKER),
    ]
    edge.bank.mint("HARBOUR-USD", "100.00")
    with caplog.at_level(logging.DEBUG):
        for path, body, role in bodies:
            await edge.post(path, body, role, key=f"key-{canary}")
            await edge.post(path, body | {"reference": "another"}, role, key=f"key-{canary}")
            for bearer in (f"Bearer tsk_{canary}", canary, f"Basic {canary}"):
                headers = {"Authorization": bearer, "Idempotency-Key": f"key-{canary}"}
                assert_problem(await edge.client.post(path, json=body, headers=headers), 401)
        with connect(edge.urls.superuser_url) as connection:
            connection.execute("REVOKE INSERT ON holder, event, instruction FROM tallystick_service")
        codes = set()
        for path, body, role in bodies:
            response = await edge.post(path, body, role, key=f"later-{canary}")
            codes.add(response.status_code)
            assert canary not in response.text
        assert 500 in codes
    assert "failed" in caplog.text
    for secret in (canary, *edge.keys.values(), *(key[-43:] for key in edge.keys.values())):
        assert secret not in caplog.text


def holder_named(name: str) -> dict[str, Any]:
    return {"kind": "corporate", "legal_name": f"Kestrel {name}", "country": "DK", "residency": "DK"}


def deposit(edge: Edge) -> dict[str, Any]:
    account_id = edge.bank.account_id("HARBOUR-USD")
    return {"account_id": account_id, "amount": "5.00", "currency": "USD"}
