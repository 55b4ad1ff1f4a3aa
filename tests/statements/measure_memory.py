"""Reads one file as a bank statement in a process of its own, and tells how far its memory grew. Linux only.

The processes are forked from one that has loaded this module and nothing else: loading takes longer than most files.
"""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from tallystick.core.errors import DomainError
from tallystick.statements import read_file, read_mapping
from tallystick.statements.camt import parse_camt

__all__ = ["measure"]

_SECONDS_MAX: Final = 300
_PROCESSES: Final = multiprocessing.get_context("forkserver")

before = 0


def measure(path: Path, *more: Path) -> tuple[str, int]:
    """Return the outcome, and the growth of resident memory beyond what lay there before, at its highest."""
    _PROCESSES.set_forkserver_preload([__name__])
    ours, theirs = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_tell, args=(theirs, str(path), *map(str, more)))
    process.start()
    theirs.close()
    try:
        assert ours.poll(_SECONDS_MAX), "it takes too long"
        outcome, growth_bytes = ours.recv()
    finally:
        ours.close()
        process.kill()
        process.join()
    return outcome, growth_bytes


def _tell(channel: Connection, *arguments: str) -> None:
    try:
        outcome = f"entries {_read(arguments)}"
    except DomainError as error:
        outcome = error.code
    channel.send((outcome, _status_bytes("VmHWM") - before))


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1_024
    raise LookupError(name)


def _read(arguments: tuple[str, ...]) -> int:
    """Return how many entries a file has: camt from memory, as over HTTP, and others as they lie on the disk."""
    path = Path(arguments[0])
    if path.suffix == ".xml":
        data = path.read_bytes()
        _forget()
        return sum(len(one.entries) for one in parse_camt(data, size_max_bytes=len(data)).statements)
    mapping = read_mapping(Path(arguments[1]).read_bytes()) if len(arguments) > 1 else None
    _forget()
    with path.open("rb") as opened:
        return read_file(opened, size_max_bytes=path.stat().st_size, mapping=mapping).entry_count


def _forget() -> None:
    global before  # noqa: PLW0603 One process measures once.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
