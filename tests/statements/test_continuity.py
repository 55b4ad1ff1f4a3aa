"""A statement follows the one before it, or the break is named."""

from dataclasses import replace
from datetime import date
from typing import Any

from tallystick.statements.camt import parse_camt
from tallystick.statements.continuity import PreviousStatement, check_continuity
from tallystick.statements.parsed import ParsedStatement
from tests.statements.camt_documents import Balance, Statement, camt_bytes

BEFORE = PreviousStatement(
    statement_id="STMT-0",
    electronic_sequence_number=6,
    currency="EUR",
    closing_minor=10_000,
    closing_date=date(2026, 11, 19),
)


def _statement(**changes: Any) -> ParsedStatement:
    document = camt_bytes(replace(Statement(), **changes))
    return parse_camt(document, size_max_bytes=100_000).statements[0]


def _codes(previous: PreviousStatement | None, **changes: Any) -> list[str]:
    return [finding.code for finding in check_continuity(previous, _statement(**changes))]


def test_the_next_statement_follows() -> None:
    assert _codes(BEFORE) == []
    assert _codes(replace(BEFORE, electronic_sequence_number=None)) == []
    assert _codes(BEFORE, sequence=None) == []
    assert _codes(BEFORE, balances=()) == []


def test_the_first_statement_follows_nothing() -> None:
    assert _codes(None) == ["previous_statement_unknown"]


def test_an_opening_that_is_not_the_previous_closing() -> None:
    (finding,) = check_continuity(replace(BEFORE, closing_minor=-10_000), _statement())
    assert (finding.code, finding.severity) == ("opening_differs_from_previous_closing", "error")
    assert finding.message == "OPBD is EUR 100.00, but the statement before closed at EUR -100.00."
    assert _codes(replace(BEFORE, currency="USD")) == ["opening_differs_from_previous_closing"]


def test_a_gap_is_counted() -> None:
    (finding,) = check_continuity(BEFORE, _statement(sequence="10"))
    assert finding.code == "sequence_gap"
    assert finding.message == "3 statements are missing between number 6 and 10."


def test_numbers_that_do_not_ascend() -> None:
    assert _codes(BEFORE, sequence="6") == ["sequence_not_ascending"]
    assert _codes(BEFORE, sequence="1") == ["sequence_not_ascending"]
    new_year = (Balance("OPBD", "100", date="2027-01-04"), Balance("CLBD", "110", date="2027-01-04"))
    assert _codes(BEFORE, sequence="1", balances=new_year) == []


def test_an_older_statement() -> None:
    assert _codes(replace(BEFORE, closing_date=date(2026, 11, 21))) == ["sequence_not_ascending"]
    assert _codes(replace(BEFORE, closing_date=date(2026, 11, 20))) == []
