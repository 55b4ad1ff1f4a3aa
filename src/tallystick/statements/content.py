"""From what a bank wrote to what is kept: amounts in the token class's scale, one row per entry, one hash of it all."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Final

from tallystick.core.canonical_json import CanonicalValue, canonical_json
from tallystick.core.errors import MalformedError
from tallystick.core.money import AMOUNT_MINOR_MAX, currency_scale
from tallystick.statements.parsed import ParsedBalance, ParsedEntry, ParsedStatement
from tallystick.statements.records import StatementEntry
from tallystick.statements.statement_checks import closing_balance, opening_balance

__all__ = [
    "StatementAmountInexactError",
    "bank_statement_id",
    "closed_on",
    "closing",
    "content_hash",
    "entry_row",
    "opened_on",
    "opening",
    "rescale",
    "to_class_minor",
]

_TEXT_LENGTH_MAX: Final = 4_000


class StatementAmountInexactError(MalformedError):
    """An amount has more decimals than the token class, or is larger than any account can hold."""

    code = "statement_amount_inexact"
    title = "An amount of the statement can't be kept exactly in the token class's scale"


def rescale(minor: int, scale: int, new_scale: int) -> int | None:
    """Return the same amount in minor units of another scale, or None where that is not exact or too large."""
    if new_scale >= scale:
        rescaled = minor * 10 ** (new_scale - scale)
    else:
        rescaled, rest = divmod(minor, 10 ** (scale - new_scale))
        if rest:
            return None
    return rescaled if -AMOUNT_MINOR_MAX <= rescaled <= AMOUNT_MINOR_MAX else None


def to_class_minor(minor: int, currency: str, class_scale: int, where: str) -> int:
    """Return a bank's minor units in the token class's; raise StatementAmountInexactError where that is not exact."""
    rescaled = rescale(minor, currency_scale(currency), class_scale)
    if rescaled is None:
        raise StatementAmountInexactError(f"{where}: the token class keeps {class_scale} decimals.")
    return rescaled


def bank_statement_id(statement: ParsedStatement) -> str:
    """Return what the bank calls the statement; pages of one statement are told apart by their number."""
    page = statement.page
    return statement.statement_id if page is None or page.only else f"{statement.statement_id}/{page.number}"


def opening(statement: ParsedStatement) -> ParsedBalance | None:
    """Return the booked balance that these entries start from.

    A later page whose bank repeats the whole statement's opening balance on it has none of its own.
    """
    balance = opening_balance(statement)
    later_page = statement.page is not None and statement.page.number > 1
    return None if later_page and balance is not None and balance.type_code != "ITBD" else balance


def closing(statement: ParsedStatement) -> ParsedBalance | None:
    """Return the booked balance that the statement ends with; None on a page that is not the last."""
    if statement.page is not None and not statement.page.last:
        return None
    return closing_balance(statement)


def opened_on(statement: ParsedStatement) -> date | None:
    """Return the day that the statement starts with, as far as the bank tells it."""
    balance = opening_balance(statement)
    if balance is not None and balance.date is not None:
        return balance.date
    return None if statement.period_from_at is None else statement.period_from_at.date()


def closed_on(statement: ParsedStatement) -> date | None:
    """Return the closing balance's day, or else the end of the period, the last booking, or the day it was made."""
    balance = closing_balance(statement)
    if balance is not None and balance.date is not None:
        return balance.date
    if statement.period_to_at is not None:
        return statement.period_to_at.date()
    booked = [entry.booking_date for entry in statement.entries if entry.booked and entry.booking_date]
    if booked:
        return max(booked)
    return None if statement.created_at is None else statement.created_at.date()


def entry_row(entry: ParsedEntry, statement_id: str, class_scale: int) -> StatementEntry:
    """Return the row of one entry, its deposit still open.

    An entry of several transactions keeps their texts; whatever names one payer or one payment is told of single ones.
    """
    single = entry.details[0] if len(entry.details) == 1 else None
    party = None if single is None else single.debtor if entry.credit else single.creditor
    return StatementEntry(
        statement_id=statement_id,
        entry_number=entry.sequence,
        amount_minor=to_class_minor(
            entry.amount_minor, entry.currency, class_scale, f"Ntry[{entry.sequence}]"
        ),
        credit=entry.credit,
        booked=entry.booked,
        reversal=entry.reversal,
        booking_date=entry.booking_date,
        value_date=entry.value_date,
        bank_reference=entry.account_servicer_reference or entry.entry_reference,
        end_to_end_id=_batch_reference(entry) if single is None else single.end_to_end_id,
        uetr=None if single is None else single.uetr,
        counterparty_name=None if party is None else party.name,
        counterparty_account=None if party is None else party.iban or party.account,
        remittance=_remittance(entry),
        deposit_id=None,
        matched_by=None,
        return_reason=None if single is None else single.return_reason_code,
    )


def _batch_reference(entry: ParsedEntry) -> str | None:
    """Return by what the bank names a whole file of ours that it booked as one debit."""
    if entry.credit:
        return None
    named = {one.payment_information_id or one.message_id for one in entry.batches}
    named |= {one.payment_information_id or one.message_id for one in entry.details}
    named.discard(None)
    return named.pop() if len(named) == 1 else None


def _remittance(entry: ParsedEntry) -> str | None:
    texts = [
        text
        for detail in entry.details
        for text in (detail.remittance_information, *detail.creditor_references)
        if text
    ]
    if not texts and entry.additional_information:
        texts = [entry.additional_information]
    return "\n".join(texts)[:_TEXT_LENGTH_MAX] or None


def content_hash(message_type: str, statement: ParsedStatement) -> bytes:
    """Return the SHA-256 of what the statement says about money: equal for the same statement sent again.

    Message identifications, the moment of sending, the mark of a copy, encoding and blanks are left out.
    """
    digest = hashlib.sha256()
    page = statement.page
    head: CanonicalValue = {
        "message_type": message_type,
        "account": statement.account_id,
        "statement": statement.statement_id,
        "page": None if page is None else [page.number, page.last],
        "sequence": [
            _number(statement.electronic_sequence_number),
            _number(statement.legal_sequence_number),
        ],
        "currency": statement.currency,
        "balances": [
            [balance.type_code, str(balance.signed_minor), balance.currency, _day(balance.date)]
            for balance in statement.balances
        ],
    }
    digest.update(canonical_json(head))
    for entry in statement.entries:
        digest.update(b"\n")
        digest.update(canonical_json(_entry_facts(entry)))
    return digest.digest()


def _entry_facts(entry: ParsedEntry) -> Sequence[CanonicalValue]:
    return [
        [_text(entry.entry_reference), _text(entry.account_servicer_reference)],
        [str(entry.signed_minor), entry.currency, entry.reversal, entry.status],
        [_day(entry.booking_date), _day(entry.value_date)],
        _text(entry.additional_information),
        [
            [
                [_text(detail.end_to_end_id), _text(detail.uetr), _text(detail.transaction_id)],
                [_number(detail.amount_minor), detail.currency],
                [
                    _text(text)
                    for party in (detail.debtor, detail.creditor)
                    for text in (party.name, party.iban, party.account)
                ],
                [_text(detail.remittance_information), *map(_text, detail.creditor_references)],
            ]
            for detail in entry.details
        ],
    ]


def _text(text: str | None) -> str | None:
    return None if text is None else " ".join(text.split())


def _number(number: int | None) -> str | None:
    return None if number is None else str(number)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
