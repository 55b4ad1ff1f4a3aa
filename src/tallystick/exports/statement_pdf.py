"""An account's statement as a PDF for people: whose it is, every movement with its event, and where to prove it.

Laid out from the statement alone, so equal arguments have equal bytes: no clock, no chance, fonts of our own. The
first page says whose account it is and how it stands; the table's heading is repeated on every page; the last one
closes with totals, what the balance consists of, and the log's checkpoint.
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from tallystick.exports.account_statement import AccountStatement, Movement, StatementTotals, movements
from tallystick.exports.pdf_ink import GREY, HEIGHT, INK, NAVY, WIDTH, Counting, Drawing, Ink
from tallystick.exports.pdf_text import BOLD, REGULAR, Line, lines_of, width_of
from tallystick.exports.records import FileFacts
from tallystick.ledger import CHART, CLAIM_CODES, Code

__all__ = ["write_statement_pdf"]

_LEFT: Final = 45.0
_RIGHT: Final = WIDTH - 45.0
_BOTTOM: Final = 62.0
_TOP: Final = HEIGHT - 50.0
_DETAILS: Final = _LEFT + 62
_DETAILS_WIDTH: Final = 208.0
# Where each column of amounts ends, and how wide it is.
_DEBIT: Final = (_RIGHT - 162, 68.0)
_CREDIT: Final = (_RIGHT - 88, 68.0)
_BALANCE: Final = (_RIGHT - 4, 80.0)
_ENDLESS: Final = 10_000.0
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
# What happened, to the one who is credited and to the one who is debited.
_WORDS: Final = {
    "token.minted": ("Issued from deposit", "Issued from deposit"),
    "token.redeemed": ("Redeemed to deposit", "Redeemed to deposit"),
    "token.transferred": ("Payment received", "Payment sent"),
    "hold.executed": ("Payment received from a hold", "Payment from a hold"),
    "transfer.reversed": ("Payment returned to you", "Payment reversed"),
    "order.seized": ("Seizure under an order", "Seized under an order"),
    "payout.accepted": ("Paid out to another bank", "Paid out to another bank"),
    "payout.cancelled": ("Payout cancelled", "Payout cancelled"),
    "payout.rejected": ("Payout rejected by the bank", "Payout rejected by the bank"),
    "payout.given_back": ("Payout returned", "Payout returned"),
}
_INCOMPLETE: Final = (
    "Characters that this document can't show are written by their Unicode number, as in [U+0627]."
)


def write_statement_pdf(
    connection: Connection, statement: AccountStatement, folder: Path
) -> tuple[list[FileFacts], StatementTotals]:
    """Write a statement into `folder`, and return the files' facts with the account's totals."""
    totals = StatementTotals(statement)
    counting = Counting()
    _Printer(statement, totals, counting, None).print(movements(connection, statement), count=True)
    drawing = Drawing(
        folder,
        title=f"Account statement {statement.account.id}",
        author=statement.issuer.legal_name,
        subject=f"Events {statement.first_index} to {statement.last_index}",
        made_at=statement.told_at,
    )
    _Printer(statement, totals, drawing, counting.pages).print(movements(connection, statement), count=False)
    drawing.finish()
    return drawing.files, totals


class _Printer:
    """Goes down the pages. `y` is where the next thing may be drawn below."""

    def __init__(
        self, statement: AccountStatement, totals: StatementTotals, ink: Ink, page_count: int | None
    ) -> None:
        self._statement = statement
        self._totals = totals
        self._ink = ink
        self._page_count = page_count
        self._complete = True
        self._y = _TOP
        self._balance_minor = statement.opening_minor

    def print(self, told: Iterable[Movement], *, count: bool) -> None:
        """Print everything; the first time the totals are counted, which the first page shows the second time."""
        self._first_head()
        self._table_head()
        self._balance_row("Opening balance", self._statement.opening_minor)
        for movement in told:
            if count:
                self._totals.add(movement)
            self._movement(movement)
        self._closing()
        self._end_page()

    # The head of the first page, and of the others.

    def _first_head(self) -> None:
        statement, issuer = self._statement, self._statement.issuer
        self._paragraph(_LEFT, issuer.legal_name, BOLD, 15, _RIGHT - _LEFT, NAVY)
        self._paragraph(
            _LEFT,
            f"LEI {issuer.lei}   ·   BIC {issuer.bic}   ·   {issuer.jurisdiction}",
            REGULAR,
            7.5,
            _RIGHT - _LEFT,
            GREY,
        )
        self._y -= 5
        self._ink.rule(_LEFT, self._y, _RIGHT - _LEFT, NAVY, 1.2)
        self._y -= 10
        self._paragraph(_LEFT, "Statement of account", BOLD, 18, _RIGHT - _LEFT)
        self._paragraph(_LEFT, _period(statement), REGULAR, 9.5, _RIGHT - _LEFT, GREY)
        self._y -= 10
        top = self._y
        holder_end = self._facts(_LEFT, "Holder", statement.holder.legal_name, self._of_holder())
        self._y = top
        account_end = self._facts(_LEFT + 262, "Account", statement.of_class.name, self._of_account())
        self._y = min(holder_end, account_end) - 12
        self._summary()

    def _of_holder(self) -> list[tuple[str, str]]:
        holder = self._statement.holder
        lei = [] if holder.lei is None else [("LEI", holder.lei)]
        return [("Holder", holder.id), *lei, ("Country", holder.country)]

    def _of_account(self) -> list[tuple[str, str]]:
        statement, account = self._statement, self._statement.account
        number = statement.sequence_number
        return [
            ("Account", account.id),
            ("Reference", account.reference),
            ("Funded from", account.deposit_iban or account.deposit_account_number or ""),
            ("Currency", statement.of_class.currency),
            *([] if number is None else [("Statement", f"No. {number}")]),
        ]

    def _facts(self, x: float, heading: str, name: str, facts: list[tuple[str, str]]) -> float:
        self._paragraph(x, heading.upper(), BOLD, 6.5, 240, GREY)
        self._paragraph(x, name, BOLD, 10.5, 243)
        self._y -= 2
        for label, value in facts:
            self._ink.line(x, self._y - 8, _one(label, REGULAR), 7.5, GREY)
            self._paragraph(x + 52, value, REGULAR, 7.5, 190)
        return self._y

    def _summary(self) -> None:
        statement, totals = self._statement, self._totals
        width, height = (_RIGHT - _LEFT) / 4, 42.0
        self._ink.box(_LEFT, self._y - height, _RIGHT - _LEFT, height)
        for place, (label, minor) in enumerate(
            (
                ("Opening balance", statement.opening_minor),
                (f"Credits ({totals.credit_count:,})", totals.credits_minor),
                (f"Debits ({totals.debit_count:,})", totals.debits_minor),
                ("Closing balance", statement.closing_minor),
            )
        ):
            x = _LEFT + place * width + 10
            self._ink.line(x, self._y - 15, _one(label, REGULAR), 7.5, GREY)
            self._shrunk(x, self._y - 31, self._grouped(minor), BOLD, 11, width - 16)
        self._y -= height + 16

    def _further_head(self) -> None:
        statement = self._statement
        self._ink.line(_LEFT, _TOP - 8, _one(statement.issuer.legal_name, BOLD), 8.5, NAVY)
        self._ink.line_before(_RIGHT, _TOP - 8, _one(_period(statement), REGULAR), 7.5, GREY)
        self._ink.line(
            _LEFT,
            _TOP - 20,
            _one(f"{statement.holder.legal_name}   ·   {statement.account.id}", REGULAR),
            7.5,
        )
        self._y = _TOP - 32
        self._table_head()
        self._balance_row("Brought forward", self._balance_minor)

    # The table.

    def _table_head(self) -> None:
        self._ink.rule(_LEFT, self._y, _RIGHT - _LEFT, NAVY, 0.8)
        y = self._y - 11
        self._ink.line(_LEFT + 4, y, _one("Date", BOLD), 7.5, NAVY)
        self._ink.line(_DETAILS, y, _one("Details", BOLD), 7.5, NAVY)
        currency = self._statement.of_class.currency
        for (end, _), label in (
            (_DEBIT, f"Debit {currency}"),
            (_CREDIT, f"Credit {currency}"),
            (_BALANCE, f"Balance {currency}"),
        ):
            self._ink.line_before(end, y, _one(label, BOLD), 7.5, NAVY)
        self._ink.rule(_LEFT, y - 5, _RIGHT - _LEFT, NAVY, 0.8)
        self._y = y - 5

    def _balance_row(self, label: str, minor: int) -> None:
        self._ink.line(_DETAILS, self._y - 11, _one(label, BOLD), 8)
        self._amount(_BALANCE, self._y - 11, minor, BOLD)
        self._y -= 16
        self._ink.rule(_LEFT, self._y, _RIGHT - _LEFT)

    def _movement(self, movement: Movement) -> None:
        details = [
            (line, size, colour)
            for text, font, size, colour in _described(movement)
            for line in self._lines(text, font, size, _DETAILS_WIDTH)
        ]
        height = sum(size + 2 for _, size, _ in details) + 5.5
        self._make_room(height)
        self._ink.row()
        y = self._y - 11
        self._ink.line(_LEFT + 4, y, _one(movement.booked_at.date().isoformat(), REGULAR), 8)
        self._ink.line(_LEFT + 4, y - 8.5, _one(f"{movement.booked_at:%H:%M:%S} UTC", REGULAR), 6, GREY)
        if movement.value_date != movement.booked_at.date():
            self._ink.line(_LEFT + 4, y - 16, _one(f"value {movement.value_date}", REGULAR), 6, GREY)
        column = _CREDIT if movement.amount_minor > 0 else _DEBIT
        self._amount(column, y, abs(movement.amount_minor), REGULAR)
        self._amount(_BALANCE, y, movement.balance_minor, REGULAR)
        for line, size, colour in details:
            self._ink.line(_DETAILS, y, line, size, colour)
            y -= size + 2
        self._y -= height
        self._balance_minor = movement.balance_minor
        self._ink.rule(_LEFT, self._y, _RIGHT - _LEFT, (0.84, 0.86, 0.89), 0.3)

    def _make_room(self, height: float) -> None:
        if self._y - height < _BOTTOM:
            self._end_page()
            self._further_head()

    # The end.

    def _closing(self) -> None:
        proof = self._proof()
        self._make_room(190 + 11 * len(proof))
        totals = self._totals
        y = self._y - 11
        self._ink.box(_LEFT, self._y - 17, _RIGHT - _LEFT, 17)
        self._ink.line(_DETAILS, y, _one("Totals and closing balance", BOLD), 8)
        self._amount(_DEBIT, y, totals.debits_minor, BOLD)
        self._amount(_CREDIT, y, totals.credits_minor, BOLD)
        self._amount(_BALANCE, y, self._statement.closing_minor, BOLD)
        self._y -= 17
        self._ink.rule(_LEFT, self._y, _RIGHT - _LEFT, NAVY, 0.8)
        self._y -= 16
        self._breakdown()
        self._y -= 12
        self._paragraph(_LEFT, "PROOF", BOLD, 6.5, _RIGHT - _LEFT, GREY)
        for line in proof:
            self._ink.line(_LEFT, self._y - 8, line, 7, INK)
            self._y -= 10
        if not self._complete:
            self._paragraph(_LEFT, _INCOMPLETE, REGULAR, 6.5, _RIGHT - _LEFT, GREY)

    def _breakdown(self) -> None:
        statement = self._statement
        columns = ((_LEFT + 290, 90.0), (_LEFT + 390, 90.0))
        self._ink.line(_LEFT, self._y - 8, _one("WHAT THE BALANCE CONSISTS OF", BOLD), 6.5, GREY)
        for (end, _), label in zip(columns, ("Opening", "Closing"), strict=True):
            self._ink.line_before(end, self._y - 8, _one(label, REGULAR), 7, GREY)
        self._y -= 13
        for code in (*CLAIM_CODES, Code.DEPOSITS_AVAILABLE.value):
            if code == Code.DEPOSITS_AVAILABLE:
                self._ink.rule(_LEFT, self._y, columns[1][0] - _LEFT)
                self._y -= 2
            beside = " (not part of the balance)" if code == Code.DEPOSITS_AVAILABLE else ""
            self._ink.line(_LEFT, self._y - 8, _one(CHART[code].name + beside, REGULAR), 7.5)
            for column, balances in zip(columns, (statement.opening, statement.closing), strict=True):
                self._amount(column, self._y - 8, balances[code], REGULAR, 7.5)
            self._y -= 11.5

    def _proof(self) -> list[Line]:
        statement, proof = self._statement, self._statement.proof
        told = [
            f"Events {statement.first_index} to {statement.last_index} of the log of {statement.issuer.issuer_id}. "
            "Every movement above names its event, which the bank has signed."
            if statement.last_index >= statement.first_index
            else f"No event was booked in the period; the log ends with event {statement.last_index}.",
            "No checkpoint of the log covers the last event yet."
            if proof is None
            else f"Event index {statement.last_index} is covered by checkpoint {proof.origin}, "
            f"size {proof.size}.",
            *([] if proof is None else [f"Its root hash is {proof.root_hash}"]),
        ]
        return [line for text in told for line in self._lines(text, REGULAR, 7, _RIGHT - _LEFT)]

    # What all of that is made with.

    def _end_page(self) -> None:
        number = self._ink.pages + 1
        self._ink.rule(_LEFT, 46, _RIGHT - _LEFT)
        self._ink.line(_LEFT, 35, _one(f"{self._statement.account.id}", REGULAR), 6.5, GREY)
        numbered = f"Page {number:,} of {self._page_count or number:,}"
        self._ink.line_before(_RIGHT, 35, _one(numbered, REGULAR), 6.5, GREY)
        self._ink.end_page()
        self._y = _TOP

    def _lines(self, text: str, font: str, size: float, width: float) -> list[Line]:
        lines = lines_of(text, font, size, width)
        self._complete = self._complete and all(line.complete for line in lines)
        return lines

    def _paragraph(
        self,
        x: float,
        text: str,
        font: str,
        size: float,
        width: float,
        colour: tuple[float, float, float] = INK,
    ) -> None:
        for line in self._lines(text, font, size, width):
            self._y -= size + 3
            self._ink.line(x, self._y + 2, line, size, colour)

    def _amount(self, column: tuple[float, float], y: float, minor: int, font: str, size: float = 8) -> None:
        end, width = column
        line = _one(self._grouped(minor), font)
        self._ink.line_before(end, y, line, _fitting(line, size, width))

    def _shrunk(self, x: float, y: float, text: str, font: str, size: float, width: float) -> None:
        line = _one(text, font)
        self._ink.line(x, y, line, _fitting(line, size, width))

    def _grouped(self, minor: int) -> str:
        whole, point, decimals = self._statement.amount(abs(minor)).partition(".")
        return f"{'-' if minor < 0 else ''}{int(whole):,}{point}{decimals}"


def _described(movement: Movement) -> list[tuple[str, str, float, tuple[float, float, float]]]:
    """Return the lines of a movement's details: text, font, size, colour."""
    credited, debited = _WORDS.get(movement.event_type, (movement.event_type, movement.event_type))
    is_credit = movement.amount_minor > 0
    told = [(credited if is_credit else debited, BOLD, 8.0, INK)]
    if movement.counterparty_account_id is not None:
        side = "from" if is_credit else "to"
        if movement.counterparty_name is not None:
            told.append((f"{side} {movement.counterparty_name}", REGULAR, 7.5, INK))
            told.append((movement.counterparty_account_id, REGULAR, 6.0, GREY))
        else:
            told.append((f"{side} {movement.counterparty_account_id}", REGULAR, 7.0, INK))
    if movement.reference is not None:
        told.append((movement.reference, REGULAR, 7.5, INK))
    purpose = "" if movement.purpose is None else f"   ·   purpose {movement.purpose}"
    told.append((f"Event {movement.event_index}   ·   {movement.event_id}{purpose}", REGULAR, 6.0, GREY))
    # A transfer's id is its event's under another prefix; of what goes back to something else it tells what that is.
    if movement.end_to_end_id is not None and movement.end_to_end_id[-26:] != movement.event_id[-26:]:
        told.append((f"of {movement.end_to_end_id}", REGULAR, 6.0, GREY))
    return told


def _one(text: str, font: str) -> Line:
    """Return text as one line, whatever its width."""
    return lines_of(text, font, 8, _ENDLESS)[0]


def _fitting(line: Line, size: float, width: float) -> float:
    """Return the size, or a smaller one at which the line is no wider than that."""
    return min(size, size * width / max(width_of(line, size), 1))


def _period(statement: AccountStatement) -> str:
    first, last = statement.from_at, statement.to_at
    if first.time() == time.min and (last + timedelta(microseconds=1)).time() == time.min:
        if first.date() == last.date():
            return f"{_day(first.date())} (UTC)"
        return f"{_day(first.date())} to {_day(last.date())} (UTC)"
    return f"{_moment(first)} to {_moment(last)} (UTC)"


def _moment(at: datetime) -> str:
    return f"{_day(at.date())}, {at:%H:%M:%S}"


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
