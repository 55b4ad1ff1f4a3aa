"""`tallystick serve` as a process of its own, as a bank runs it: started, awaited, asked, stopped or killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

__all__ = ["REPOSITORY", "Served", "environment", "serving", "start"]

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_SECONDS_MAX: Final = 120


@dataclass(slots=True)
class Served:
    """A service that answers. `keys`, `accounts`, `token_classes` are the sandbox's, by name."""

    process: "subprocess.Popen[bytes]"
    url: str
    state: Path
    errors: Path

    @property
    def sandbox(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.state / "sandbox.json").read_text())
        return found

    def client(self, who: str | None = None) -> httpx.Client:
        """Return a client in the name of one of the sandbox's people."""
        headers = {"Authorization": f"Bearer {self.sandbox['keys'][who]}"} if who else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code; what was written to standard error must be nothing."""
        self.process.send_signal(number)
        return self.process.wait(_SECONDS_MAX)


def environment(state: Path, **settings: str) -> dict[str, str]:
    """Return an environment with these settings and no others of ours."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    ours = {f"TALLYSTICK_{name.upper()}": value for name, value in settings.items()}
    return {**inherited, "TALLYSTICK_STATE_DIRECTORY": str(state), **ours}


def start(state: Path, *options: str, settings: Mapping[str, str] | None = None) -> Served:
    """Start `tallystick serve` on a free port and return it once it serves."""
    state.mkdir(parents=True, exist_ok=True)
    output, errors = state.parent / f"{state.name}.output", state.parent / f"{state.name}.errors"
    with output.open("wb") as to_output, errors.open("wb") as to_errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tallystick", "serve", "--port", "0", "--json", *options],
            env=environment(state, **(settings or {})),
            stdin=subprocess.DEVNULL,
            stdout=to_output,
            stderr=to_errors,
        )
    deadline = time.monotonic() + _SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            url = json.loads(output.read_text())["url"]
        except ValueError:
            time.sleep(0.05)
            continue
        return Served(process, url, state, errors)
    process.kill()
    process.wait()
    pytest.fail(f"the service did not start: {errors.read_text()}")


@contextmanager
def serving(state: Path, *options: str, settings: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Yield a service, and stop it at the end in whatever state it is."""
    served = start(state, *options, settings=settings)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.stop(signal.SIGTERM)
