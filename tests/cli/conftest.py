"""Fixtures of the command line's tests: commands run in this process, on a real database, with the settings given."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli import main
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.cli.processes import Served, serving
from tests.database import DatabaseUrls, cloned_database


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left: its exit code and what it wrote."""

    exit_code: int
    output: str
    errors: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.output)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """Runs commands on one database and one state directory."""

    state: Path
    captured: "pytest.CaptureFixture[str]"

    def run(self, *arguments: object) -> Ran:
        self.captured.readouterr()
        try:
            main([str(argument) for argument in arguments])
            exit_code = 0
        except SystemExit as ended:
            exit_code = 0 if ended.code is None else int(ended.code)
        output, errors = self.captured.readouterr()
        return Ran(exit_code, output, errors)

    def json(self, *arguments: object) -> Any:
        """Run a command that must succeed and return its document."""
        ran = self.run(*arguments, "--json")
        assert ran.exit_code == 0, ran.errors
        return ran.document

    @property
    def sandbox(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.state / "sandbox.json").read_text())
        return found


@pytest.fixture
def command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The command line with a state directory of its own, and no database named yet."""
    for name in [name for name in os.environ if name.startswith("TALLYSTICK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TALLYSTICK_STATE_DIRECTORY", str(tmp_path / "state"))
    # Wide enough that no line is broken, wherever the tests run.
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(tmp_path / "state", capsys)


@pytest.fixture
def on_database(
    command_line: CommandLine, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command line on a migrated, empty database."""
    monkeypatch.setenv("TALLYSTICK_DATABASE_URL", database_urls.service_url)
    monkeypatch.setenv("TALLYSTICK_DATABASE_OWNER_URL", database_urls.owner_url)
    return command_line


@pytest.fixture
def on_sandbox(on_database: CommandLine) -> CommandLine:
    """The command line on a database that holds the sandbox."""
    assert on_database.run("seed-sandbox").exit_code == 0
    return on_database


@pytest.fixture(scope="module")
def served(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A running sandbox that a module's tests share."""
    with cloned_database(postgres_server, migrated_template) as urls:
        settings = {"database_url": urls.service_url, "database_owner_url": urls.owner_url}
        with serving(tmp_path_factory.mktemp("served") / "state", "--sandbox", settings=settings) as running:
            yield running
