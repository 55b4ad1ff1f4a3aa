"""The files that a date's hand-off stands for: its journal lines by value date, as the log stood, and their totals."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tallystick import closing, exports
from tallystick.closing import HandOff, HandOffNotFoundError
from tallystick.core.money import format_amount
from tallystick.exports import ExportArguments, ExportFormat, ExportOptions, ExportOptionsInvalidError
from tallystick.tokens import Kind
from tests.bank import Bank, oracle
from tests.closing.days import FRIDAY, MONDAY, attest, bring_statement, end_day, hand_off, set_calendar
from tests.exports.exported import contents, csv_rows, workshop

UNKNOWN = "hand_off_00000000000000000000000000"


def exported(
    bank: Bank,
    directory: Path,
    hand_off_id: str,
    export_format: ExportFormat = ExportFormat.GL_CSV,
    token_class_id: str | None = None,
    **options: Any,
) -> dict[str, bytes]:
    asked = ExportArguments(
        export_format,
        token_class_id=token_class_id,
        options=ExportOptions(hand_off_id=hand_off_id, **options),
    )
    with bank.database.read() as connection:
        arguments = closing.export_arguments(connection, bank.issuer_id, asked)
    made = exports.create_export(workshop(bank, directory), bank.auditor, arguments)
    assert made.failure is None
    return contents(directory, made)


def late_deposit(bank: Bank, day: date) -> None:
    asked = bank.ask(
        Kind.DEPOSIT,
        bank.maker,
        amount="5.00",
        currency="USD",
        payee_account_id=bank.account_id("LANTERN-USD"),
        value_date=day,
        reason="Seen on the core.",
    )
    bank.approve(asked.resource_id, "5.00", "USD")


@pytest.fixture
def two_days(bank: Bank) -> tuple[HandOff, HandOff]:
    """A Friday that was closed, and a Monday with an entry that belongs to Sunday."""
    set_calendar(bank)
    end_day(bank, FRIDAY)
    with bank.database.read() as connection:
        friday = closing.business_date(connection, bank.clock, bank.issuer_id, FRIDAY).checklist.hand_off
    assert friday is not None
    bank.clock.at += timedelta(days=3)
    bring_statement(bank, MONDAY, ("HARBOUR-USD", "40.00"), opening="100.00")
    bank.mint("HARBOUR-USD", "20.00", deposited=False)
    late_deposit(bank, MONDAY - timedelta(days=1))
    attest(bank)
    return friday, hand_off(bank, MONDAY)


def test_the_file_is_what_was_signed(bank: Bank, tmp_path: Path, two_days: tuple[HandOff, HandOff]) -> None:
    value_dates: set[str] = set()
    for handed_off in two_days:
        files = exported(bank, tmp_path, handed_off.id)

        name = f"gl_{handed_off.business_date}"
        control = csv_rows(files[f"{name}_control.csv"])
        told = {row["currency"]: row for row in control}
        for of_class in handed_off.totals:
            if of_class["line_count"]:
                row = told.pop(of_class["currency"])
                assert int(row["lines"]) == of_class["line_count"]
                assert row["debits"] == format_amount(of_class["debits_minor"], of_class["scale"])
                assert row["credits"] == format_amount(of_class["credits_minor"], of_class["scale"])
        assert {row["ties"] for row in control} == {"true"}
        assert {row["journal_sha256"] for row in control} == {handed_off.sha256.hex()}
        assert {row["hand_off_id"] for row in control} == {handed_off.id}
        rows = csv_rows(files[f"{name}.csv"])
        assert len(rows) == sum(one["line_count"] for one in handed_off.totals) > 0
        value_dates |= {row["value_date"] for row in rows}
        assert {row["business_date"] for row in rows} == {handed_off.business_date.isoformat()}
    # Sunday is Monday's: the period takes it in.
    assert (MONDAY - timedelta(days=1)).isoformat() in value_dates
    oracle(bank)


def test_a_date_opens_with_what_the_one_before_closed_at(
    bank: Bank, tmp_path: Path, two_days: tuple[HandOff, HandOff]
) -> None:
    first, second = (
        csv_rows(exported(bank, tmp_path, one.id)[f"gl_{one.business_date}_balances.csv"]) for one in two_days
    )
    closing_of = {(row["currency"], row["code"]): Decimal(row["balance"]) for row in first}
    for row in second:
        moved = Decimal(row["debits"]) - Decimal(row["credits"])
        moved = moved if row["normal_balance"] == "debit" else -moved
        assert Decimal(row["opening_balance"]) == closing_of.get((row["currency"], row["code"]), 0)
        assert Decimal(row["opening_balance"]) + moved == Decimal(row["balance"])
    assert {row["code"]: row["balance"] for row in second} == {
        "1100": "145.00",
        "2010": "65.00",
        "2110": "80.00",
    }


def test_what_is_booked_since_changes_no_byte(
    bank: Bank, tmp_path: Path, two_days: tuple[HandOff, HandOff]
) -> None:
    monday = two_days[1]
    before = exported(bank, tmp_path / "before", monday.id)

    bank.transfer("HARBOUR-USD", "LANTERN-USD", "1.00")
    late_deposit(bank, MONDAY)

    assert exported(bank, tmp_path / "after", monday.id) == before
    again = hand_off(bank, MONDAY)
    assert again.sha256 != monday.sha256
    other = exported(bank, tmp_path / "again", again.id)
    name = f"gl_{MONDAY}_control.csv"
    assert csv_rows(other[name])[0]["batch_id"] != csv_rows(before[name])[0]["batch_id"]


def test_codes_and_one_class(bank: Bank, tmp_path: Path, two_days: tuple[HandOff, HandOff]) -> None:
    friday = two_days[0]
    summed = exported(
        bank,
        tmp_path,
        friday.id,
        ExportFormat.GL_CSV,
        bank.classes["USD"].id,
        detail=exports.LedgerDetail.CODES,
    )

    rows = csv_rows(summed[f"gl_{FRIDAY}.csv"])
    assert {row["code"] for row in rows} == {"1100", "2010", "2110"}
    [control] = csv_rows(summed[f"gl_{FRIDAY}_control.csv"])
    assert not control["journal_sha256"], "the close signs no hash of one class alone"
    assert int(control["lines"]) == sum(int(row["lines"]) for row in rows)


def test_what_names_no_hand_off_is_refused(
    bank: Bank, tmp_path: Path, two_days: tuple[HandOff, HandOff]
) -> None:
    with pytest.raises(HandOffNotFoundError):
        exported(bank, tmp_path, UNKNOWN)
    with pytest.raises(ExportOptionsInvalidError):
        exported(bank, tmp_path, two_days[0].id, business_date=FRIDAY)
    with pytest.raises(ExportOptionsInvalidError):
        exported(bank, tmp_path, two_days[0].id, ExportFormat.CSV)
