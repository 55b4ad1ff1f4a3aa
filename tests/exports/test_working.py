"""Exports are made by workers: once, whatever happens to the queue and to those who work."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Connection

from tallystick import exports, jobs
from tallystick.core.database import OutcomeUnknownError
from tallystick.core.errors import UnavailableError
from tallystick.exports import (
    Export,
    ExportFormat,
    ExportProgress,
    ExportState,
    ExportStorageError,
    ExportWorker,
    making,
    store,
    writers,
)
from tests.bank import Bank
from tests.database import connect
from tests.exports.exported import ask_for, contents, export_of, workshop

_SECONDS_MAX: Final = 60.0


def now(bank: Bank, asked: Export) -> Export:
    with bank.database.read() as connection:
        return exports.export(connection, bank.auditor, asked.id)


def until(met: Callable[[], bool]) -> None:
    """Wait for what another thread or process does."""
    deadline_seconds = time.monotonic() + _SECONDS_MAX
    while not met():
        assert time.monotonic() < deadline_seconds, "it does not come"
        time.sleep(0.05)


def queued(bank: Bank) -> list[tuple[object, ...]]:
    with connect(bank.urls.superuser_url) as connection:
        return connection.execute("SELECT status::text, args FROM job_queue.procrastinate_jobs").fetchall()


@contextmanager
def working(bank: Bank, directory: Path) -> Iterator[ExportWorker]:
    worker = ExportWorker(workshop(bank, directory), bank.urls.service_url)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def test_a_worker_makes_what_was_asked_for(lived: Bank, tmp_path: Path) -> None:
    before = ask_for(lived)
    with working(lived, tmp_path):
        meanwhile = ask_for(lived, ExportFormat.HLEDGER)
        until(lambda: all(now(lived, one).state == "finished" for one in (before, meanwhile)))
        until(lambda: queued(lived) == [])

    for one in (before, meanwhile):
        finished = now(lived, one)
        files = contents(tmp_path, finished)
        rows = sum(file["rows"] for file in finished.manifest["files"])
        assert len(files) > 1
        assert finished.progress == ExportProgress(rows, rows, None)
        assert finished.ended_at is not None
    same = export_of(lived, tmp_path / "same", ExportFormat.HLEDGER)
    assert contents(tmp_path / "same", same) == contents(tmp_path, now(lived, meanwhile))


def test_who_listens_for_jobs_stands_in_no_transaction(lived: Bank, tmp_path: Path) -> None:
    """It would hear of nothing before its end, and rows that were changed meanwhile could not be cleaned up."""

    def states() -> set[object]:
        with connect(lived.urls.superuser_url) as connection:
            rows = connection.execute(
                """SELECT state FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'tallystick jobs' AND query LIKE 'LISTEN%'"""
            ).fetchall()
        return {state for (state,) in rows}

    with working(lived, tmp_path):
        until(lambda: bool(states()) and "active" not in states())
        assert states() == {"idle"}


def test_a_job_is_known_once_what_it_is_about_is_committed(lived: Bank) -> None:
    class UndoneError(Exception):
        pass

    def work(connection: Connection) -> None:
        connection.exec_driver_sql("SELECT 1")
        jobs.defer(connection, jobs.Job("exports", lived.issuer_id, "export_1"))
        raise UndoneError

    with pytest.raises(UndoneError):
        lived.database.run(work)
    assert queued(lived) == []


def test_a_queue_that_was_lost_loses_nothing(lived: Bank, tmp_path: Path) -> None:
    asked = ask_for(lived)
    with connect(lived.urls.superuser_url) as connection:
        connection.execute("TRUNCATE job_queue.procrastinate_jobs CASCADE")

    assert exports.defer_forgotten(workshop(lived, tmp_path)) == 1
    assert exports.defer_forgotten(workshop(lived, tmp_path)) == 0, "it is there now"
    assert queued(lived) == [("todo", {"issuer_id": lived.issuer_id, "subject_id": asked.id})]
    with working(lived, tmp_path):
        until(lambda: now(lived, asked).state == "finished")
    assert exports.defer_forgotten(workshop(lived, tmp_path)) == 0


def test_two_never_make_the_same_one(lived: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ask_for(lived)
    begun: list[str] = []
    held, go_on = threading.Event(), threading.Event()

    def slow(*arguments: object) -> dict[str, object]:
        begun.append(threading.current_thread().name)
        held.set()
        assert go_on.wait(_SECONDS_MAX)
        return making_files(*arguments)

    making_files: Callable[..., dict[str, object]] = making._make_files
    monkeypatch.setattr(making, "_make_files", slow)
    first = threading.Thread(
        target=exports.make, args=(workshop(lived, tmp_path), lived.issuer_id, asked.id), name="first"
    )
    first.start()
    assert held.wait(_SECONDS_MAX)
    exports.make(workshop(lived, tmp_path), lived.issuer_id, asked.id)
    assert exports.defer_forgotten(workshop(lived, tmp_path)) == 0
    assert now(lived, asked).state == "running"
    go_on.set()
    first.join()
    exports.make(workshop(lived, tmp_path), lived.issuer_id, asked.id)

    assert begun == ["first"]
    assert now(lived, asked).state == "finished"


@pytest.mark.parametrize("where", ["before it is finished", "after it is finished"])
def test_a_worker_that_dies_leaves_it_to_the_next(
    lived: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A lost connection is what a dead worker leaves; the bytes are those of a making that nothing disturbed."""
    asked = ask_for(lived)
    undisturbed = contents(tmp_path / "other", export_of(lived, tmp_path / "other"))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    if where == "before it is finished":
        monkeypatch.setattr(making, "_write_signature", die)
    else:
        monkeypatch.setattr(making, "publish", die)
    with pytest.raises(KeyboardInterrupt):
        exports.make(workshop(lived, tmp_path), lived.issuer_id, asked.id)
    monkeypatch.undo()

    left = now(lived, asked)
    assert left.state == ("running" if where == "before it is finished" else "finished")
    assert not (tmp_path / asked.id).exists()
    exports.make_open(workshop(lived, tmp_path))
    exports.export_file(workshop(lived, tmp_path), lived.auditor, asked.id, "journal.csv")
    assert contents(tmp_path, now(lived, asked)) == undisturbed


def test_a_finish_whose_outcome_is_unknown_is_found_again(
    lived: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask_for(lived)
    finish = making._Run.finish

    def lose(run: making._Run, connection: Connection, result: exports.ExportResult) -> None:
        finish(run, connection, result)
        connection.commit()
        raise OutcomeUnknownError

    monkeypatch.setattr(making._Run, "finish", lose)
    with pytest.raises(OutcomeUnknownError):
        exports.make(workshop(lived, tmp_path), lived.issuer_id, asked.id)
    monkeypatch.undo()

    assert exports.make_open(workshop(lived, tmp_path)) == 0
    assert now(lived, asked).state == "finished"
    exports.export_file(workshop(lived, tmp_path), lived.auditor, asked.id, "journal.csv")


def test_what_keeps_failing_is_given_up(lived: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, broken = ask_for(lived), ask_for(lived, ExportFormat.JSONL)

    def fail(_connection: object, _workshop: object, export: Export, _folder: object) -> None:
        raise ExportStorageError if export.id == full.id else ValueError("secret")

    monkeypatch.setattr(making, "_make_files", fail)
    for attempt in range(5):
        exports.make_open(workshop(lived, tmp_path))
        assert now(lived, full).state == ("pending" if attempt < 4 else "failed")

    failure = now(lived, full).failure
    assert failure is not None
    assert failure.code == "export_storage_unavailable"
    internal = now(lived, broken)
    assert (internal.state, internal.result) == ("failed", None)
    assert internal.failure is not None
    assert internal.failure.code == "internal_error"
    assert "secret" not in internal.failure.reason
    assert list(tmp_path.glob("*")) == [tmp_path / "keys"]


def test_what_kills_its_worker_is_given_up(lived: Bank, tmp_path: Path) -> None:
    asked = ask_for(lived)
    lived.database.run(
        lambda connection: store.update_run(
            connection,
            lived.issuer_id,
            asked.id,
            was=(ExportState.PENDING,),
            attempts_added=5,
            state="running",
        )
    )

    exports.make_open(workshop(lived, tmp_path))

    failure = now(lived, asked).failure
    assert failure is not None
    assert failure.code == "export_interrupted"


@pytest.mark.parametrize("how", ["cancelled", "stopped"])
def test_it_stops_in_the_middle(
    lived: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    asked = ask_for(lived)
    monkeypatch.setattr(writers, "_WRITES_PER_LOOK", 1)
    told: list[ExportProgress] = []

    def disturb(progress: ExportProgress) -> None:
        told.append(progress)
        if how == "cancelled":
            lived.database.run(
                lambda connection: exports.cancel(
                    connection, workshop(lived, tmp_path), lived.operator, asked.id, "Too long."
                )
            )

    monkeypatch.setattr(making, "_TELL_SECONDS", 0.0)
    exports.make(
        workshop(lived, tmp_path),
        lived.issuer_id,
        asked.id,
        stopping=lambda: how == "stopped" and bool(told),
        watching=disturb,
    )

    ended = now(lived, asked)
    assert len(told) == 1
    assert ended.progress == told[0]
    assert ended.state == ("cancelled" if how == "cancelled" else "pending")
    assert list(tmp_path.glob("*")) == [tmp_path / "keys"]
    if how == "stopped":
        exports.make_open(workshop(lived, tmp_path))
        assert now(lived, asked).state == "finished"


def test_whoever_waits_is_told_at_once(lived: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ExportStorageError

    monkeypatch.setattr(making, "_make_files", fail)
    with pytest.raises(UnavailableError):
        export_of(lived, tmp_path)
    with lived.database.read() as connection:
        [failed] = exports.exports(connection, lived.auditor)
    assert failed.state == "failed"


def test_killed_workers_and_their_successor(lived: Bank, tmp_path: Path) -> None:
    """`tallystick worker` itself, killed as it works: what it was at is made by the next one."""
    asked = [ask_for(lived, one) for one in (ExportFormat.CSV, ExportFormat.JSONL, ExportFormat.BEANCOUNT)]
    environment = os.environ | {
        "TALLYSTICK_DATABASE_URL": lived.urls.service_url,
        "TALLYSTICK_STATE_DIRECTORY": str(tmp_path),
        "TALLYSTICK_LOG_INTERVAL_SECONDS": "0",
    }
    command = [sys.executable, "-m", "tallystick", "worker"]
    with connect(lived.urls.superuser_url) as blocker:
        # Whoever begins one waits here, and holds it.
        blocker.autocommit = False
        blocker.execute("LOCK TABLE export_run IN SHARE MODE")
        killed = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        until(lambda: ("doing",) in {(state,) for state, _ in queued(lived)})
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        blocker.rollback()
    assert {now(lived, one).state for one in asked} != {"finished"}

    successor = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        until(lambda: {now(lived, one).state for one in asked} == {"finished"})
    finally:
        successor.terminate()
        assert successor.wait(_SECONDS_MAX) == 0
    for one in asked:
        contents(tmp_path / "exports", now(lived, one))


def test_the_service_holds_nothing_of_the_bank_in_its_queue(lived: Bank) -> None:
    ask_for(lived, ExportFormat.EVIDENCE)

    [(_, arguments)] = queued(lived)
    assert isinstance(arguments, dict)
    assert set(arguments) == {"issuer_id", "subject_id"}
