"""`watch-statements`: what is dropped into a folder is imported once, and every file ends where its report lies."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY

STATEMENTS = REPOSITORY / "examples" / "statements"
MAPPING = STATEMENTS / "2026-11-22-usd.mapping.json"
DAYS = ("2026-11-20-usd.xml", "2026-11-21-usd.xml", "2026-11-22-usd.csv", "2026-11-23-usd.sta")


@pytest.fixture
def maker(on_sandbox: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("TALLYSTICK_API_KEY", on_sandbox.sandbox["keys"]["maker"])
    return on_sandbox


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "inbox"
    made.mkdir()
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def report(folder: Path, name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / f"{name}.report.json").read_text())
    return told


def test_files_of_every_format_are_imported_in_order(maker: CommandLine, folder: Path) -> None:
    for name in DAYS:
        shutil.copy(STATEMENTS / name, folder)

    done = maker.json("watch-statements", folder, "--once", "--mapping", MAPPING)["data"]

    assert [Path(one["file"]).name for one in done] == list(DAYS)
    assert [one["message_type"] for one in done] == ["camt.053", "camt.053", "CSV", "MT940"]
    assert names(folder) == [".watching", "done", "importing", "refused"]
    assert names(folder / "done") == sorted([*DAYS, *(f"{name}.report.json" for name in DAYS)])
    assert names(folder / "refused") == names(folder / "importing") == []
    told = report(folder / "done", DAYS[3])
    assert (told["imported"], told["statements"][0]["closing_balance"]) == (True, "1387315.77")
    assert told["statements"][0]["findings"] == []


def test_the_same_file_again_is_done_again_and_changes_nothing(maker: CommandLine, folder: Path) -> None:
    def once() -> dict[str, Any]:
        shutil.copy(STATEMENTS / DAYS[0], folder)
        [done] = maker.json("watch-statements", folder, "--once")["data"]
        assert isinstance(done, dict)
        return done

    first, done = once(), once()

    assert (first["imported"], done["imported"]) == (True, False)
    assert len(names(folder / "done")) == 4
    assert Path(done["file"]).name.startswith("2026-11-20-usd.")
    assert report(folder / "done", DAYS[0])["imported"]


def test_what_is_refused_lies_apart_and_keeps_no_other_out(maker: CommandLine, folder: Path) -> None:
    (folder / "a.xml").write_text("<!DOCTYPE x><x/>")
    shutil.copy(STATEMENTS / DAYS[2], folder / "b.CSV")
    shutil.copy(STATEMENTS / DAYS[0], folder / "c.xml")

    ran = maker.run("watch-statements", folder, "--once", "--json")

    assert ran.exit_code == 1
    assert [one.get("code") for one in ran.document["data"]] == [
        "statement_doctype_forbidden",
        "mapping_missing",
        None,
    ]
    assert names(folder / "refused") == ["a.xml", "a.xml.report.json", "b.CSV", "b.CSV.report.json"]
    assert report(folder / "refused", "a.xml")["code"] == "statement_doctype_forbidden"
    assert "a.xml: statement_doctype_forbidden" in ran.errors


def test_what_is_not_ready_or_no_statement_is_left_alone(maker: CommandLine, folder: Path) -> None:
    outside = folder.parent / "outside.xml"
    shutil.copy(STATEMENTS / DAYS[0], outside)
    (folder / "link.xml").symlink_to(outside)
    for name in (".half.xml", "half.xml.part", "half.xml.tmp", "readme.md"):
        shutil.copy(outside, folder / name)
    (folder / "folder.xml").mkdir()

    assert maker.json("watch-statements", folder, "--once")["data"] == []

    assert {"link.xml", ".half.xml", "half.xml.part", "half.xml.tmp", "readme.md"} <= set(names(folder))


def test_what_a_crash_left_comes_first(maker: CommandLine, folder: Path) -> None:
    maker.json("watch-statements", folder, "--once")
    shutil.copy(STATEMENTS / DAYS[1], folder / "importing" / DAYS[1])
    shutil.copy(STATEMENTS / DAYS[0], folder)

    done = maker.json("watch-statements", folder, "--once")["data"]

    assert [Path(one["file"]).name for one in done] == [DAYS[1], DAYS[0]]
    assert names(folder / "importing") == []


def test_one_process_watches_a_folder(maker: CommandLine, folder: Path) -> None:
    descriptor = os.open(folder / ".watching", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    shutil.copy(STATEMENTS / DAYS[0], folder)
    try:
        ran = maker.run("watch-statements", folder, "--once")
    finally:
        os.close(descriptor)

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (1, "folder_in_use")
    assert DAYS[0] in names(folder)


@pytest.mark.parametrize(
    ("options", "exit_code", "code"),
    [(["--mapping", "/absent.json"], 1, "file_unusable"), (["--key", "tsk_wrong"], 1, "api_key_invalid")],
)
def test_what_keeps_it_from_beginning(
    maker: CommandLine, folder: Path, options: list[str], exit_code: int, code: str
) -> None:
    shutil.copy(STATEMENTS / DAYS[0], folder)

    ran = maker.run("watch-statements", folder, "--once", *options)

    assert (ran.exit_code, ran.errors.splitlines()[-1].partition(":")[0]) == (exit_code, code)
    imported = [path for path in folder.rglob(DAYS[0]) if path.parent.name in {"done", "refused"}]
    assert imported == []


def test_it_goes_on_until_a_signal_comes(maker: CommandLine, folder: Path) -> None:
    command = [sys.executable, "-m", "tallystick", "watch-statements", str(folder), "--interval", "0.1"]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stderr is not None
        for name in DAYS[:2]:
            half = folder / f"{name}.part"
            shutil.copy(STATEMENTS / name, half)
            half.rename(folder / name)
            assert watching.stderr.readline().strip() == f"{folder / 'done' / name}: imported"
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(60) == 0
    assert names(folder / "importing") == []
