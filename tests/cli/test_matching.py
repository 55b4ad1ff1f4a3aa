"""`tallystick match` and `abandon-statement`: a treasury maker's, from the command line, and on record."""

from typing import Any

import pytest

from tallystick import statements
from tallystick.statements import importing
from tests.cli.conftest import CommandLine
from tests.cli.processes import REPOSITORY
from tests.database import DatabaseUrls, connect

STATEMENTS = REPOSITORY / "examples" / "statements"
FIRST_DAY = STATEMENTS / "2026-11-20-usd.xml"


@pytest.fixture
def maker(on_sandbox: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("TALLYSTICK_API_KEY", on_sandbox.sandbox["keys"]["maker"])
    return on_sandbox


def rows(urls: DatabaseUrls, sql: str) -> list[tuple[Any, ...]]:
    with connect(urls.superuser_url) as connection:
        return connection.execute(sql).fetchall()


def test_every_class_is_matched_and_again_changes_nothing(
    maker: CommandLine, database_urls: DatabaseUrls
) -> None:
    maker.run("import-statement", FIRST_DAY)

    first = maker.json("match", "--all")["data"]
    again = maker.json("match", "--all")["data"]
    told = maker.run("match", "--token-class", "USD")

    assert {one["currency"] for one in first} == {"USD", "EUR"}
    assert [one["matched_count"] for one in again] == [0, 0]
    open_of = {one["currency"]: (one["open_bank_count"], one["open_books_count"]) for one in again}
    assert f"open: {open_of['USD'][0]} of the bank, {open_of['USD'][1]} of the books." in told.output
    # Three credits made deposits; one waits for somebody to say whose it is.
    matched = rows(database_urls, "SELECT rule FROM bank_match WHERE state = 'accepted'")
    assert [rule for (rule,) in matched] == ["evidence"] * 3
    assert open_of["USD"][0] == 1
    recorded = rows(database_urls, "SELECT count(*) FROM audit_entry WHERE operation = 'matching_run'")
    assert recorded == [(5,)]


@pytest.mark.parametrize(
    ("options", "exit_code", "code"),
    [
        ([], 2, "choice_missing"),
        (["--all", "--token-class", "USD"], 2, "choice_missing"),
        (["--token-class", "GBP"], 1, "token_class_not_found"),
    ],
)
def test_what_can_not_be_matched(maker: CommandLine, options: list[str], exit_code: int, code: str) -> None:
    ran = maker.run("match", *options)

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (exit_code, code)


@pytest.mark.parametrize("who", ["platform", "holder"])
def test_customers_do_not_match(on_sandbox: CommandLine, who: str) -> None:
    ran = on_sandbox.run("match", "--all", "--key", on_sandbox.sandbox["keys"][who])

    assert (ran.exit_code, ran.errors.partition(":")[0]) == (1, "role_not_allowed")


@pytest.fixture
def half_read(maker: CommandLine, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a statement whose import died when all of its entries were in, and before it was whole."""

    class CrashError(Exception):
        pass

    def dies(*_: object) -> None:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(importing, "PART_SIZE_MAX", 2)
        patch.setattr(statements, "import_statement", dies)
        with pytest.raises(CrashError):
            maker.run("import-statement", FIRST_DAY)
    [(statement_id,)] = rows(database_urls, "SELECT id FROM statement")
    return str(statement_id)


def test_a_half_read_statement_is_abandoned_and_told_anew(
    maker: CommandLine, database_urls: DatabaseUrls, half_read: str
) -> None:
    abandoned = maker.json("abandon-statement", half_read, "--reason", "The file was cut short.")

    assert (abandoned["id"], abandoned["state"]) == (half_read, "abandoned")
    told = maker.run("import-statement", FIRST_DAY)
    assert told.exit_code == 0, told.errors
    deposits = rows(database_urls, "SELECT count(*) FROM instruction WHERE kind = 'deposit'")
    again = maker.run("abandon-statement", half_read, "--reason", "Once more.")
    assert (again.exit_code, again.errors.partition(":")[0]) == (1, "statement_abandoned")
    assert deposits == rows(database_urls, "SELECT count(*) FROM instruction WHERE kind = 'deposit'")
    recorded = rows(
        database_urls,
        "SELECT 1 FROM audit_entry WHERE operation = 'statement_abandonment'",
    )
    assert len(recorded) == 2


def test_a_whole_statement_can_not_be_abandoned(maker: CommandLine, database_urls: DatabaseUrls) -> None:
    maker.run("import-statement", FIRST_DAY)
    [(statement_id,)] = rows(database_urls, "SELECT id FROM statement")

    ran = maker.run("abandon-statement", statement_id, "--reason", "By mistake.")
    absent = maker.run("abandon-statement", "statement_00000000000000000000000000", "--reason", "None such.")

    assert ran.exit_code == absent.exit_code == 1
    assert (ran.errors.partition(":")[0], absent.errors.partition(":")[0]) == (
        "statement_complete",
        "statement_not_found",
    )
