"""A long statement through the command line: in parts, with progress, in little memory, and whatever stops it."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.camt_writer import Entry, statement
from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY

ENTRY_COUNT = 3_000
#: What the program itself takes is a good hundred megabytes; 200,000 entries came to 190 in all.
MEMORY_MAX_BYTES = 200_000_000

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the peak of a process is told in other units"
)

MEASURE = """
import json, resource, subprocess, sys
ran = subprocess.run(sys.argv[1:], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"exit_code": ran.returncode, "output": ran.stdout, "errors": ran.stderr, "peak_bytes": peak}))
"""


def write_statement(path: Path, entry_count: int) -> Path:
    """Write a statement of `entry_count` credits of 1.00 with the references that real ones have."""
    one = Entry("1.00", remittance="Funding HARBOUR-USD {n}", bank_reference="B-{n}", end_to_end_id="E2E-{n}")
    closing = f"{Decimal(entry_count):.2f}"
    template = statement(one, closing=closing).decode()
    start, end = template.index("<Ntry>"), template.index("</Ntry>") + len("</Ntry>")
    with path.open("w", encoding="utf-8") as file:
        file.write(template[:start])
        file.writelines(template[start:end].replace("{n}", str(number)) for number in range(entry_count))
        file.write(template[end:])
    return path


def test_a_long_file_comes_in_parts_and_in_little_memory(
    on_sandbox: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALLYSTICK_API_KEY", on_sandbox.sandbox["keys"]["maker"])
    path = write_statement(tmp_path / "long.xml", ENTRY_COUNT)
    command = [sys.executable, "-m", "tallystick", "import-statement", str(path), "--json"]

    finished = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        timeout=600,
    )

    measured = json.loads(finished.stdout)
    assert measured["exit_code"] == 0, measured["errors"]
    assert measured["errors"].splitlines() == [
        f"{path}: {count} of {ENTRY_COUNT} entries" for count in (1_000, 2_000, 3_000)
    ]
    [done] = json.loads(measured["output"])["data"]
    [one] = done["statements"]
    assert (one["state"], one["closing_balance"]) == ("complete", f"{ENTRY_COUNT}.00")
    assert one["deposits"] == {"confirmed": ENTRY_COUNT, "unassigned": 0, "none": 0}
    assert measured["peak_bytes"] < MEMORY_MAX_BYTES
