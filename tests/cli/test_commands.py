"""What holds for every command: help at once, settings and databases that are wrong, one document, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tallystick.core import migrations
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY
from tests.database import DatabaseUrls, cloned_database, connect

NOBODY_THERE = "postgresql+psycopg://tallystick_service:very-secret@127.0.0.1:1/tallystick"

COMMANDS = (
    "serve",
    "migrate",
    "seed-sandbox",
    "import-statement",
    "reconcile",
    "export",
    "transfer-file",
    "issuers",
    "principals",
    "api-keys",
    "keys",
    "openapi",
    "demo",
)


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from tallystick.cli import main\n"
        "try:\n    main(['--help'])\n"
        "finally:\n    heavy = {'sqlalchemy', 'fastapi', 'psycopg', 'lxml', 'httpx', 'pydantic'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in COMMANDS)


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tallystick", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout.startswith("tallystick ")) == (0, True)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "http", "TALLYSTICK_PORT"),
        ("WORKERS", "0", "TALLYSTICK_WORKERS"),
        ("DATABASE_URL", "very-secret", "TALLYSTICK_DATABASE_URL"),
    ],
)
def test_a_wrong_setting_is_named_and_never_repeated(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(f"TALLYSTICK_{name}", value)

    ran = command_line.run("migrate", "--json")

    assert ran.exit_code == 3
    assert ran.document["code"] == "settings_invalid"
    assert told in ran.errors
    assert "very-secret" not in ran.output + ran.errors
    assert "Traceback" not in ran.errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["migrate"],
        ["seed-sandbox"],
        ["keys", "list"],
        ["principals", "list"],
        ["reconcile", "--all", "--key", "tsk_x"],
        ["export", "--key", "tsk_x"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_database_that_is_not_there(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("TALLYSTICK_DATABASE_URL", NOBODY_THERE)

    ran = command_line.run(*arguments)

    assert ran.exit_code == 4
    assert ran.errors.splitlines()[-1].startswith("database_unavailable: ")
    assert "very-secret" not in ran.errors
    assert "Traceback" not in ran.errors
    assert not ran.output


def test_a_command_that_only_looks_makes_no_database(command_line: CommandLine) -> None:
    ran = command_line.run("keys", "list", "--json")

    assert ran.exit_code == 3
    assert ran.document["code"] == "state_absent"
    assert not command_line.state.exists()


def test_an_unknown_option_is_wrong_usage(command_line: CommandLine) -> None:
    assert command_line.run("keys", "list", "--jsom").exit_code == 2


def test_a_database_of_a_newer_release_is_left_alone(
    on_database: CommandLine, database_urls: DatabaseUrls
) -> None:
    with connect(database_urls.superuser_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    for command in (["migrate"], ["serve"], ["keys", "list"]):
        ran = on_database.run(*command)
        assert ran.exit_code == 3
        assert ran.errors.startswith("schema_mismatch: ")
        assert "9999" in ran.errors


def test_migrate_tells_the_revision_before_and_after(
    command_line: CommandLine, postgres_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloned_database(postgres_server, "template0") as urls:
        monkeypatch.setenv("TALLYSTICK_DATABASE_URL", urls.service_url)
        monkeypatch.setenv("TALLYSTICK_DATABASE_OWNER_URL", urls.owner_url)
        head = migrations.head_revision()

        not_yet = command_line.run("keys", "list")
        first = command_line.json("migrate")
        second = command_line.json("migrate")
        told = command_line.run("migrate")

    assert (not_yet.exit_code, not_yet.errors.partition(":")[0]) == (3, "schema_mismatch")
    assert first == {"object": "migration", "revision_before": None, "revision_after": head}
    assert (second["revision_before"], second["revision_after"]) == (head, head)
    assert told.output == f"The schema is at revision {head} already.\n"


def test_the_sandbox_is_seeded_once_and_its_keys_are_not_printed(on_database: CommandLine) -> None:
    seeded = on_database.json("seed-sandbox")
    again = on_database.run("seed-sandbox", "--json")

    assert Path(seeded["keys_file"]) == on_database.state / "sandbox.json"
    assert (on_database.state / "sandbox.json").stat().st_mode & 0o777 == 0o600
    assert "tsk_" not in json.dumps(seeded)
    assert (again.exit_code, again.document["code"]) == (1, "database_not_empty")


def test_the_repository_holds_the_applications_document(command_line: CommandLine, tmp_path: Path) -> None:
    printed = command_line.run("openapi")
    copy = tmp_path / "openapi.json"
    command_line.run("openapi", "--write", copy)
    same = command_line.run("openapi", "--check", copy)
    copy.write_text(copy.read_text() + " ")
    changed = command_line.run("openapi", "--check", copy)

    assert printed.exit_code == same.exit_code == 0
    assert command_line.run("openapi", "--json").output == printed.output
    assert json.loads(printed.output)["openapi"] == "3.1.0"
    assert changed.exit_code == 1
    assert changed.errors == f"openapi_differs: {copy} differs from the application: make openapi\n"
    assert command_line.run("openapi", "--check", REPOSITORY / "docs" / "openapi.json").exit_code == 0
