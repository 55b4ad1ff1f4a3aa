"""The worker beside the service: it builds the log's tree, comes back when it dies, and never outlives its service."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.processes import Served, serving
from tests.cli.test_serve import import_statement, is_running

SECONDS_MAX = 60


def workers_of(parent_id: int) -> list[int]:
    """Return the running workers that a service has started."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                arguments = (process / "cmdline").read_bytes().split(b"\0")
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"worker" in arguments and parent == parent_id and is_running(int(process.name)):
                found.append(int(process.name))
    return found


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def tree_size(served: Served) -> int:
    with served.client("auditor") as client:
        issuer_id = client.get("/v1/issuers").json()["data"][0]["id"]
        checkpoint = client.get(f"/log/{issuer_id}/checkpoint")
    return int(checkpoint.text.splitlines()[1]) if checkpoint.status_code == 200 else 0


def autogroup_of(process_id: int) -> str:
    """Return the niceness of a process's session among sessions, as Linux tells it."""
    return Path(f"/proc/{process_id}/autogroup").read_text().rpartition("nice ")[2].strip()


@pytest.mark.slow
def test_events_are_in_the_tree_soon_and_a_dead_worker_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "state", "--sandbox") as served:
        service_id = served.process.pid
        until(lambda: len(workers_of(service_id)) == 1, "no worker was started")
        [first] = workers_of(service_id)
        assert import_statement(served).status_code == 201
        until(lambda: tree_size(served) > 0, "the events are not in the log's tree")
        assert served.errors.read_text() == "", (
            "that it works is no news to whoever reads the service's errors"
        )

        niceness = os.getpriority(os.PRIO_PROCESS, service_id)
        assert os.getpriority(os.PRIO_PROCESS, first) == min(niceness + 10, 19)
        if os.access(f"/proc/{first}/autogroup", os.W_OK):
            assert autogroup_of(first) == "10", "a session of its own counts as much as the one that serves"
            assert autogroup_of(service_id) != "10"

        os.kill(first, signal.SIGKILL)
        until(lambda: workers_of(service_id) not in ([], [first]), "the dead worker was not replaced")

        [second] = workers_of(service_id)
        served.stop(signal.SIGKILL)
        until(lambda: not is_running(second), "the worker outlived its service")
