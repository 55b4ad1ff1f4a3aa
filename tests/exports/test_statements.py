"""What a statement tells, whichever way it is written: movements, names, numbers, and the checkpoint."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tallystick import participants, transparency
from tallystick.exports import ExportArguments, ExportFormat, ExportOptions, account_statement
from tallystick.exports.account_statement import AccountStatement, Movement, movements, pinned_statement
from tallystick.exports.arguments import checked_arguments
from tallystick.exports.asking import pin
from tallystick.exports.reading import scope_of
from tallystick.participants import AccountNotFoundError
from tests.bank import Bank
from tests.exports.exported import DAYS, export_of, workshop


def told(bank: Bank, account: str, **options: Any) -> tuple[AccountStatement, list[Movement]]:
    """Return an account's statement with its movements."""
    arguments = ExportArguments(
        ExportFormat.CAMT053, options=ExportOptions(account_id=bank.account_id(account), **options)
    )
    with bank.database.read() as connection:
        pinned = pin(
            connection, bank.clock, bank.auditor, arguments, workshop(bank, Path("nowhere")).vouching
        )
        issuer = participants.issuer(connection, bank.auditor, bank.issuer_id)
        scope = scope_of(connection, bank.auditor, pinned)
        statement = account_statement.account_statement(connection, issuer, scope, pinned)
        return statement, list(movements(connection, statement))


def test_every_kind_of_movement(lived: Bank) -> None:
    transfer = lived.transfer("HARBOUR-USD", "LANTERN-USD", "1.00", reference="Order 12", purpose="SUPP")
    lived.reverse(transfer, "1.00")
    lived.place_order("LANTERN-USD", "10.00")

    statement, found = told(lived, "LANTERN-USD")

    # Placing a hold or an order moves nothing out of the holder's claim.
    assert [(one.event_type, statement.amount(one.amount_minor)) for one in found] == [
        ("token.transferred", "400.00"),
        ("hold.executed", "-20.00"),
        ("token.transferred", "1.00"),
        ("transfer.reversed", "-1.00"),
    ]
    assert [one.balance_minor for one in found] == [40000, 38000, 38100, 38000]
    assert statement.closing_minor == 38000
    assert (statement.closing["2110"], statement.closing["2120"], statement.closing["2130"]) == (
        34000,
        3000,
        1000,
    )
    assert [(one.reference, one.purpose) for one in found[2:]] == [("Order 12", "SUPP")] * 2
    assert [one.end_to_end_id for one in found[2:]] == [transfer] * 2
    assert str(found[1].end_to_end_id).startswith("hold_")
    assert {one.counterparty_account_id for one in found} == {
        lived.account_id("HARBOUR-USD"),
        lived.account_id("SILKROAD-USD"),
    }


def test_names_are_told_to_those_who_know_them(shared: Bank) -> None:
    # A platform knows its merchants; a merchant knows neither its platform nor its neighbours.
    _, of_platform = told(shared, "HARBOUR-USD")
    _, of_merchant = told(shared, "LANTERN-USD")

    names = {one.counterparty_account_id: one.counterparty_name for one in of_platform}
    assert names == {None: None, shared.account_id("LANTERN-USD"): "Lantern Lighting Co"}
    assert {one.counterparty_name for one in of_merchant} == {None}
    assert all(one.counterparty_account_id for one in of_merchant)


def test_periods_follow_each_other(shared: Bank) -> None:
    closing = 0
    for day in DAYS:
        statement, found = told(shared, "HARBOUR-USD", business_date=day.date())
        assert statement.opening_minor == closing
        assert all(one.booked_at.date() == day.date() for one in found)
        closing = statement.closing_minor
        assert closing == statement.opening_minor + sum(one.amount_minor for one in found)
    assert closing == 59500


@pytest.mark.parametrize(
    ("first", "last", "number"),
    [
        (date(2026, 11, 20), None, 1),
        (date(2026, 11, 22), None, 3),
        (date(2026, 11, 1), date(2026, 11, 30), 1),
        (date(2027, 2, 1), date(2027, 2, 28), 4),
        (date(2026, 12, 1), date(2026, 12, 31), 2),
        (date(2026, 11, 20), date(2026, 11, 21), None),
        (date(2026, 11, 2), date(2026, 12, 1), None),
        (date(2026, 11, 19), None, None),
        (date(2026, 10, 1), date(2026, 10, 31), None),
    ],
)
def test_days_and_months_are_numbered(
    shared: Bank, first: date, last: date | None, number: int | None
) -> None:
    arguments = checked_arguments(
        ExportArguments(
            ExportFormat.PDF,
            options=ExportOptions(
                account_id=shared.account_id("HARBOUR-USD"), business_date=first, business_date_until=last
            ),
        ),
        datetime(2028, 1, 1, tzinfo=UTC),
    )
    statement, _ = told(shared, "HARBOUR-USD")
    assert arguments.booked_after is not None
    assert arguments.booked_until is not None
    asked = replace(
        statement,
        from_at=arguments.booked_after + timedelta(microseconds=1),
        to_at=arguments.booked_until,
    )
    assert asked.sequence_number == number


def test_the_checkpoint_is_the_first_that_covers_the_end(lived: Bank) -> None:
    log = transparency.Log(lived.clock, lived.key_directory, "log.example")
    before, _ = told(lived, "HARBOUR-USD")
    assert before.proof is None
    transparency.integrate(lived.database, log, lived.issuer_id)
    statement, _ = told(lived, "HARBOUR-USD", business_date=DAYS[0].date())
    lived.transfer("HARBOUR-USD", "LANTERN-USD", "0.01")
    transparency.integrate(lived.database, log, lived.issuer_id)

    again, _ = told(lived, "HARBOUR-USD", business_date=DAYS[0].date())
    now, _ = told(lived, "HARBOUR-USD")

    assert statement.proof is not None
    assert now.proof is not None
    assert again.proof == statement.proof
    assert statement.proof.origin == f"log.example/{lived.issuer_id}"
    assert statement.last_index < statement.proof.size < now.proof.size == now.last_index + 1


def test_an_account_that_is_not_there(shared: Bank, tmp_path: Path) -> None:
    for account_id in ("account_nobody", "x"):
        with pytest.raises(AccountNotFoundError):
            export_of(shared, tmp_path, ExportFormat.PDF, account_id=account_id)
    assert list(tmp_path.iterdir()) == []


def test_an_account_without_movements(shared: Bank) -> None:
    statement, found = told(shared, "SILKROAD-EUR")

    assert found == []
    assert statement.opening_minor == statement.closing_minor == 0


def test_pinning_keeps_the_proof(shared: Bank) -> None:
    arguments = ExportArguments(
        ExportFormat.PDF, options=ExportOptions(account_id=shared.account_id("HARBOUR-USD"))
    )
    with shared.database.read() as connection:
        pinned = pin(
            connection, shared.clock, shared.auditor, arguments, workshop(shared, Path("nowhere")).vouching
        )
        assert pinned_statement(connection, shared.auditor, pinned) == pinned
