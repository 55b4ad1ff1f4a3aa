"""One bank under load: its services, its load generator, its engine, and what measuring them gives."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks import resources
from benchmarks.bank import Bank, connect
from benchmarks.requests import Kind
from benchmarks.traffic import Traffic
from benchmarks.workers import Worker, WorkerError

__all__ = ["BASELINE_POOL_SIZE", "Samples", "Subject"]

Samples = dict[str, float]

# Of 1, 2, 4, 8 and 16 threads, measured in turn, 8 make the baseline fastest; one connection is for reading callers.
BASELINE_POOL_SIZE: Final = 9
_START_SECONDS_MAX: Final = 60.0
_ANSWER_SECONDS_MAX: Final = 60.0
_WARM_UP_SECONDS: Final = 0.25
# What the API starts, by what its command line holds; arguments end with a zero there.
_BESIDE_THE_API: Final = {
    "settling": "tallystick.tokens.settling_child",
    "signing": "/signing_child.py",
    "worker": "tallystick\0worker\0",
}
# So many events may be missing in the log's tree when a load begins: the product builds them in a fraction of a second.
_TREE_LAG_MAX: Final = 2_000
_TREE_SECONDS_MAX: Final = 3_600.0
_TREE_LAG: Final = """
SELECT h.next_index - t.size FROM log_head h JOIN log_tree t ON t.issuer_id = h.issuer_id WHERE h.issuer_id = %s
"""


class Subject:
    """Processes that work on one bank. A context manager: they are gone at the end."""

    def __init__(self, bank: Bank, postmaster_id: int, *, services: tuple[str, ...]) -> None:
        self._bank = bank
        self._postmaster_id = postmaster_id
        self._ports: dict[str, int] = {}
        self._services: dict[str, Worker] = {}
        with contextlib.ExitStack() as started:
            path = Path(bank.state_directory) / "bank.json"
            bank.save(path)
            for service in services:
                self._ports[service], worker = _start_service(service, bank)
                self._services[service] = started.enter_context(worker)
            self._generator = started.enter_context(Worker("benchmarks.load", str(path)))
            self._engine = started.enter_context(Worker("benchmarks.engine", str(path)))
            for service, port in self._ports.items():
                _await_port(service, port)
            self._started = started.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in (*self._services.values(), self._generator, self._engine):
            worker.stop()
        self._started.__exit__(kind, error, trace)

    def fill(self, events: int, seconds_max: float) -> Samples:
        """Let the engine settle transfers until the log holds so many events."""
        answer: Samples = self._engine.ask({"traffic": Traffic.UNIFORM_1K, "events": events}, seconds_max)
        return answer

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let the services stand still: what is measured meanwhile has the machine for itself."""
        # Whoever stood still in the middle of a transaction would keep the server from cleaning up behind others.
        self._await_tree()
        still = [one for service in self._services.values() for one in resources.family(service.process_id)]
        for process_id in still:
            os.kill(process_id, signal.SIGSTOP)
        try:
            yield
        finally:
            for process_id in still:
                os.kill(process_id, signal.SIGCONT)

    def engine(self, name: str, traffic: Traffic, seconds: float) -> Samples:
        """Measure the write path alone."""
        with self.alone():
            answer: Samples = self._engine.ask(
                {"traffic": traffic, "seconds": seconds}, seconds + _ANSWER_SECONDS_MAX
            )
        return {f"{name}_{figure}": value for figure, value in answer.items()}

    def load(
        self,
        name: str,
        kind: Kind,
        traffic: Traffic,
        connections: int,
        seconds: float,
        service: str = "product",
    ) -> Samples:
        """Measure one kind of request: rate, latencies, and the processor time of everyone per unit of work."""
        self._await_tree()
        processes = {
            "api": self._services[service].process_id,
            "postgresql": self._postmaster_id,
        }
        before = {who: resources.cpu_seconds(pid) for who, pid in processes.items()}
        [result] = self._streams([(kind, traffic, connections)], seconds, service)
        found = {f"{name}_{figure}": result[figure] for figure in ("per_second", "p50_ms", "p99_ms")}
        for who, pid in processes.items():
            took_seconds = resources.cpu_seconds(pid) - before[who]
            found[f"{name}_cpu_{who}_us"] = took_seconds / result["answered"] * 1e6
        found[f"{name}_cpu_generator_us"] = result["cpu_us"]
        return found

    def reads(self, seconds: float) -> Samples:
        """Measure balances and pages of events while 64 connections write."""
        kinds = {"writes_under_reads": (Kind.TRANSFER, 64), "balances_under_writes": (Kind.BALANCE, 4)}
        kinds["event_pages_under_writes"] = (Kind.EVENTS, 4)
        results = self._streams(
            [(kind, Traffic.UNIFORM_1K, connections) for kind, connections in kinds.values()],
            seconds,
            "product",
        )
        return {
            f"{name}_{figure}": result[figure]
            for name, result in zip(kinds, results, strict=True)
            for figure in ("per_second", "p50_ms", "p99_ms")
        }

    def memory(self, seconds: float) -> Samples:
        """Measure the memory of every process under the load of 64 connections; resident memory is its peak ever."""
        api = self._services["product"].process_id
        self._ask_generator([(Kind.TRANSFER, Traffic.UNIFORM_1K, 64)], seconds, "product")
        time.sleep(_WARM_UP_SECONDS + seconds / 2)
        family = resources.family(api)
        processes = {"api": [api]} | {
            name: [one for one in family if resources.told(one, arguments)]
            for name, arguments in _BESIDE_THE_API.items()
        }
        missing = [name for name, process_ids in processes.items() if not process_ids]
        if missing:
            raise WorkerError(f"not to be found beside the API: {', '.join(missing)}")
        found = {
            "rss_api_now_mb": resources.rss_mb(api),
            "pss_generator_mb": resources.pss_mb([self._generator.process_id]),
            "pss_postgresql_mb": resources.pss_mb(resources.family(self._postmaster_id)),
        }
        for name, process_ids in processes.items():
            found[f"rss_{name}_mb"] = sum(map(resources.peak_rss_mb, process_ids))
            found[f"pss_{name}_mb"] = resources.pss_mb(process_ids)
        self._results(seconds)
        return found

    def _await_tree(self) -> None:
        """Wait until the product has built the tree of what was settled before, which no later load is to pay for."""
        deadline = time.monotonic() + _TREE_SECONDS_MAX
        with connect(self._bank.superuser_url) as connection:
            while True:
                row = connection.execute(_TREE_LAG.encode(), [self._bank.issuer_id]).fetchone()
                if row is not None and int(str(row[0])) <= _TREE_LAG_MAX:
                    return
                if time.monotonic() > deadline:
                    raise WorkerError("the product does not get to build the log's tree")
                time.sleep(0.2)

    def _streams(
        self, streams: list[tuple[Kind, Traffic, int]], seconds: float, service: str
    ) -> list[dict[str, float]]:
        self._ask_generator(streams, seconds, service)
        return self._results(seconds)

    def _ask_generator(self, streams: list[tuple[Kind, Traffic, int]], seconds: float, service: str) -> None:
        self._generator.send(
            {
                "port": self._ports[service],
                "warm_up_seconds": _WARM_UP_SECONDS,
                "seconds": seconds,
                "streams": [
                    {"kind": kind, "traffic": traffic, "connections": connections}
                    for kind, traffic, connections in streams
                ],
            }
        )

    def _results(self, seconds: float) -> list[dict[str, float]]:
        results = self._generator.answer(seconds + _ANSWER_SECONDS_MAX)
        for result in results:
            statuses = result.pop("statuses")
            if not set(statuses) <= {"200", "201"}:
                raise WorkerError(f"the service answered with {statuses}")
        found: list[dict[str, float]] = results
        return found


def _start_service(service: str, bank: Bank) -> tuple[int, Worker]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    environment["TALLYSTICK_DATABASE_URL"] = bank.service_url
    environment["TALLYSTICK_STATE_DIRECTORY"] = bank.state_directory
    environment["TALLYSTICK_PORT"] = str(port)
    if service != "product":
        # The log's tree is built by the product alone, as it is where one process serves.
        environment["TALLYSTICK_LOG_INTERVAL_SECONDS"] = "0"
    if service == "baseline":
        # Its threads are its way to the write path.
        environment["TALLYSTICK_SETTLING_PROCESS"] = "false"
        environment["TALLYSTICK_DATABASE_POOL_SIZE"] = str(BASELINE_POOL_SIZE)
    return port, Worker("benchmarks.server", service, environment=environment)


def _await_port(service: str, port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise WorkerError(f"the {service} service does not listen") from None
            time.sleep(0.05)
        else:
            return
