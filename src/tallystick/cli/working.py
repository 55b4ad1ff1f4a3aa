"""`tallystick worker`: what the service does by itself, in a process of its own beside those that answer.

It builds the log's tree, gathers cosignatures, reconciles on schedule and closes what time has ended. None of it may
take turns of an interpreter away from callers. `serve` starts one and starts another if it dies; several are no harm,
since each step is taken by one of them only.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from tallystick.cli.acting import opened_service
from tallystick.cli.parents import PARENT, stop_with_parent
from tallystick.cli.report import Report
from tallystick.core import migrations
from tallystick.core.interpreter import tune_interpreter
from tallystick.core.settings import Settings

__all__ = ["work", "worker_beside"]

_END_SECONDS_MAX: Final = 20.0
_RESTART_PAUSE_SECONDS: Final = 1.0
_NICENESS: Final = 10
_AUTOGROUP: Final = Path("/proc/self/autogroup")
_AUTOGROUP_ATTEMPTS_MAX: Final = 10
_AUTOGROUP_PAUSE_SECONDS: Final = 0.15


def work(report: Report, settings: Settings) -> None:
    """Work until SIGINT or SIGTERM, or until the process that started this one is gone."""
    asked_to_stop = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked_to_stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    stop_with_parent()
    _step_aside()
    with opened_service(settings) as service:
        with service.database.read() as connection:
            migrations.require_head(connection)
        tune_interpreter()
        service.start()
        report.say("The worker is at work.")
        asked_to_stop.wait()
    report.document({"object": "worker", "state": "stopped"})


def _step_aside() -> None:
    """Let callers come first, whatever there is to do here."""
    os.nice(_NICENESS)
    # Where Linux groups what it schedules by session (`man 7 sched`, "The autogroup feature"), niceness counts within
    # a session only, and each session as much as any other. What else runs in this one is not ours to slow down.
    if os.getsid(0) != os.getpid():
        return
    for _ in range(_AUTOGROUP_ATTEMPTS_MAX):
        try:
            _AUTOGROUP.write_text(str(_NICENESS))
        except BlockingIOError:
            # Without privileges, one of the whole machine's processes may do so every tenth of a second.
            time.sleep(_AUTOGROUP_PAUSE_SECONDS)
        except OSError:
            # No Linux, or no such groups: niceness alone counts.
            return
        else:
            return


@contextmanager
def worker_beside(database_url: str) -> Iterator[None]:
    """Keep a worker on this database for as long as the block lasts."""
    stopping = threading.Event()
    keeper = threading.Thread(target=_keep, args=(database_url, stopping), name="worker-keeper")
    keeper.start()
    try:
        yield
    finally:
        stopping.set()
        keeper.join()


def _keep(database_url: str, stopping: threading.Event) -> None:
    environment = os.environ | {"TALLYSTICK_DATABASE_URL": database_url, PARENT: str(os.getpid())}
    while not stopping.is_set():
        process = subprocess.Popen(
            [sys.executable, "-m", "tallystick", "worker", "--json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # A terminal's Ctrl-C is for whoever started it: that one ends it, after what is under way.
            start_new_session=True,
        )
        while process.poll() is None and not stopping.wait(0.2):
            pass
        _end(process)
        stopping.wait(_RESTART_PAUSE_SECONDS)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
