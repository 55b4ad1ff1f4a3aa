"""What the documents say is what the code does: links, settings, journals, the event, commands, paths, error codes."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from jwt.utils import base64url_decode
from typer.core import TyperGroup
from typer.main import get_command

from tallystick.api.application import build
from tallystick.cli.commands import application
from tallystick.core.errors import domain_errors
from tallystick.core.money import format_amount
from tallystick.core.settings import Settings
from tallystick.ledger import CHART, CLAIM_CODES
from tallystick.tokens import EVENT_TYPES, BreakerTrippedError, Kind
from tallystick.tokens.journals import journal
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, statement
from tests.database import connect
from tests.docs.documents import DOCUMENTS, REPOSITORY, anchors, code, links, prose, table
from tests.liabilities.attested import attest
from tests.reconciliation.runs import open_breaks, write_off

# What the environment is asked for beside the settings: who acts, where, and the passwords of the containers.
NOT_SETTINGS: Final = {
    "TALLYSTICK_API_KEY",
    "TALLYSTICK_URL",
    "TALLYSTICK_ROOT_PASSPHRASE",
    "TALLYSTICK_WITNESS_PASSPHRASE",
    "TALLYSTICK_OWNER_PASSWORD",
    "TALLYSTICK_SERVICE_PASSWORD",
}
INDEX: Final = REPOSITORY / "docs" / "README.md"
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY))
)


@each_document
def test_links_resolve(document: Path) -> None:
    for target in links(document):
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), f"{target} leads nowhere"
        assert found.is_relative_to(REPOSITORY), f"{target} leads out of the repository"
        if anchor:
            assert anchor in anchors(found), f"{target} names no heading"


def test_the_index_names_every_document() -> None:
    named = {(INDEX.parent / target.partition("#")[0]).resolve() for target in links(INDEX)}
    assert {path.resolve() for path in DOCUMENTS if path.parent != REPOSITORY} - {INDEX} <= named


def _as_written(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_every_setting_is_explained() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in table("operators.md", "variable")}
    defaults = {
        f"TALLYSTICK_{name.upper()}": "none" if field.default is None else _as_written(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert told == defaults | {"TALLYSTICK_DATABASE_OWNER_URL": "the service's"}


@each_document
def test_no_document_invents_a_setting(document: Path) -> None:
    settings = {f"TALLYSTICK_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"TALLYSTICK_[A-Z_]*[A-Z]", document.read_text())) <= settings | NOT_SETTINGS


def test_the_chart_is_the_ledger_s() -> None:
    told = [tuple(row[:4]) for row in table("accounting.md", "code")]
    assert told == [
        (
            entry.code,
            entry.name,
            "debit" if entry.debit_normal else "credit",
            "account" if entry.per_holder else "class",
        )
        for entry in CHART.values()
    ]


def test_the_journals_are_the_write_path_s() -> None:
    posting = {row[0].strip("`"): tuple(row[1:]) for row in table("accounting.md", "kind", "debit")}
    silent = {row[0].strip("`") for row in table("accounting.md", "kind", "what it does")}
    assert posting.keys() | silent == {kind.value for kind in Kind}
    assert not posting.keys() & silent
    for kind, told in posting.items():
        debit, credit = journal(kind, 1, "class", "payer", "payee")
        sides = [one.ledger_account_id.replace(".", " ") for one in (debit, credit)]
        assert told == (f"`{EVENT_TYPES[kind]}`", *sides)
    for kind in silent:
        with pytest.raises(KeyError):
            journal(kind, 1, "class", "payer", "payee")
        assert kind not in EVENT_TYPES or EVENT_TYPES[kind] in prose("accounting.md")


def test_accounts_that_are_said_to_be_unused_are() -> None:
    posting = [row[0].strip("`") for row in table("accounting.md", "kind", "debit")]
    used = {
        one.ledger_account_id[:4] for kind in posting for one in journal(kind, 1, "class", "payer", "payee")
    }
    # A break's write-off posts besides, which is a change.
    used |= {row[column][:4] for row in table("accounting.md", "change") for column in (3, 4)}
    assert used == {row[0] for row in table("accounting.md", "code") if row[4] != "-"}


def test_the_example_s_figures_are_right(bank: Bank) -> None:
    *_, last = _replayed_example(bank)

    oracle(bank)
    assert last[1] == "deposit_release"


def _replayed_example(bank: Bank) -> Iterator[list[str]]:
    ids: dict[str, str] = {}
    for row in table("accounting.md", "step"):
        kind, amount = row[1].strip("`"), row[2]
        match kind:
            case "deposit":
                bank.deposit("HARBOUR-USD", amount)
            case "mint":
                bank.mint("HARBOUR-USD", amount, deposited=False)
            case "transfer":
                ids["transfer"] = bank.transfer("HARBOUR-USD", "LANTERN-USD", amount)
            case "hold":
                ids["hold"] = bank.hold("LANTERN-USD", "SILKROAD-USD", amount)
            case "hold_execution":
                bank.execute_hold(ids["hold"], amount)
            case "hold_void":
                bank.void_hold(ids["hold"])
            case "reversal":
                bank.reverse(ids["transfer"], amount)
            case "redemption":
                bank.redeem("HARBOUR-USD", amount)
            case "deposit_release":
                bank.release_deposit("HARBOUR-USD", amount)
        assert row[3:] == _figures(bank), row[0]
        yield [row[0], kind]


def _figures(bank: Bank) -> list[str]:
    columns = [
        ("1100", "USD"),
        ("2010", "HARBOUR-USD"),
        ("2110", "HARBOUR-USD"),
        ("2110", "LANTERN-USD"),
        ("2120", "LANTERN-USD"),
        ("2110", "SILKROAD-USD"),
    ]
    supply_minor = sum(
        bank.balance_minor(code, account)
        for code in CLAIM_CODES
        for account in bank.accounts
        if account.endswith("USD")
    )
    found = [bank.balance_minor(code, owner) for code, owner in columns]
    return [format_amount(minor, 2) for minor in (*found, supply_minor)]


def test_the_event_s_members_are_told(bank: Bank) -> None:
    for _ in _replayed_example(bank):
        pass
    bank.freeze("NORTHWIND-EUR")
    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00", purpose="GDDS")
    bank.enact("EUR", breaker={"mints": 1})
    bank.mint("HARBOUR-EUR", "1.00")
    with pytest.raises(BreakerTrippedError):
        bank.mint("HARBOUR-EUR", "1.00")
    attest(bank)
    bank.import_statement(statement(Entry("3.00", credit=False)))
    write_off(bank, next(one for one in open_breaks(bank) if one.difference_minor == 300))
    with connect(bank.urls.superuser_url) as connection:
        tokens = [str(row[0]) for row in connection.execute("SELECT jws FROM event")]
    members: set[str] = set()
    for token in tokens:
        members |= json.loads(base64url_decode(token.split(".")[1])).keys()

    assert [row[0].strip("`") for row in table("architecture.md", "member")] == sorted(members)


def test_the_database_s_guards_are_told(bank: Bank) -> None:
    append_only, changeable = (
        set(re.findall(r"`([a-z_]+)`", row[0])) for row in table("architecture.md", "tables", "may")
    )
    with connect(bank.urls.superuser_url) as connection:
        guarded = {
            str(row[0])
            for row in connection.execute(
                "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only'"
            )
        }
        tables = {
            str(row[0])
            for row in connection.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            )
        }
    assert append_only == guarded
    assert changeable == tables - guarded - {"alembic_version"}


@each_document
def test_paths_are_the_api_s(document: Path) -> None:
    for line in code(document):
        for path in re.findall(r"/(?:v1/|\.well-known/)[a-zA-Z0-9/_{}.…$\-]*[a-zA-Z0-9_}…]", line):
            shape = re.sub(r"\{[a-z_]+\}|[a-z]+_…|\$[A-Z_]+", "{}", path)
            assert shape in _shapes_of_paths(), f"{path} is no path of the API"


@cache
def _shapes_of_paths() -> frozenset[str]:
    return frozenset(re.sub(r"\{[a-z_]+\}", "{}", path) for path in build().openapi()["paths"])


@each_document
def test_commands_exist(document: Path) -> None:
    command = get_command(application)
    assert isinstance(command, TyperGroup)
    for line in code(document):
        for name, word in re.findall(r"(?:^|\s)tallystick ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?", line):
            assert name in command.commands, f"tallystick {name}"
            found = command.commands[name]
            if isinstance(found, TyperGroup) and word:
                assert word in found.commands, f"tallystick {name} {word}"


def test_error_codes_are_the_service_s() -> None:
    known = {error.code: str(error.status) for error in domain_errors()}
    told = {row[0].strip("`"): row[1] for row in table("merchants.md", "code")}
    assert told == {code: known.get(code) for code in told}
