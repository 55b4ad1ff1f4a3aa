"""`tallystick serve` as people run it: started, killed, started again, stopped; each on an embedded PostgreSQL."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY, Served, serving
from tests.database import DatabaseUrls

STATEMENT = REPOSITORY / "examples" / "statements" / "2026-11-20-usd.xml"
SECONDS_MAX = 60


def import_statement(served: Served) -> httpx.Response:
    with served.client("maker") as maker:
        return maker.post(
            "/v1/statements", content=STATEMENT.read_bytes(), headers={"Content-Type": "application/xml"}
        )


def deposits_of(served: Served, account: str) -> str:
    with served.client("auditor") as auditor:
        found = auditor.get(f"/v1/accounts/{served.sandbox['accounts'][account]}/balance").json()
    return str(found["deposits_available"])


def postmaster_id(state: Path) -> int:
    recorded = state / "postgres" / "server" / "data" / "postmaster.pid"
    return int(recorded.read_text().splitlines()[0])


def is_running(process_id: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@contextmanager
def following(served: Served) -> Iterator[httpx.Response]:
    """Yield the open stream of a follower of the log."""
    with (
        served.client("auditor") as client,
        client.stream("GET", "/v1/events", params={"follow": "true"}) as stream,
    ):
        yield stream


@pytest.mark.slow
def test_a_killed_service_and_database_come_back_with_everything(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with serving(state, "--sandbox") as served:
        keys = served.sandbox["keys"]
        assert import_statement(served).status_code == 201
        database = postmaster_id(state)

        served.stop(signal.SIGKILL)
        os.kill(database, signal.SIGKILL)

    with serving(state, "--sandbox") as served:
        assert served.sandbox["keys"] == keys, "the sandbox is seeded once"
        assert deposits_of(served, "harbour_usd") == "250000.00"
        assert import_statement(served).status_code == 200

        # Killed alone, it leaves its database running, and the next one joins that.
        served.stop(signal.SIGKILL)
        database = postmaster_id(state)

    with serving(state, "--sandbox") as served:
        assert postmaster_id(state) == database
        assert deposits_of(served, "harbour_usd") == "250000.00"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_stops_in_order_with_its_database_and_its_followers(
    tmp_path: Path, number: signal.Signals
) -> None:
    state = tmp_path / "state"
    with serving(state, "--sandbox") as served:
        database = postmaster_id(state)
        assert is_running(database)
        with following(served) as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": following"

            served.process.send_signal(number)

            # Cut off instead of ended, the stream would raise: the server waits for followers, and they end at once.
            told = [line for line in lines if line]
            ids = [line for line in told if line.startswith("id: ")]
            assert ids == [f"id: {number}" for number in range(len(ids))]
            assert not told or told[-1].startswith("data: "), "an event was cut in two"
        assert served.process.wait(SECONDS_MAX) == 0

    assert not is_running(database)
    assert served.errors.read_text() == ""


@pytest.mark.slow
def test_several_processes_serve_and_stop_together(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    settings = {"database_url": database_urls.service_url, "database_owner_url": database_urls.owner_url}
    with serving(tmp_path / "state", "--sandbox", "--workers", "2", settings=settings) as served:
        assert import_statement(served).status_code == 201
        assert deposits_of(served, "harbour_usd") == "250000.00"
        with following(served) as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": following"
            served.process.send_signal(signal.SIGTERM)
            # Every event of the statement may have been told; what matters is that the stream ends in order.
            assert all(line[:1] in "ied:" for line in lines)
        assert served.process.wait(SECONDS_MAX) == 0
    assert served.errors.read_text() == ""


def settling_beside(served: Served) -> list[int]:
    """Return the processes that settle beside a service."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and is_running(int(process.name)):
            # Others may end while they are looked at.
            with suppress(FileNotFoundError, ProcessLookupError):
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if (
                    parent == str(served.process.pid)
                    and b"settling_child" in (process / "cmdline").read_bytes()
                ):
                    found.append(int(process.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_process_that_settles_ends_with_the_service(
    database_urls: DatabaseUrls, tmp_path: Path, how: signal.Signals
) -> None:
    settings = {"database_url": database_urls.service_url, "database_owner_url": database_urls.owner_url}
    with serving(tmp_path / "state", "--sandbox", settings=settings) as served:
        assert import_statement(served).status_code == 201
        [settling] = settling_beside(served)
        served.stop(how)
        deadline = time.monotonic() + SECONDS_MAX
        while is_running(settling):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.slow
def test_processes_whose_parent_was_killed_give_up_the_port(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    settings = {"database_url": database_urls.service_url, "database_owner_url": database_urls.owner_url}
    with serving(tmp_path / "state", "--sandbox", "--workers", "2", settings=settings) as served:
        port = httpx.URL(served.url).port
        assert port is not None
        served.stop(signal.SIGKILL)

        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                time.sleep(0.1)
                continue
            return
    pytest.fail("the port is still taken")


def test_an_address_that_is_taken(on_sandbox: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = on_sandbox.run("serve", "--port", taken.getsockname()[1])

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (4, "address_unusable")
    assert not ran.output, "it says where it serves only once it does"


def test_others_are_not_served_from_a_log_that_is_called_after_nobody(
    on_sandbox: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is in every checkpoint for ever, and a witness knows the log by it."""
    ran = on_sandbox.run("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104 That is what is refused.

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (3, "log_origin_missing")
    assert "TALLYSTICK_LOG_ORIGIN_PREFIX" in ran.errors


def test_an_address_that_is_none(on_sandbox: CommandLine) -> None:
    ran = on_sandbox.run("serve", "--host", "256.256.256.256")

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (4, "address_unusable")


@pytest.mark.slow
def test_at_rest_it_stays_small(database_urls: DatabaseUrls, tmp_path: Path) -> None:
    settings = {"database_url": database_urls.service_url, "database_owner_url": database_urls.owner_url}
    with serving(tmp_path / "state", "--sandbox", settings=settings) as served:
        with served.client("auditor") as auditor:
            assert auditor.get("/v1/accounts").status_code == 200
        status = Path(f"/proc/{served.process.pid}/status").read_text()
        resident_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    # With what migrates the database, which a sandbox does itself.
    assert resident_kib < 170 * 1024
