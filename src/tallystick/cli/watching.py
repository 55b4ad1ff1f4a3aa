"""`tallystick watch-statements`: a folder that banks' files are dropped into, and what became of each.

    FOLDER/*            dropped by others, each put there by renaming it once it is whole
    FOLDER/.watching    held (flock) by the one process that watches
    FOLDER/importing/   taken up, and not finished; after a crash they come first
    FOLDER/done/        imported, or imported before, each with a report beside it
    FOLDER/refused/     refused, each with a report that says why

A file moves by renaming only, so at any moment it is in one of these places. A crash between an import and the
renaming imports the file once more, which changes nothing.
"""

import fcntl
import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tallystick.api.service import Service
from tallystick.api.statements import IMPORTERS
from tallystick.cli.acting import authorized, opened_service
from tallystick.cli.importing import import_file, load_mapping
from tallystick.cli.report import CommandRefusedError, ExitCode, Report
from tallystick.cli.running import require_api_key
from tallystick.core.durable_files import sync_directory, write_durably
from tallystick.core.errors import DomainError, UnavailableError
from tallystick.core.settings import Settings
from tallystick.participants import Principal
from tallystick.statements import CsvMapping

__all__ = ["watch_statements"]

_LOCK: Final = ".watching"
_IMPORTING: Final = "importing"
_DONE: Final = "done"
_REFUSED: Final = "refused"
_CSV: Final = ".csv"
#: What a bank's file is called. Everything else in the folder is left alone, half-written files above all.
_SUFFIXES: Final = frozenset({".xml", ".sta", ".940", ".942", ".mt940", ".mt942", ".txt", _CSV})
_FILES_AT_ONCE_MAX: Final = 1_000


def watch_statements(
    report: Report,
    settings: Settings,
    presented_key: str | None,
    folder: Path,
    *,
    mapping_file: Path | None,
    once: bool,
    interval_seconds: float,
) -> None:
    """Import what lies in the folder, oldest name first, and go on until a signal comes; with `once` stop then.

    Raises CommandRefusedError `folder_in_use` where another process watches it. While the database can't be reached
    the files stay where they are.
    """
    presented = require_api_key(presented_key)
    mapping = None if mapping_file is None else load_mapping(mapping_file)
    shown: list[dict[str, Any]] = []
    with _held(folder), opened_service(settings) as service, _stopping() as stop:
        while not stop.is_set():
            try:
                for file in _taken(folder):
                    importer = authorized(
                        service.database, presented, IMPORTERS, operation="statement_import"
                    )
                    done = _import(report, service, importer, presented, file, mapping)
                    if once:
                        shown.append(done)
                    if stop.is_set():
                        break
            except UnavailableError as unavailable:
                if once:
                    raise
                report.note(f"{unavailable.code}: {unavailable.detail}")
            if once:
                break
            stop.wait(interval_seconds)
    report.document({"object": "list", "data": shown})


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder, so that no file is imported by two at once, and make the folders inside it."""
    for name in (_IMPORTING, _DONE, _REFUSED):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandRefusedError("folder_in_use", f"Another process watches {folder}.") from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set, so that the file at hand is finished first."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _taken(folder: Path) -> Iterator[Path]:
    """Yield files that are taken up: first those that a crash left, then new ones, each by renaming it."""
    yield from sorted(path for path in (folder / _IMPORTING).iterdir() if path.is_file())
    waiting = sorted(path for path in folder.iterdir() if _is_statement(path))
    for path in waiting[:_FILES_AT_ONCE_MAX]:
        taken = folder / _IMPORTING / path.name
        path.rename(taken)
        sync_directory(folder)
        yield taken


def _is_statement(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in _SUFFIXES and path.is_file() and not path.is_symlink()


def _import(
    report: Report,
    service: Service,
    importer: Principal,
    presented_key: str,
    file: Path,
    mapping: CsvMapping | None,
) -> dict[str, Any]:
    """Import one file and move it to where it belongs, with its report; raises UnavailableError."""
    folder = file.parent.parent
    try:
        told = import_file(report, service, importer, presented_key, file, _mapping_for(file, mapping))
    except UnavailableError:
        raise
    except (DomainError, CommandRefusedError) as refusal:
        report.exit_code = ExitCode.REFUSED
        told = {"imported": False, "code": refusal.code, "detail": refusal.detail}
    where = _REFUSED if "code" in told else _DONE
    moved = _moved(file, folder / where)
    told = {"file": str(moved), **told}
    report.note(f"{moved}: {told.get('code') or ('imported' if told['imported'] else 'imported before')}")
    return told | {"report": str(_written(moved, told))}


def _mapping_for(file: Path, mapping: CsvMapping | None) -> CsvMapping | None:
    if file.suffix.lower() != _CSV:
        return None
    if mapping is None:
        raise CommandRefusedError("mapping_missing", "CSV is read by a mapping: give --mapping.")
    return mapping


def _written(moved: Path, told: dict[str, Any]) -> Path:
    path = moved.with_name(f"{moved.name}.report.json")
    write_durably(path, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return path


def _moved(file: Path, target: Path) -> Path:
    """Rename a file into a folder; one of the same name that is there already keeps it."""
    path = target / file.name
    if path.exists():
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()[:16]
        path = target / f"{file.stem}.{digest}{file.suffix}"
    file.rename(path)
    sync_directory(target)
    sync_directory(file.parent)
    return path
