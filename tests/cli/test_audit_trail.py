"""`tallystick audit-trail`, and what the commands that act as somebody leave in the trail."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY
from tests.database import DatabaseUrls, connect

FIRST_DAY = REPOSITORY / "examples" / "statements" / "2026-11-20-usd.xml"


def told(command_line: CommandLine, *options: object) -> list[dict[str, Any]]:
    key = command_line.sandbox["keys"]["operator"]
    found: list[dict[str, Any]] = command_line.json("audit-trail", "--key", key, *options)["data"]
    return found


def test_what_commands_did_and_were_refused(on_sandbox: CommandLine, tmp_path: Path) -> None:
    keys = on_sandbox.sandbox["keys"]
    bad = tmp_path / "bad.xml"
    bad.write_bytes(b"<x/>")
    assert on_sandbox.run("import-statement", FIRST_DAY, bad, "--key", keys["maker"]).exit_code == 1
    assert on_sandbox.run("reconcile", "--token-class", "USD", "--key", keys["auditor"]).exit_code == 0
    assert on_sandbox.run("export", "--key", keys["auditor"]).exit_code == 0
    assert on_sandbox.run("export", "--key", keys["platform"]).exit_code == 1
    assert on_sandbox.run("audit-trail", "--key", keys["auditor"]).exit_code == 0
    assert on_sandbox.run("audit-trail", "--key", keys["maker"]).exit_code == 1

    left = [
        (one["operation"], one["decision"], one["code"], one["method"])
        for one in told(on_sandbox)
        if one["kept_in"] == "trail"
    ]
    assert left == [
        ("statement_import", "settled", None, "command"),
        ("statement_import", "refused", "statement_not_xml", "command"),
        ("reconciliation", "settled", None, "command"),
        ("export", "settled", None, "command"),
        ("export", "refused", "role_not_allowed", "command"),
        ("/v1/audit-trail", "read", None, "command"),
        ("/v1/audit-trail", "refused", "role_not_allowed", "command"),
    ]
    whole = told(on_sandbox)
    assert "deposit" in {one["operation"] for one in whole if one["kept_in"] == "log"}
    refused = told(on_sandbox, "--decision", "refused", "--operation", "export")
    assert [one["code"] for one in refused] == ["role_not_allowed"]
    imported = next(one for one in whole if one["operation"] == "statement_import")
    assert told(on_sandbox, "--subject", imported["subject_id"]) == [imported]
    period = ("--from", whole[1]["created_at"], "--to", whole[-2]["created_at"])
    assert told(on_sandbox, *period) == [
        one for one in whole if whole[1]["created_at"] < one["created_at"] <= whole[-2]["created_at"]
    ]


def test_a_chain_that_is_broken_ends_with_exit_code_1(
    on_sandbox: CommandLine, database_urls: DatabaseUrls
) -> None:
    operator = ("--key", on_sandbox.sandbox["keys"]["operator"])
    for _ in range(2):
        on_sandbox.run("audit-trail", "--key", on_sandbox.sandbox["keys"]["auditor"])
    whole = on_sandbox.run("audit-trail", "--check", *operator)
    assert (whole.exit_code, whole.output.splitlines()[-1]) == (0, "The chain holds.")
    with connect(database_urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE audit_entry SET person = 'Somebody else' WHERE entry_number = 1")

    ran = on_sandbox.run("audit-trail", "--check", *operator, "--json")

    assert (ran.exit_code, ran.document["first_broken_number"]) == (1, 1)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--decision", "never"), "decision_unknown"),
        (("--from", "yesterday"), "time_malformed"),
    ],
)
def test_wrong_usage(on_sandbox: CommandLine, options: tuple[str, ...], code: str) -> None:
    ran = on_sandbox.run("audit-trail", "--key", on_sandbox.sandbox["keys"]["operator"], *options)

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (2, code)


def test_more_than_was_asked_for_is_said(on_sandbox: CommandLine) -> None:
    keys = on_sandbox.sandbox["keys"]
    for _ in range(3):
        on_sandbox.run("audit-trail", "--key", keys["auditor"])

    ran = on_sandbox.run("audit-trail", "--key", keys["operator"], "--limit", "2", "--json")

    assert (len(ran.document["data"]), ran.document["has_more"]) == (2, True)
    assert "narrow the period" in ran.errors
