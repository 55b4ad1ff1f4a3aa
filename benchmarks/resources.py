"""Processor time and memory of processes, as Linux tells them in /proc."""

import os
from pathlib import Path
from typing import Final

from tallystick.core.embedded_postgres import EmbeddedPostgres

__all__ = ["cpu_seconds", "family", "peak_rss_mb", "postmaster_id", "pss_mb", "rss_mb", "told"]

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")


def postmaster_id(server: EmbeddedPostgres) -> int:
    """Return the process id of a running server."""
    lines = (server.data_directory / "postmaster.pid").read_text(encoding="ascii").splitlines()
    return int(lines[0])


def family(process_id: int) -> list[int]:
    """Return a process, its children and theirs."""
    parents = {}
    for directory in _PROC.iterdir():
        if directory.name.isdecimal():
            fields = _stat(int(directory.name))
            if fields:
                parents[int(directory.name)] = int(fields[1])
    found = [process_id]
    # It grows while it is walked.
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def told(process_id: int, arguments: str) -> bool:
    """Tell whether a process was started with arguments that hold this; each ends with a zero byte."""
    try:
        return arguments.encode() in (_PROC / str(process_id) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_seconds(process_id: int) -> float:
    """Return user and system time that a process and its children, ended ones too, have taken so far."""
    return sum(sum(map(int, _stat(pid)[11:15])) for pid in family(process_id)) / _TICKS


def rss_mb(process_id: int) -> float:
    """Return resident memory in megabytes (10^6 bytes)."""
    return _kilobytes(_PROC / str(process_id) / "status", "VmRSS:") * 1024 / 1e6


def peak_rss_mb(process_id: int) -> float:
    """Return the most resident memory that the process ever had."""
    return _kilobytes(_PROC / str(process_id) / "status", "VmHWM:") * 1024 / 1e6


def pss_mb(process_ids: list[int]) -> float:
    """Return memory of processes together, with what they share counted once."""
    return sum(_kilobytes(_PROC / str(pid) / "smaps_rollup", "Pss:") for pid in process_ids) * 1024 / 1e6


def _stat(process_id: int) -> list[str]:
    """Return the fields of /proc/…/stat from the third on (`state`), or none if the process is gone."""
    try:
        return (_PROC / str(process_id) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _kilobytes(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)
