"""Independent double-entry programs read the exported journal and come to our balances."""

import csv
import io
import shutil
import subprocess
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from beancount import loader
from beancount.core.data import Balance, Open, Transaction

from tallystick.exports import ExportFormat
from tallystick.ledger import CHART
from tests.bank import Bank
from tests.exports.exported import DAYS, contents, csv_rows, export_of

PERIODS = [(None, None), (None, DAYS[0]), (DAYS[0], DAYS[1]), (DAYS[1], None), (DAYS[2], None)]
# Whose balance: currency and code. Debits are positive.
_Balances = dict[tuple[str, str], Decimal]


def journal(bank: Bank, directory: Path, export_format: ExportFormat, period: Any) -> str:
    after, until = period
    export = export_of(bank, directory, export_format, after=after, until=until)
    return contents(directory, export)[f"journal.{export_format}"].decode()


def trial_balance(bank: Bank, directory: Path, period: tuple[datetime | None, datetime | None]) -> _Balances:
    after, until = period
    rows = csv_rows(
        contents(directory, export_of(bank, directory, after=after, until=until))["trial_balance.csv"]
    )
    return {
        (row["currency"], row["code"]): Decimal(row["debit_balance"] or 0)
        - Decimal(row["credit_balance"] or 0)
        for row in rows
    }


def of_beancount(text: str) -> tuple[_Balances, list[Any]]:
    directives, errors, _ = loader.load_string(text)
    balances: _Balances = defaultdict(Decimal)
    ids = {one.account: one.meta["ledger_account_id"] for one in directives if isinstance(one, Open)}
    for one in directives:
        if isinstance(one, Transaction):
            for posting in one.postings:
                assert posting.units is not None
                assert posting.units.number is not None
                code = ids[posting.account].partition(".")[0]
                balances[posting.units.currency, code] += posting.units.number
    assert len(ids) == sum(isinstance(one, Balance) for one in directives)
    return dict(balances), list(errors)


@pytest.mark.parametrize("period", PERIODS)
def test_beancount_agrees(shared: Bank, tmp_path: Path, period: Any) -> None:
    balances, errors = of_beancount(journal(shared, tmp_path, ExportFormat.BEANCOUNT, period))

    assert errors == []
    ours = trial_balance(shared, tmp_path, period)
    assert ours
    # An account that moved before the period and is empty by its beginning has nothing to be told of.
    assert balances == {place: amount for place, amount in ours.items() if amount or place in balances}


@pytest.mark.parametrize(
    ("told", "changed"),
    [("400.00 USD", "400.01 USD"), ("-0.01 EUR", "-0.02 EUR"), ("-250.49 ~ 0 EUR", "-250.50 ~ 0 EUR")],
)
def test_beancount_would_notice(shared: Bank, tmp_path: Path, told: str, changed: str) -> None:
    text = journal(shared, tmp_path, ExportFormat.BEANCOUNT, (None, None))
    assert told in text

    _, errors = of_beancount(text.replace(told, changed, 1))

    assert errors


def hledger(text: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("hledger")
    if program is None:
        pytest.skip("hledger is not installed")
    return subprocess.run(
        [program, "-f", "-", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"LC_ALL": "C.UTF-8"},
    )


@pytest.mark.parametrize("period", PERIODS)
def test_hledger_agrees(shared: Bank, tmp_path: Path, period: Any) -> None:
    text = journal(shared, tmp_path, ExportFormat.HLEDGER, period)

    checked = hledger(text, "check", "--strict", "ordereddates")
    assert (checked.returncode, checked.stderr) == (0, "")
    told = hledger(text, "balance", "--depth", "1", "--empty", "--no-total", "--layout", "bare", "-O", "csv")
    assert told.returncode == 0, told.stderr
    balances: _Balances = {}
    for row in csv.DictReader(io.StringIO(told.stdout)):
        if row["commodity"]:
            balances[row["commodity"], row["account"]] = Decimal(row["balance"])
    ours = trial_balance(shared, tmp_path, period)
    assert balances == {place: amount for place, amount in ours.items() if amount or place in balances}


def test_hledger_would_notice(shared: Bank, tmp_path: Path) -> None:
    text = journal(shared, tmp_path, ExportFormat.HLEDGER, (None, None))

    for told, changed in (("  400.00 USD =", "  400.01 USD ="), ("= -0.01 EUR", "= -0.02 EUR")):
        assert told in text
        assert hledger(text.replace(told, changed, 1), "check").returncode != 0


def test_hledger_s_accounts_are_code_name_and_owner(shared: Bank, tmp_path: Path) -> None:
    text = journal(shared, tmp_path, ExportFormat.HLEDGER, (None, None))

    owner = shared.account_id("HARBOUR-USD")
    assert f"\n    2110:Tokens available:{owner}  -5.00 USD = -595.00 USD\n" not in text
    assert f"\n    2110:Tokens available:{owner}  5.00 USD = -595.00 USD\n" in text
    assert f"\n    2010:Customer deposits available to tokenise:{owner}  -5.00 USD = -5.00 USD\n" in text


def test_every_code_of_the_chart_has_a_place_in_both_programs() -> None:
    from tallystick.exports.plain_text import _Beancount, _Hledger

    names = [_Beancount._name(f"{code}.account_01") for code in CHART]
    assert len(set(names)) == len(CHART)
    text = "".join(f"2026-01-01 open {name} USD\n" for name in names)
    assert loader.load_string(text)[1] == []
    assert all(_Hledger._name(f"{code}.x") == f"{code}:{CHART[code].name}:x" for code in CHART)
