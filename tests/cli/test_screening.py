"""Lists from files and runs from schedulers: the same as over HTTP, with progress and an exit code."""

from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "screening" / "fictitious-2026-11-20.jsonl"
NAMED = ("--name", "fictitious", "--version", "2026-11-20")


@pytest.fixture
def operator(on_sandbox: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("TALLYSTICK_API_KEY", on_sandbox.sandbox["keys"]["operator"])
    return on_sandbox


def test_a_list_is_imported_and_every_holder_screened(operator: CommandLine) -> None:
    told = operator.run("screening", "import", EXAMPLE, *NAMED)
    again = operator.json("screening", "import", EXAMPLE, *NAMED)
    run = operator.run("screening", "rescreen", "--page-size", 1, "--json")
    rerun = operator.run("screening", "rescreen")

    assert "fictitious 2026-11-20 with 7 entities is in force" in told.output
    assert (again["imported"], again["entity_count"], again["skipped_count"]) == (False, 7, 1)
    screened = run.document["screened_count"]
    assert screened >= 3
    assert run.document == {
        "object": "screening_run",
        "screened_count": screened,
        "kept_count": 0,
        "hit_count": 0,
    }
    assert run.errors.count("holders, 0 with hits; up to holder_") == screened
    assert rerun.output.startswith(f"0 holders screened, {screened} were up to date; 0 have hits")


def test_a_bad_list_ends_with_exit_code_1(operator: CommandLine, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(EXAMPLE.read_bytes() + b"{}\n")

    ran = operator.run("screening", "import", bad, *NAMED)
    assert (ran.exit_code, ran.errors.partition(":")[0]) == (1, "screening_list_malformed")
    assert "Line 9" in ran.errors


@pytest.mark.parametrize("command", [["import", EXAMPLE, *NAMED], ["rescreen"]], ids=["import", "rescreen"])
def test_only_an_operator_screens(on_sandbox: CommandLine, command: list[object]) -> None:
    keys = on_sandbox.sandbox["keys"]
    refused = on_sandbox.run("screening", *command, "--key", keys["maker"])
    nobody = on_sandbox.run("screening", *command)

    assert (refused.exit_code, refused.errors.partition(":")[0]) == (1, "role_not_allowed")
    assert (nobody.exit_code, nobody.errors.partition(":")[0]) == (2, "api_key_missing")
