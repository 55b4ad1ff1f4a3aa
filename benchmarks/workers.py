"""Other processes of the benchmark, asked one question at a time: a line of JSON in, a line of JSON out.

A worker ends when its standard input does, so none outlives the process that started it, however that one ends.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

__all__ = ["Worker", "WorkerError", "answer_questions"]

_STOP_SECONDS_MAX = 30.0


class WorkerError(RuntimeError):
    """A worker ended, or did not answer in time."""


class Worker:
    """A running `python -m module`. Use it as a context manager: it is gone at the end."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A terminal's Ctrl-C is for the process that measures, which then ends its workers in order.
            start_new_session=True,
            env=environment,
        )
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process_id(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def ask(self, question: Mapping[str, object], seconds_max: float) -> Any:
        """Return the worker's answer; raise WorkerError if there is none in time."""
        self.send(question)
        return self.answer(seconds_max)

    def send(self, question: Mapping[str, object]) -> None:
        """Ask without waiting; `answer` has to be called next."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, seconds_max: float) -> Any:
        """Wait for the answer to what was sent."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds_max
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise WorkerError(f"{self.module} did not answer within {seconds_max:.0f} seconds")
                received = os.read(self._process.stdout.fileno(), 1 << 16)
                if not received:
                    raise WorkerError(
                        f"{self.module} ended with status {self._process.wait(_STOP_SECONDS_MAX)}"
                    )
                self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    def stop(self) -> None:
        """Let the worker end; `close` waits for it."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def close(self) -> None:
        """End the worker: let it stop, and kill it if it doesn't."""
        assert self._process.stdout is not None
        self.stop()
        try:
            self._process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_SECONDS_MAX)
        self._process.stdout.close()


def answer_questions(answer: Callable[[dict[str, Any]], object]) -> None:
    """Be a worker: answer each question of standard input until it ends."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
