"""The load generator, as a process of its own: keep-alive connections, each asking again once it is answered.

    python -m benchmarks.load BANK_FILE

Question: {"port": …, "warm_up_seconds": …, "seconds": …, "streams": [{"kind": …, "traffic": …, "connections": …}]}.
It shares the machine with what it measures, so requests are rendered beforehand and of an answer only the status,
the length and the identifiers are read. Every acknowledged identifier goes to a file, for the oracle.
"""

import asyncio
import gc
import random
import secrets
import sys
import time
from array import array
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import orjson
import uvloop

from benchmarks.bank import Bank
from benchmarks.requests import Kind, Requests, render
from benchmarks.workers import answer_questions

__all__ = ["Generator", "LoadError"]

_LAST_ANSWERS_SECONDS_MAX: Final = 30.0
_LENGTH: Final = b"\r\ncontent-length: "


class LoadError(RuntimeError):
    """The service broke the protocol, closed a connection, or left requests unanswered."""


class _Result(NamedTuple):
    """What one stream came to; `answered` counts units of work, the warm-up's too."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answered: int
    statuses: dict[str, int]


class _Stream:
    """One kind of request over a number of connections, and what became of it."""

    def __init__(self, kind: Kind, requests: Requests, connections: int) -> None:
        self.kind = kind
        self.connections = connections
        self.statuses: Counter[bytes] = Counter()
        self.answered_at = array("d")
        self.latencies = array("d")
        self.acknowledged: list[bytes] = []
        self.waiting = 0
        self.stopping = False
        self.failure: str | None = None
        self._prefix, self._suffixes, self._size = requests
        self._run = secrets.token_hex(6).encode()
        self._number = 0

    def next_request(self) -> bytes:
        self._number += 1
        suffix = self._suffixes[self._number % len(self._suffixes)]
        return b"%s%s-%d%s" % (self._prefix, self._run, self._number, suffix) if self._prefix else suffix

    def answered(self, asked_at: float, data: bytes, body_start: int) -> None:
        now = time.perf_counter()
        self.answered_at.append(now)
        self.latencies.append(now - asked_at)
        status = data[9:12]
        self.statuses[status] += 1
        if self.kind is Kind.TRANSFER:
            # The identifier is the answer's first member; whatever else begins it shows up as not in the log.
            index_at = data.find(b'"event_index":', body_start) + 14
            index = data[index_at : index_at + 20].partition(b",")[0].rstrip(b"}")
            self.acknowledged.append(
                b"%s\t%s" % (data[body_start + 7 : data.find(b'"', body_start + 7)], index)
            )
        elif self.kind is Kind.BATCH:
            self.acknowledged.append(data[body_start:])

    def acknowledged_lines(self) -> bytes:
        if self.kind is not Kind.BATCH:
            return b"".join([line + b"\n" for line in self.acknowledged])
        items = [item for body in self.acknowledged for item in orjson.loads(body)["items"]]
        return "".join([f"{item['id']}\t{item['event_index']}\n" for item in items]).encode()

    def result(self, begin: float, end: float) -> _Result:
        """Judge what was answered from the last answer before `begin` to the last by `end`."""
        since = max((at for at in self.answered_at if at <= begin), default=begin)
        until = max((at for at in self.answered_at if at <= end), default=end)
        taken = sorted(
            took for at, took in zip(self.answered_at, self.latencies, strict=True) if since < at <= until
        )
        return _Result(
            per_second=len(taken) * self._size / (until - since) if taken else 0.0,
            p50_ms=taken[len(taken) // 2] * 1e3 if taken else 0.0,
            p99_ms=taken[len(taken) * 99 // 100] * 1e3 if taken else 0.0,
            answered=len(self.answered_at) * self._size,
            statuses={status.decode(): count for status, count in self.statuses.items()},
        )


class _Connection(asyncio.Protocol):
    """One keep-alive connection of HTTP/1.1 that reads nothing it does not need."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not registered as asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def ask(self) -> None:
        assert self._transport is not None
        self._stream.waiting += 1
        self._asked_at = time.perf_counter()
        self._transport.write(self._stream.next_request())

    def data_received(self, data: bytes) -> None:
        if self._unread:
            data = self._unread + data
        head_end = data.find(b"\r\n\r\n")
        length_at = data.find(_LENGTH, 0, head_end)
        if head_end < 0:
            self._unread = data
            return
        if length_at < 0:
            self._stream.failure = "an answer has no length"
            return
        length_at += len(_LENGTH)
        body_start = head_end + 4
        if len(data) < body_start + int(data[length_at : data.index(b"\r", length_at)]):
            self._unread = data
            return
        self._unread = b""
        self._stream.waiting -= 1
        self._stream.answered(self._asked_at, data, body_start)
        if not self._stream.stopping:
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._stream.stopping or self._stream.waiting:
            self._stream.failure = f"a connection was lost: {exc}"

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Generator:
    """The load on one bank; what it asks is rendered once for each kind and traffic."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._rendered: dict[tuple[str, str], Requests] = {}
        self._random = random.Random(2)
        self._acknowledged_path = Path(f"{bank.acknowledged_path}.load")

    def answer(self, question: dict[str, Any]) -> list[dict[str, object]]:
        """Run the streams of a question and return a result for each."""
        streams = [
            _Stream(Kind(one["kind"]), self._requests(one["kind"], one["traffic"]), one["connections"])
            for one in question["streams"]
        ]
        gc.collect()
        gc.disable()
        processor_began = time.process_time()
        try:
            begin, end = uvloop.run(
                _run(streams, question["port"], question["warm_up_seconds"], question["seconds"])
            )
        finally:
            gc.enable()
        processor_seconds = time.process_time() - processor_began
        with self._acknowledged_path.open("ab") as file:
            for stream in streams:
                file.write(stream.acknowledged_lines())
        results = [stream.result(begin, end) for stream in streams]
        answered = sum(result.answered for result in results)
        return [{**result._asdict(), "cpu_us": processor_seconds / answered * 1e6} for result in results]

    def _requests(self, kind: str, traffic: str) -> Requests:
        known = self._rendered.get((kind, traffic))
        if known is None:
            known = self._rendered[kind, traffic] = render(self._bank, Kind(kind), traffic, self._random)
        return known


def _as_it_is(connection: _Connection) -> _Connection:
    return connection


async def _run(
    streams: list[_Stream], port: int, warm_up_seconds: float, seconds: float
) -> tuple[float, float]:
    """Load for the warm-up and the measured time, wait for the last answers, and return the measured interval."""
    loop = asyncio.get_running_loop()
    connections = [_Connection(stream) for stream in streams for _ in range(stream.connections)]
    for connection in connections:
        await loop.create_connection(partial(_as_it_is, connection), "127.0.0.1", port)
    for connection in connections:
        connection.ask()
    await asyncio.sleep(warm_up_seconds)
    begin = time.perf_counter()
    await asyncio.sleep(seconds)
    end = time.perf_counter()
    for stream in streams:
        stream.stopping = True
    deadline = time.perf_counter() + _LAST_ANSWERS_SECONDS_MAX
    while any(stream.waiting and stream.failure is None for stream in streams):
        if time.perf_counter() > deadline:
            raise LoadError(f"{sum(stream.waiting for stream in streams)} requests are unanswered")
        await asyncio.sleep(0.005)
    for stream in streams:
        if stream.failure is not None:
            raise LoadError(stream.failure)
    for connection in connections:
        connection.close()
    return begin, end


if __name__ == "__main__":
    answer_questions(Generator(Bank.load(Path(sys.argv[1]))).answer)
