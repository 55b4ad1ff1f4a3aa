"""Reads one file as a bank statement in a process of its own, and tells how far its memory grew.

Run as `python -m tests.statements.measure_memory FILE [MAPPING]`; prints one line of JSON. Linux only.
"""

import json
import sys
from pathlib import Path

from tallystick.core.errors import DomainError
from tallystick.statements import read_file, read_mapping
from tallystick.statements.camt import parse_camt

before = 0


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1_024
    raise LookupError(name)


def _read(arguments: list[str]) -> int:
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


def main() -> None:
    """Print the outcome and the growth of resident memory beyond what lay there before, at its highest."""
    try:
        outcome = f"entries {_read(sys.argv[1:])}"
    except DomainError as error:
        outcome = error.code
    sys.stdout.write(json.dumps({"outcome": outcome, "growth_bytes": _status_bytes("VmHWM") - before}))


if __name__ == "__main__":
    main()
