"""The demo, on a service of its own and on others: it tells only what holds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.processes import Served, environment, serving
from tests.database import DatabaseUrls


@pytest.mark.slow
def test_the_whole_story_holds_on_a_service_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tallystick", "demo", "--json"],
        env=environment(tmp_path / "not-used"),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    story = json.loads(done.stdout)
    assert story["claims"] == sum(len(chapter["claims"]) for chapter in story["chapters"]) > 50
    assert story["supply"] == {"USD": "249300.00", "EUR": "0.00"}
    assert story["events"] == 20
    assert not (tmp_path / "not-used").exists(), "it leaves nothing behind"


@pytest.mark.slow
def test_a_running_sandbox_is_told_of_once(
    command_line: CommandLine, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    settings = {"database_url": database_urls.service_url, "database_owner_url": database_urls.owner_url}
    with serving(tmp_path / "served", "--sandbox", settings=settings) as served:
        options = ("demo", "--url", served.url, "--keys-file", served.state / "sandbox.json")
        first = command_line.run(*options)
        second = command_line.run(*options)

    assert first.exit_code == 0, first.errors
    assert "✓ Harbour pays Lantern USD 1,200.00: settled and final, one signed event." in first.output
    assert first.output.endswith("claims hold.\n")
    assert (second.exit_code, second.errors.partition(":")[0]) == (1, "sandbox_not_fresh")


def test_what_is_off_is_named(command_line: CommandLine, served: Served, tmp_path: Path) -> None:
    swapped = served.sandbox
    accounts = swapped["accounts"]
    accounts["harbour_usd"], accounts["lantern_usd"] = accounts["lantern_usd"], accounts["harbour_usd"]
    keys_file = tmp_path / "swapped.json"
    keys_file.write_text(json.dumps(swapped))

    ran = command_line.run("demo", "--url", served.url, "--keys-file", keys_file, "--json")

    assert (ran.exit_code, ran.document["code"]) == (1, "demo_failed")
    assert ran.document["claim"].startswith("Harbour's confirmed deposit is USD 250,000.00")
    assert "found 12500.50" in ran.errors


@pytest.mark.parametrize(
    ("options", "exit_code", "code"),
    [
        (["--url", "http://127.0.0.1:1"], 2, "choice_missing"),
        (["--url", "http://127.0.0.1:1", "--keys-file", "/nowhere.json"], 1, "file_unusable"),
        (["--url", "http://127.0.0.1:1", "--keys-file", __file__], 1, "keys_file_malformed"),
    ],
)
def test_it_needs_a_service_and_its_keys(
    command_line: CommandLine, options: list[str], exit_code: int, code: str
) -> None:
    ran = command_line.run("demo", *options)

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (exit_code, code)


def test_a_service_that_does_not_answer(command_line: CommandLine, served: Served) -> None:
    keys_file = served.state / "sandbox.json"

    ran = command_line.run("demo", "--url", "http://127.0.0.1:1", "--keys-file", keys_file)

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (4, "service_unavailable")
