"""Whether a statement follows the one before it: its opening balance is that one's closing, its number the next.

Pure rules; what was imported before is handed in as facts.
"""

from dataclasses import dataclass
from datetime import date

from tallystick.statements.findings import Finding, FindingCollector
from tallystick.statements.parsed import ParsedStatement
from tallystick.statements.statement_checks import closing_balance, opening_balance
from tallystick.statements.values import in_words

__all__ = ["PreviousStatement", "check_continuity", "check_order"]


@dataclass(frozen=True, slots=True)
class PreviousStatement:
    """The last statement of the same account that was imported. `closing_minor` is negative when overdrawn."""

    statement_id: str
    electronic_sequence_number: int | None
    currency: str
    closing_minor: int
    closing_date: date | None


def check_continuity(previous: PreviousStatement | None, statement: ParsedStatement) -> tuple[Finding, ...]:
    """Return the breaks between the last imported statement and this one, none when it follows.

    `previous` is None for an account's first statement, and the caller passes only statements of one account and
    only first or only pages: a later page continues the page before, not the day before.
    """
    findings = FindingCollector()
    where = "statement"
    if previous is None:
        findings.add("previous_statement_unknown", where, "Nothing was imported for this account before.")
        return findings.collected(where)
    opening = opening_balance(statement)
    if opening is not None:
        if previous.currency != statement.currency:
            findings.add(
                "opening_differs_from_previous_closing",
                where,
                f"The statement is in {statement.currency}, the one before in {previous.currency}.",
            )
        elif opening.signed_minor != previous.closing_minor:
            findings.add(
                "opening_differs_from_previous_closing",
                where,
                f"{opening.type_code} is {in_words(opening.signed_minor, statement.currency)}, but the statement "
                f"before closed at {in_words(previous.closing_minor, statement.currency)}.",
            )
    _check_order(previous, statement, findings, where)
    return findings.collected(where)


def check_order(previous: PreviousStatement, statement: ParsedStatement) -> tuple[Finding, ...]:
    """Return what is wrong with the order of two reports or notifications, whose balances need not follow."""
    findings = FindingCollector()
    _check_order(previous, statement, findings, "statement")
    return findings.collected("statement")


def _check_order(
    previous: PreviousStatement, statement: ParsedStatement, findings: FindingCollector, where: str
) -> None:
    closing = closing_balance(statement)
    day = None if closing is None else closing.date
    if day is not None and previous.closing_date is not None and day < previous.closing_date:
        findings.add(
            "sequence_not_ascending", where, "The statement is older than the one imported before it."
        )
        return
    last, number = previous.electronic_sequence_number, statement.electronic_sequence_number
    if last is None or number is None or number == last + 1:
        return
    if number > last:
        missing = number - last - 1
        findings.add(
            "sequence_gap", where, f"{missing} statements are missing between number {last} and {number}."
        )
    elif not (number == 1 and _year_turned(previous.closing_date, day)):
        findings.add("sequence_not_ascending", where, f"Number {number} follows number {last}.")


def _year_turned(before: date | None, after: date | None) -> bool:
    """Many banks count from 1 again each year."""
    return before is not None and after is not None and after.year > before.year
