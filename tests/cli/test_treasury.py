"""A treasury's day from files: statements, reconciliation, exports; with an API key and its role, as over HTTP."""

import hashlib
import json
from pathlib import Path

import pytest

from tallystick_verify.cli import run as verify
from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY
from tests.database import DatabaseUrls, connect

STATEMENTS = REPOSITORY / "examples" / "statements"
FIRST_DAY = STATEMENTS / "2026-11-20-usd.xml"
SECOND_DAY = STATEMENTS / "2026-11-21-usd.xml"


@pytest.fixture
def maker(on_sandbox: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("TALLYSTICK_API_KEY", on_sandbox.sandbox["keys"]["maker"])
    return on_sandbox


def test_statements_are_imported_once(maker: CommandLine) -> None:
    told = maker.run("import-statement", FIRST_DAY)
    again = maker.json("import-statement", FIRST_DAY, SECOND_DAY)

    assert told.exit_code == 0
    assert "closing balance USD 1263278.27: 3 deposits confirmed, 1 waiting for assignment" in told.output
    first, second = again["data"]
    assert (first["file"], first["imported"], second["imported"]) == (str(FIRST_DAY), False, True)
    assert second["statements"][0]["deposits"] == {"confirmed": 2, "unassigned": 0, "none": 1}
    assert second["statements"][0]["closing_balance"] == "1347578.27"


def test_a_file_that_is_refused_keeps_no_other_from_being_imported(
    maker: CommandLine, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.xml"
    bad.write_bytes(b"<!DOCTYPE x>" + FIRST_DAY.read_bytes().partition(b"?>")[2])

    ran = maker.run("import-statement", bad, FIRST_DAY, "--json")

    assert ran.exit_code == 1
    refused, imported = ran.document["data"]
    assert (refused["imported"], refused["code"]) == (False, "statement_doctype_forbidden")
    assert imported["imported"]
    assert f"{bad}: statement_doctype_forbidden: " in ran.errors


def test_a_file_over_the_limit_is_not_read(maker: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_STATEMENT_FILE_SIZE_MAX_BYTES", "1024")

    ran = maker.run("import-statement", FIRST_DAY, "--json")

    assert (ran.exit_code, ran.document["data"][0]["code"]) == (1, "statement_too_large")


@pytest.mark.parametrize("command", [["import-statement", FIRST_DAY], ["reconcile", "--all"], ["export"]])
def test_somebody_acts_or_nothing_happens(on_sandbox: CommandLine, command: list[object]) -> None:
    ran = on_sandbox.run(*command)

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (2, "api_key_missing")


@pytest.mark.parametrize("who", ["checker", "operator", "auditor", "platform", "holder"])
def test_only_a_maker_imports(on_sandbox: CommandLine, who: str) -> None:
    ran = on_sandbox.run("import-statement", FIRST_DAY, "--key", on_sandbox.sandbox["keys"][who])

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (1, "role_not_allowed")


@pytest.mark.parametrize("who", ["platform", "holder"])
@pytest.mark.parametrize("command", [["reconcile", "--all"], ["export"]], ids=["reconcile", "export"])
def test_customers_neither_reconcile_nor_export(
    on_sandbox: CommandLine, who: str, command: list[str]
) -> None:
    ran = on_sandbox.run(*command, "--key", on_sandbox.sandbox["keys"][who])

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (1, "role_not_allowed")


def test_reconciling_every_class(maker: CommandLine) -> None:
    maker.run("import-statement", FIRST_DAY, STATEMENTS / "2026-11-20-eur.xml")

    runs = maker.json("reconcile", "--all")["data"]
    told = maker.run("reconcile", "--token-class", "USD")

    assert {one["currency"]: one["verdict"] for one in runs} == {"USD": "tied", "EUR": "tied"}
    assert told.exit_code == 0
    # The statements, what they confirmed, and the attestations of the two runs before this one.
    assert told.output.startswith("USD: TIED up to event 10 ")
    by_id = maker.json("reconcile", "--token-class", maker.sandbox["token_classes"]["usd"])["data"]
    assert [one["currency"] for one in by_id] == ["USD"]


def test_a_cent_that_is_missing_ends_with_exit_code_1(
    maker: CommandLine, database_urls: DatabaseUrls
) -> None:
    maker.run("import-statement", FIRST_DAY)
    with connect(database_urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE statement SET closing_minor = closing_minor + 1")

    ran = maker.run("reconcile", "--token-class", "USD", "--json")
    told = maker.run("reconcile", "--token-class", "USD")

    assert (ran.exit_code, told.exit_code) == (1, 1)
    [run] = ran.document["data"]
    assert run["verdict"] == "broken"
    assert [one["difference"] for one in run["findings"] if one["type"] != "timing"] == ["-0.01"]
    assert "USD: BROKEN" in told.output
    assert "-0.01" in told.output


def test_a_past_moment_is_reconciled_as_it_was(maker: CommandLine) -> None:
    maker.run("import-statement", FIRST_DAY)

    ran = maker.run("reconcile", "--token-class", "USD", "--as-of", "2026-11-19", "--json")

    # No statement had been imported by then, and nothing is taken on trust.
    [before] = ran.document["data"]
    assert (before["event_index"], before["ledger_as_of"]) == (-1, "2026-11-19T00:00:00.000000Z")
    assert (ran.exit_code, before["verdict"], before["statement_id"]) == (1, "broken", None)


@pytest.mark.parametrize(
    ("options", "exit_code", "code"),
    [
        ([], 2, "choice_missing"),
        (["--all", "--token-class", "USD"], 2, "choice_missing"),
        (["--token-class", "GBP"], 1, "token_class_not_found"),
        (["--all", "--as-of", "now"], 2, "time_malformed"),
        (["--all", "--as-of", "2026-13-01"], 2, "time_malformed"),
        (["--all", "--as-of", "2126-01-01T00:00:00Z"], 1, "as_of_in_future"),
    ],
)
def test_what_can_not_be_reconciled(
    maker: CommandLine, options: list[str], exit_code: int, code: str
) -> None:
    ran = maker.run("reconcile", *options)

    assert (ran.exit_code, ran.errors.splitlines()[-1].partition(":")[0]) == (exit_code, code)


def test_an_export_lies_where_it_was_asked_for(maker: CommandLine, tmp_path: Path) -> None:
    maker.run("import-statement", FIRST_DAY)

    made = maker.json("export", "--format", "jsonl", "--from", "2026-11-20", "--output", tmp_path / "out")

    folder = Path(made["folder"])
    assert folder == tmp_path / "out" / made["id"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == made["manifest"]
    assert manifest["arguments"]["from"] == "2026-11-20T00:00:00.000000Z"
    for file in manifest["files"]:
        assert hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest() == file["sha256"]
    assert len(made["manifest"]["files"]) >= 3


def test_an_evidence_pack_is_verified_by_the_other_command(maker: CommandLine, tmp_path: Path) -> None:
    maker.run("import-statement", FIRST_DAY)
    made = maker.json("export", "--format", "evidence", "--output", tmp_path / "packs")
    [key] = [one for one in maker.json("keys", "list")["data"] if one["key_use"] == "event"]
    policy = tmp_path / "bank.toml"
    policy.write_text(
        f'version = 1\nissuer_id = "{made["issuer_id"]}"\n[[keys]]\nkid = "{key["id"]}"\nx = "{key["x"]}"\n'
    )

    exit_code = verify([made["folder"], "--policy", str(policy), "--allow-no-checkpoint", "--json"])

    verdict = json.loads(maker.captured.readouterr().out)
    assert (exit_code, verdict["verdict"]) == (0, "verified")
    assert [one["deposits_confirmed"] for one in verdict["figures"]] == ["1262500.50"]


def test_options_are_those_of_the_api(maker: CommandLine) -> None:
    maker.run("import-statement", FIRST_DAY)

    made = maker.json("export", "--sample-size", "2", "--seed", "x", "--sample-method", "random")
    day = ("--business-date", "2020-02-28", "--business-date-until", "2020-02-29")
    days = maker.json("export", "--format", "xlsx", *day)
    ledger = maker.json("export", "--format", "gl_csv", *day[:2], "--detail", "codes")

    asked = made["manifest"]["arguments"]
    assert (asked["sample_size"], asked["seed"], asked["sample_method"]) == (2, "x", "random")
    assert "sample.csv" in {one["name"] for one in made["manifest"]["files"]}
    assert days["manifest"]["arguments"]["to"] == "2020-02-29T23:59:59.999999Z"
    assert [one["name"] for one in ledger["manifest"]["files"]] == [
        f"gl_2020-02-28{part}.csv" for part in ("", "_balances", "_control")
    ]


def test_an_export_is_told_to_people(maker: CommandLine) -> None:
    maker.run("import-statement", FIRST_DAY)

    ran = maker.run("export")

    assert ran.exit_code == 0
    assert str(maker.state / "exports" / "export_") in ran.output
    assert "USD: debits 1262500.50, credits 1262500.50, ties" in ran.output
    assert "journal.csv" in ran.output


@pytest.mark.parametrize(
    ("options", "exit_code", "code"),
    [
        (["--format", "docx"], 2, "format_unknown"),
        (["--to", "tomorrow"], 2, "time_malformed"),
        (["--business-date", "tomorrow"], 2, "date_malformed"),
        (["--detail", "all"], 2, "choice_unknown"),
        (["--sample-method", "all"], 2, "choice_unknown"),
        (["--format", "pdf"], 1, "export_options_invalid"),
        (["--format", "pdf", "--account", "account_1"], 1, "account_not_found"),
        (["--business-date", "2126-01-01"], 1, "export_period_invalid"),
        (["--from", "2126-01-01"], 1, "export_period_invalid"),
        (["--token-class", "class_1"], 1, "token_class_not_found"),
    ],
)
def test_what_can_not_be_exported(maker: CommandLine, options: list[str], exit_code: int, code: str) -> None:
    ran = maker.run("export", *options)

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (exit_code, code)
