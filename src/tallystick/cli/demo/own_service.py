"""A service of the demo's own: the real `tallystick serve --sandbox`, on a free port and in a directory that is new."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tallystick.cli.report import CommandRefusedError, ExitCode

__all__ = ["OwnService", "own_service"]

_START_SECONDS_MAX: Final = 120
_STOP_SECONDS_MAX: Final = 60
_PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class OwnService:
    """Where the service runs and where its keys are."""

    url: str
    keys_file: Path


@contextmanager
def own_service() -> Iterator[OwnService]:
    """Yield a service that has just been started; it and all it wrote is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="tallystick-demo-") as directory:
        folder = Path(directory)
        # Whatever the environment says of a bank's own installation must not reach the demo.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")
        }
        environment["TALLYSTICK_STATE_DIRECTORY"] = str(folder / "state")
        with (folder / "output").open("w") as output, (folder / "errors").open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tallystick", "serve", "--sandbox", "--port", "0", "--json"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                # A Ctrl-C in the terminal is the demo's, which then stops its service in order.
                start_new_session=True,
            )
        try:
            announced = _announced(process, folder)
            yield OwnService(announced["url"], Path(announced["keys_file"]))
        finally:
            _stop(process)


def _announced(process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            document: dict[str, Any] = json.loads((folder / "output").read_text(encoding="utf-8"))
        except ValueError:
            document = {}
        if process.poll() is not None:
            break
        if document:
            return document
        time.sleep(_PAUSE_SECONDS)
    said = (folder / "errors").read_text(encoding="utf-8").strip().splitlines()
    raise CommandRefusedError(
        "service_not_started",
        f"The demo's service did not start: {said[-1] if said else 'it said nothing'}",
        ExitCode.UNAVAILABLE,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
