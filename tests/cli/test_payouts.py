"""`tallystick payouts`, `payout-file` and `payout-status`: a payout from asking to the bank's rejection."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.test_treasury import FIRST_DAY
from tests.payouts.replying import report, transaction
from tests.tokens.paying import BENEFICIARY


def principal_id(command: CommandLine) -> str:
    """Return whose key the sandbox's maker has."""
    listed = command.json("principals", "list")["data"]
    return next(str(one["id"]) for one in listed if "treasury_maker" in one["roles"])


def test_a_payout_from_the_command_line(
    on_sandbox: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command, keys = on_sandbox, on_sandbox.sandbox["keys"]

    def acting(role: str) -> None:
        monkeypatch.setenv("TALLYSTICK_API_KEY", keys[role])

    acting("maker")
    command.run("import-statement", FIRST_DAY)
    accounts: dict[str, str] = command.sandbox["accounts"]
    account_id = next(one for name, one in accounts.items() if "harbour" in name.lower())
    class_id = command.sandbox["token_classes"]["usd"]
    asked = tmp_path / "payout.json"
    body = {"account_id": account_id, "amount": "1.00", "currency": "USD", "beneficiary": BENEFICIARY}
    asked.write_text(json.dumps(body))
    refused = command.run("payouts", "ask", asked)
    assert (refused.exit_code, "insufficient_funds" in refused.errors) == (1, True)
    nothing = command.run("payout-file", "make", "--token-class", class_id)
    assert (nothing.exit_code, "payout_file_outdated" in nothing.errors) == (1, True)
    assert command.json("payouts", "list")["data"] == []
    assert command.json("payout-file", "list")["data"] == []
    assert command.json("payout-finding", "list")["data"] == []

    message = tmp_path / "status.xml"
    message.write_bytes(report("NOBODYS", transaction(f"payout_{'0' * 26}", "RJCT")))
    first, again = (command.json("payout-status", message) for _ in range(2))
    assert (first["imported"], again["imported"], first["id"]) == (True, False, again["id"])
    assert first["sha256"] == hashlib.sha256(message.read_bytes()).hexdigest()
    assert "status_unknown_payout" in command.run("payout-finding", "list").output
    [found] = command.json("payout-finding", "list", "--state", "open")["data"]
    about = ("--idempotency-key", "one", "--note", "Ring them.")
    assigned = command.run("payout-finding", "assign", found["id"], "--owner", principal_id(command), *about)
    assert ("assigned status_unknown_payout" in assigned.output, assigned.exit_code) == (True, 0)
    assert command.json("payout-finding", "note", found["id"], "--note", "Theirs.")["state"] == "assigned"
    absent = command.run("payout-finding", "resolve", found["id"], "--note", "So.", "--instruction", "x")
    assert (absent.exit_code, "payout_correction_unfit" in absent.errors) == (1, True)
    assert command.json("payout-finding", "resolve", found["id"], "--note", "Done.")["state"] == "resolved"
    shown = command.run("payout-finding", "show", found["id"]).output
    assert [line.split()[1] for line in shown.splitlines()[1:]] == ["assigned", "noted", "resolved"]
    acting("auditor")
    denied = command.run("payout-status", message)
    assert (denied.exit_code, "role_not_allowed" in denied.errors) == (1, True)
