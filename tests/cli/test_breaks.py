"""`tallystick breaks`: the work on a break from the command line, with the checks and the record of the API."""

import hashlib
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.test_treasury import FIRST_DAY
from tests.database import DatabaseUrls, connect


def test_the_work_on_a_break(
    on_sandbox: CommandLine, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command, keys = on_sandbox, on_sandbox.sandbox["keys"]
    monkeypatch.setenv("TALLYSTICK_API_KEY", keys["maker"])
    command.run("import-statement", FIRST_DAY)
    with connect(database_urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE statement SET closing_minor = closing_minor - 1")
    ran = command.run("reconcile", "--token-class", "USD")
    assert "NOTHING MORE MAY BE ISSUED" in ran.output

    [found] = command.json("breaks", "list", "--state", "open")["data"]
    break_id = found["id"]
    assert (found["type"], found["difference"]) == ("amount", "0.01")
    assert break_id in command.run("breaks", "list", "--type", "amount").output
    assert command.json("breaks", "list", "--overdue")["data"] == []
    principal_id = command.json("breaks", "show", break_id)["actions"][0]["principal_id"]
    command.json("breaks", "assign", break_id, "--owner", principal_id, "--note", "Mine.")
    first = command.json("breaks", "explain", break_id, "--explanation", "A typo.", "--idempotency-key", "k")
    again = command.json("breaks", "explain", break_id, "--explanation", "A typo.", "--idempotency-key", "k")
    assert first == again
    command.json("breaks", "note", break_id, "--note", "Wrote to them.")
    letter = tmp_path / "letter.txt"
    letter.write_bytes(b"Dear bank")
    added = command.json("breaks", "evidence", break_id, letter, "--media-type", "text/plain")
    assert added["sha256"] == hashlib.sha256(b"Dear bank").hexdigest()
    refused = command.run("breaks", "resolve", break_id, "--instruction", "release_x")
    assert (refused.exit_code, "correction_unfit" in refused.errors) == (1, True)
    asked = command.json(
        "breaks", "write-off", break_id, "--difference", "0.01", "--currency", "USD", "--reason", "Typo."
    )
    assert asked["approval_id"].startswith("approval_")
    assert [line["account"][:4] for line in asked["entry"]["lines"]] == ["5020", "1100"]
    told = command.run(
        "breaks", "write-off", break_id, "--difference", "0.01", "--currency", "USD", "--reason", "Again."
    )
    assert all(word in told.output for word in ("It posts USD 0.01", "5020.class_", "1100.class_"))
    shown = command.run("breaks", "show", break_id)
    assert all(word in shown.output for word in ("explained", "assigned", "noted", "evidence_added"))
    monkeypatch.setenv("TALLYSTICK_API_KEY", keys["auditor"])
    denied = command.run("breaks", "note", break_id, "--note", "x")
    assert (denied.exit_code, "role_not_allowed" in denied.errors) == (1, True)
