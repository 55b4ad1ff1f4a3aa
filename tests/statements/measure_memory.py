"""Reads one file as a bank statement in a process of its own, and tells how far its memory grew.

Run as `python -m tests.statements.measure_memory FILE`; prints one line of JSON. Linux only.
"""

import json
import sys
from pathlib import Path

from tallystick.core.errors import DomainError
from tallystick.statements.camt import parse_camt


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1_024
    raise LookupError(name)


def main() -> None:
    """Print the outcome and the growth of resident memory beyond the file itself, at its highest."""
    data = Path(sys.argv[1]).read_bytes()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_bytes("VmRSS")
    try:
        message = parse_camt(data, size_max_bytes=len(data))
        outcome = f"entries {sum(len(statement.entries) for statement in message.statements)}"
    except DomainError as error:
        outcome = error.code
    sys.stdout.write(json.dumps({"outcome": outcome, "growth_bytes": _status_bytes("VmHWM") - before}))


if __name__ == "__main__":
    main()
