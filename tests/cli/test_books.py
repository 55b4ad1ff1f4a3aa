"""Books and attestations from the command line: the API's own answers, told or written to files."""

import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.core.clock import SystemClock, format_time
from tallystick_verify.cli import run as verify
from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY

FIRST_DAY = REPOSITORY / "examples" / "statements" / "2026-11-20-usd.xml"


@pytest.fixture
def auditor(on_sandbox: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The sandbox with its first day's deposits, whose value date lies before the day they are booked on."""
    monkeypatch.setenv("TALLYSTICK_API_KEY", on_sandbox.sandbox["keys"]["maker"])
    assert on_sandbox.run("import-statement", FIRST_DAY).exit_code == 0
    monkeypatch.setenv("TALLYSTICK_API_KEY", on_sandbox.sandbox["keys"]["auditor"])
    return on_sandbox


@pytest.fixture
def policy(auditor: CommandLine, tmp_path: Path) -> Path:
    keys = auditor.json("keys", "list")["data"]
    trusted = [{"x": one["x"]} for one in keys if one.get("key_use", one.get("use")) == "event"]
    found: dict[str, Any] = {"version": 1, "issuer_id": auditor.sandbox["issuer_id"], "keys": trusted}
    path = tmp_path / "bank.json"
    path.write_text(json.dumps(found))
    return path


def test_the_books_by_value_date_signed_and_checked(
    auditor: CommandLine, policy: Path, tmp_path: Path
) -> None:
    account = auditor.sandbox["accounts"]["harbour_usd"]
    told = auditor.run("books", "balance", account, "--effective-on", "2026-11-20")
    assert "250000.00" in told.output
    assert "by value date up to 2026-11-20" in told.output
    before = auditor.json("books", "balance", account, "--effective-on", "2026-11-18")
    assert before["deposits_available"] == "0.00"
    now = format_time(SystemClock().now())
    assert auditor.json("books", "supply", "--token-class", "USD", "--as-of", now)["supply"] == "0.00"

    file = tmp_path / "trial-balance.json"
    asked = ("books", "trial-balance", "--token-class", "USD", "--signed")
    shown = auditor.json(*asked)
    assert auditor.run(*asked).output.count("1262500.50") >= 2
    written = auditor.json(*asked, "--output", file)
    assert written["bytes"] == file.stat().st_size
    assert json.loads(file.read_text())["rows"] == shown["rows"]
    assert verify(["books", str(file), "--policy", str(policy)]) == 0
    file.write_text(file.read_text().replace("250000.00", "250000.01"))
    assert verify(["books", str(file), "--policy", str(policy)]) == 16


def test_what_is_wrong_with_a_question_is_told(auditor: CommandLine) -> None:
    for arguments, code, exit_code in (
        (("supply", "--token-class", "USD", "--effective-on", "2026-02-30"), "day_malformed", 2),
        (("supply", "--token-class", "USD", "--as-of", "noon"), "time_malformed", 2),
        (("supply", "--token-class", "XXX"), "token_class_not_found", 1),
        (("balance", "account_nobody"), "account_not_found", 1),
    ):
        ran = auditor.run("books", *arguments)
        assert ran.errors.startswith(f"{code}: "), ran.errors
        assert ran.exit_code == exit_code


def test_liabilities_are_attested_once_per_key(auditor: CommandLine) -> None:
    asked = ("liabilities", "attest", "--token-class", "USD", "--idempotency-key", "end of day")
    first = auditor.json(*asked)
    told = auditor.run(*asked)
    assert f"{first['id']}, in the log as event {first['event_index']}" in told.output
    assert first["total"] == "0.00"
    listed = auditor.json("liabilities", "list", "--token-class", "USD")["data"]
    assert listed == [first]
    assert first["id"] in auditor.run("liabilities", "list").output
    assert auditor.run("liabilities", "attest", "--token-class", "XXX").exit_code == 1
    reused = auditor.run("liabilities", "attest", "--token-class", "EUR", "--idempotency-key", "end of day")
    assert reused.errors.startswith("idempotency_key_reused: ")
