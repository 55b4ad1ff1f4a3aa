"""A log in memory, and a witness that watches it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tallystick.core.clock import FixedClock
from tallystick.witness import Witness, create_witness, open_records
from tests.witness.memory_log import MemoryLog


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog("log.example/log/1")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 11, 20, 8, 0, tzinfo=UTC))


@pytest.fixture
def directory(log: MemoryLog, tmp_path: Path) -> Path:
    """A new witness's directory that names the log."""
    create_witness(tmp_path / "witness", "witness.example/w1", None)
    (tmp_path / "witness" / "logs.txt").write_text(f"# the logs we watch\n{log.key}\n")
    return tmp_path / "witness"


@pytest.fixture
def witness(directory: Path, clock: FixedClock) -> Iterator[Witness]:
    with open_records(directory, None) as records:
        yield Witness(records, clock)
