"""Whether a statement agrees with itself: opening plus booked entries is closing, entries are their details.

Pure rules over parsed facts; each contradiction becomes a finding that names both figures. Nothing is refused here:
a bank's statement that does not add up is imported, and people are told.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import chain
from typing import Final, NamedTuple

from tallystick.statements.findings import FindingCollector
from tallystick.statements.parsed import ParsedBalance, ParsedEntry, ParsedEntryDetail, ParsedStatement
from tallystick.statements.records import INTRADAY_TYPES
from tallystick.statements.values import in_words

__all__ = [
    "StatedTotals",
    "booked_sum_minor",
    "check_entry",
    "check_statement",
    "closing_balance",
    "opening_balance",
]

_ONE_DAY: Final = timedelta(days=1)


class _Line(NamedTuple):
    """What the checks need of an entry: walking over 200,000 entries once is enough."""

    sequence: int
    entry_reference: str | None
    account_servicer_reference: str | None
    amount_minor: int
    currency: str
    credit: bool
    status: str
    booking_date: date | None

    @property
    def booked(self) -> bool:
        return self.status == "BOOK"

    @property
    def signed_minor(self) -> int:
        return self.amount_minor if self.credit else -self.amount_minor


@dataclass(frozen=True, slots=True)
class StatedTotals:
    """The totals that the bank states of its own entries, in minor units of the account's currency."""

    entry_count: int | None
    net_minor: int | None
    credit_count: int | None
    credit_minor: int | None
    debit_count: int | None
    debit_minor: int | None


def opening_balance(statement: ParsedStatement) -> ParsedBalance | None:
    """Return the booked balance that the entries start from.

    OPBD, or PRCD (the previous closing, which is the same figure); on a later page the first ITBD, which carries
    the page before forward.
    """
    if statement.page is not None and statement.page.number > 1:
        interim = statement.balances_of(("ITBD",))
        if interim:
            return interim[0]
    found = statement.balances_of(("OPBD",)) or statement.balances_of(("PRCD",))
    return found[0] if found else None


def closing_balance(statement: ParsedStatement) -> ParsedBalance | None:
    """Return the booked balance that the entries lead to: CLBD, or the last ITBD on a page that is not the last."""
    found = statement.balances_of(("CLBD",))
    if found:
        return found[0]
    if statement.page is not None and not statement.page.last:
        interim = statement.balances_of(("ITBD",))
        # On a page in the middle the first interim balance opens the page.
        if len(interim) > (1 if statement.page.number > 1 else 0):
            return interim[-1]
    return None


def booked_sum_minor(statement: ParsedStatement) -> int:
    """Return the signed sum of the booked entries in the account's currency, in minor units."""
    return _booked_sum_minor(statement.entries, statement.currency)


def _booked_sum_minor(entries: Iterable[ParsedEntry | _Line], currency: str) -> int:
    return sum(entry.signed_minor for entry in entries if entry.booked and entry.currency == currency)


def check_statement(
    message_type: str,
    statement: ParsedStatement,
    totals: StatedTotals,
    findings: FindingCollector,
    where: str,
) -> None:
    """Record everything in which the statement contradicts itself."""
    lines = [
        _Line(
            entry.sequence,
            entry.entry_reference,
            entry.account_servicer_reference,
            entry.amount_minor,
            entry.currency,
            entry.credit,
            entry.status,
            entry.booking_date,
        )
        for entry in statement.entries
    ]
    _check_currencies(statement, lines, findings, where)
    if message_type != "camt.054":
        _check_balances(message_type, statement, lines, findings, where)
    _check_not_booked(lines, findings, where)
    _check_references(lines, findings, where)
    _check_dates(statement, lines, findings, where)
    _check_totals(statement, lines, totals, findings, where)


def _check_currencies(
    statement: ParsedStatement, lines: Sequence[_Line], findings: FindingCollector, where: str
) -> None:
    for position, balance in enumerate(statement.balances, 1):
        if balance.currency != statement.currency:
            findings.add(
                "balance_currency_mismatch",
                f"{where}/Bal[{position}]",
                f"The balance is in {balance.currency}, the account in {statement.currency}.",
            )
    for entry in lines:
        if entry.currency != statement.currency:
            findings.add(
                "entry_currency_mismatch",
                f"{where}/Ntry[{entry.sequence}]",
                f"The entry is in {entry.currency}, the account in {statement.currency}.",
            )


def _check_balances(
    message_type: str,
    statement: ParsedStatement,
    lines: Sequence[_Line],
    findings: FindingCollector,
    where: str,
) -> None:
    for type_code in ("OPBD", "PRCD", "CLBD"):
        count = len(statement.balances_of((type_code,)))
        if count > 1:
            findings.add("balance_duplicated", where, f"{type_code} stands {count} times; the first is used.")
    opening, closing = opening_balance(statement), closing_balance(statement)
    if opening is None or closing is None:
        # A report need not have balances at all.
        if message_type not in INTRADAY_TYPES:
            _note_missing(statement, opening, closing, findings, where)
        return
    total = _booked_sum_minor(lines, statement.currency)
    reached = opening.signed_minor + total
    if reached != closing.signed_minor:
        currency = statement.currency
        foreign = sum(1 for entry in lines if entry.booked and entry.currency != currency)
        findings.add(
            _mismatch_code(message_type, statement, opening, closing),
            where,
            f"{opening.type_code} {in_words(opening.signed_minor, currency)} plus booked entries "
            f"{in_words(total, currency)} is {in_words(reached, currency)}, but "
            f"{closing.type_code} is {in_words(closing.signed_minor, currency)}."
            + (f" {foreign} booked entries in other currencies are not counted." if foreign else ""),
        )


def _note_missing(
    statement: ParsedStatement,
    opening: ParsedBalance | None,
    closing: ParsedBalance | None,
    findings: FindingCollector,
    where: str,
) -> None:
    if statement.page is not None and not statement.page.only:
        findings.add(
            "balance_not_checkable", where, "The page does not say which balance it starts from and leads to."
        )
        return
    if opening is None:
        findings.add("opening_balance_missing", where, "There is neither an OPBD nor a PRCD balance.")
    if closing is None:
        findings.add("closing_balance_missing", where, "There is no CLBD balance.")


def _mismatch_code(
    message_type: str, statement: ParsedStatement, opening: ParsedBalance, closing: ParsedBalance
) -> str:
    """Return how much a sum that misses its balance proves."""
    if message_type in INTRADAY_TYPES:
        # A report may list only what is new since the one before: its sums then need not reach its balance.
        return "report_balance_mismatch"
    page = statement.page
    if page is not None and (
        (page.number > 1 and opening.type_code != "ITBD") or (not page.last and closing.type_code != "ITBD")
    ):
        # Some banks repeat the balances of the whole statement on each of its pages.
        return "balance_not_checkable"
    return "balance_mismatch"


def _check_not_booked(lines: Sequence[_Line], findings: FindingCollector, where: str) -> None:
    statuses = Counter(entry.status for entry in lines if not entry.booked)
    if statuses:
        known = sum(count for status, count in statuses.items() if status in {"PDNG", "INFO", "FUTR"})
        findings.add(
            "entries_not_booked",
            where,
            f"{statuses.total()} entries are not booked and left out of the balance: {statuses['PDNG']} pending, "
            f"{statuses['INFO']} for information, {statuses['FUTR']} future, {statuses.total() - known} other.",
        )


def _check_references(lines: Sequence[_Line], findings: FindingCollector, where: str) -> None:
    """Two entries with one reference are two bookings or one told twice: only people can say."""
    references = Counter(entry.entry_reference for entry in lines if entry.entry_reference)
    bookings = Counter(_booking(entry) for entry in lines if entry.account_servicer_reference)
    for entry in lines:
        place = f"{where}/Ntry[{entry.sequence}]"
        if entry.entry_reference and references[entry.entry_reference] > 1:
            findings.add(
                "entry_reference_duplicated", place, "Another entry of the statement has this NtryRef."
            )
        if entry.account_servicer_reference and bookings[_booking(entry)] > 1:
            findings.add(
                "servicer_reference_duplicated",
                place,
                "Another entry of the statement has this AcctSvcrRef, amount and sign.",
            )


def _booking(entry: _Line) -> tuple[str | None, int]:
    return entry.account_servicer_reference, entry.signed_minor


def _check_dates(
    statement: ParsedStatement, lines: Sequence[_Line], findings: FindingCollector, where: str
) -> None:
    starts, ends = statement.period_from_at, statement.period_to_at
    if starts is not None and ends is not None and starts > ends:
        findings.add("dates_inconsistent", where, "The period ends before it starts.")
        return
    opening, closing = opening_balance(statement), closing_balance(statement)
    if opening and closing and opening.date and closing.date and opening.date > closing.date:
        findings.add("dates_inconsistent", where, "The opening balance is dated after the closing balance.")
    first = None if starts is None else starts.date()
    # Written within hours of the day's end in any zone, so one day of grace.
    last = _latest_day(statement)
    for entry in lines:
        if entry.booking_date is None or not entry.booked:
            continue
        if (first and entry.booking_date < first) or (last and entry.booking_date > last):
            findings.add(
                "entry_date_outside_period",
                f"{where}/Ntry[{entry.sequence}]",
                "The booking date lies outside the statement's period.",
            )


def _latest_day(statement: ParsedStatement) -> date | None:
    if statement.period_to_at is not None:
        return statement.period_to_at.date()
    return None if statement.created_at is None else statement.created_at.date() + _ONE_DAY


def _check_totals(
    statement: ParsedStatement,
    lines: Sequence[_Line],
    totals: StatedTotals,
    findings: FindingCollector,
    where: str,
) -> None:
    """Compare with the totals that the bank states. They may count booked entries alone, or all; and all pages."""
    if statement.page is not None and not statement.page.only:
        return
    booked = [entry for entry in lines if entry.booked]
    for name, stated, counted in _pairs(totals, lines, booked, statement.currency):
        if stated is not None and stated not in counted:
            findings.add(
                "summary_mismatch",
                f"{where}/TxsSummry",
                f"{name} is stated as {stated}; the entries have {counted[0]}.",
            )


def _pairs(
    totals: StatedTotals, entries: Iterable[_Line], booked: Iterable[_Line], currency: str
) -> Iterable[tuple[str, int | None, tuple[int, int]]]:
    """Yield for each stated total its value and what all entries and the booked ones come to."""
    every, counted = _facts(entries, currency), _facts(booked, currency)
    stated = (
        ("The number of entries", totals.entry_count),
        ("The net sum in minor units", totals.net_minor),
        ("The number of credits", totals.credit_count),
        ("The sum of credits in minor units", totals.credit_minor),
        ("The number of debits", totals.debit_count),
        ("The sum of debits in minor units", totals.debit_minor),
    )
    for position, (name, value) in enumerate(stated):
        yield name, value, (every[position], counted[position])


def _facts(entries: Iterable[_Line], currency: str) -> tuple[int, int, int, int, int, int]:
    """Return count, absolute net sum, and count and sum of credits and of debits."""
    same_currency = [entry for entry in entries if entry.currency == currency]
    credit_amounts = [entry.amount_minor for entry in same_currency if entry.credit]
    debit_amounts = [entry.amount_minor for entry in same_currency if not entry.credit]
    net = sum(credit_amounts) - sum(debit_amounts)
    return (
        len(same_currency),
        abs(net),
        len(credit_amounts),
        sum(credit_amounts),
        len(debit_amounts),
        sum(debit_amounts),
    )


def check_entry(entry: ParsedEntry, findings: FindingCollector, where: str) -> None:
    """Record an entry whose transactions, or whose batch, do not come to its amount or number."""
    counts = [batch.transaction_count for batch in entry.batches if batch.transaction_count is not None]
    # A bank may list one line for a batch of many: then there is nothing to count.
    if len(counts) == len(entry.batches) > 0 and len(entry.details) not in {0, 1, sum(counts)}:
        findings.add(
            "batch_count_mismatch",
            where,
            f"The batch has {sum(counts)} transactions as stated, {len(entry.details)} as listed.",
        )
    batch_totals = [batch.total_minor for batch in entry.batches if batch.currency == entry.currency]
    if len(batch_totals) == len(entry.batches) > 0:
        _compare(entry, sum(total or 0 for total in batch_totals), "batch_total_mismatch", findings, where)
    amounts = [_signed_detail(detail, entry) for detail in entry.details]
    known = [amount for amount in amounts if amount is not None]
    if known and len(known) == len(amounts):
        _compare(entry, sum(known), "details_sum_mismatch", findings, where)


def _signed_detail(detail: ParsedEntryDetail, entry: ParsedEntry) -> int | None:
    """Return the transaction's amount as a part of the entry: negative when it goes the other way."""
    if detail.amount_minor is None or detail.currency != entry.currency:
        return None
    same_way = detail.credit is None or detail.credit == entry.credit
    return detail.amount_minor if same_way else -detail.amount_minor


def _compare(entry: ParsedEntry, total_minor: int, code: str, findings: FindingCollector, where: str) -> None:
    if total_minor == entry.amount_minor:
        return
    charges = chain(entry.charges, *(detail.charges for detail in entry.details))
    charged = sum(charge.amount_minor for charge in charges if charge.currency == entry.currency)
    explained = charged > 0 and abs(total_minor - entry.amount_minor) == charged
    findings.add(
        code,
        where,
        f"The entry is {in_words(entry.amount_minor, entry.currency)}, its transactions come to "
        f"{in_words(total_minor, entry.currency)}"
        + (f"; charges of {in_words(charged, entry.currency)} are the difference." if explained else "."),
    )
