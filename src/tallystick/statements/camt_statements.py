"""The frame of a camt statement, report or notification: account, period, page, balances, stated totals."""

from collections.abc import Sequence
from typing import Final

from tallystick.statements.camt_reading import CamtReading
from tallystick.statements.parsed import PageInformation, ParsedBalance, ParsedEntry, ParsedStatement
from tallystick.statements.statement_checks import StatedTotals
from tallystick.statements.values import UnreadableValueError, minor_units
from tallystick.statements.xml_levels import Children

__all__ = ["read_page", "read_statement", "read_totals"]

#: The balance types that the schemas of version 02 list; later ones refer to an external code set that may grow.
_BALANCE_TYPES: Final = frozenset(
    {"CLAV", "CLBD", "FWAV", "INFO", "ITAV", "ITBD", "OPAV", "OPBD", "PRCD", "XPCD"}
)
_NO_CHILDREN: Final[Children] = {}


def read_statement(
    reading: CamtReading,
    children: Children,
    *,
    message_page: PageInformation | None,
    entries: Sequence[ParsedEntry],
) -> ParsedStatement:
    """Return the statement, without its findings; refuse one without identification, account or currency.

    `message_page` is the page that the message's header tells; the statement's own goes before it.
    """
    statement_id = reading.required_text(children, "Id", length_max=35)
    if len(children.get("Acct", ())) > 1:
        raise reading.malformed("Acct", "stands more than once")
    iban, other_id = reading.account(children, "Acct")
    if iban is None and other_id is None:
        raise reading.malformed("Acct/Id", "missing")
    balances = tuple(_balances(reading, children))
    copy_duplicate_code = reading.text(children, "CpyDplctInd", length_max=4)
    if copy_duplicate_code is not None:
        reading.note(
            "statement_is_copy", "The bank marks this as a copy or duplicate of what it sent before."
        )
    return ParsedStatement(
        statement_id=statement_id,
        electronic_sequence_number=reading.number(children, "ElctrncSeqNb"),
        legal_sequence_number=reading.number(children, "LglSeqNb"),
        created_at=reading.moment(children, "CreDtTm"),
        period_from_at=reading.moment(children, "FrToDt", "FrDtTm"),
        period_to_at=reading.moment(children, "FrToDt", "ToDtTm"),
        copy_duplicate_code=copy_duplicate_code,
        account_iban=iban,
        account_other_id=other_id,
        currency=_currency(reading, children, balances, entries),
        owner_name=reading.text(children, "Acct", "Ownr", "Nm", length_max=140),
        servicer_bic=reading.bic(children, "Acct", "Svcr"),
        page=read_page(reading, children, reading.shape.page_name) or message_page,
        balances=balances,
        entries=entries,
        additional_information=reading.text(children, reading.shape.additional_name, length_max=500),
        findings=(),
    )


def read_page(reading: CamtReading, children: Children, name: str) -> PageInformation | None:
    """Return which page this is, None when the message does not say."""
    if name not in children:
        return None
    number, last = reading.number(children, name, "PgNb"), reading.boolean(children, name, "LastPgInd")
    if number is None or number < 1 or last is None:
        reading.note("page_unreadable", f"{name}: the page's number or whether it is the last can't be read.")
        return None
    return PageInformation(number=number, last=last)


def _currency(
    reading: CamtReading,
    children: Children,
    balances: Sequence[ParsedBalance],
    entries: Sequence[ParsedEntry],
) -> str:
    """Return the account's currency; where the bank leaves it out, that of the first balance or entry."""
    stated = reading.text(children, "Acct", "Ccy", length_max=3)
    if stated is not None:
        try:
            minor_units("0", stated)
        except UnreadableValueError as error:
            raise reading.malformed("Acct/Ccy", str(error)) from None
        return stated
    currencies = [balance.currency for balance in balances[:1]] + [entry.currency for entry in entries[:1]]
    if currencies:
        currency = currencies[0]
        reading.note(
            "account_currency_inferred", f"The account's currency is not stated; {currency} is used."
        )
        return currency
    raise reading.malformed("Acct/Ccy", "missing, and there is no balance or entry to take it from")


def _balances(reading: CamtReading, children: Children) -> list[ParsedBalance]:
    where = reading.where
    balances = []
    for position, node in enumerate(children.get("Bal", ()), 1):
        reading.where = f"{where}/Bal[{position}]"
        balances.append(_balance(reading, node.children or _NO_CHILDREN))
    reading.where = where
    return balances


def _balance(reading: CamtReading, children: Children) -> ParsedBalance:
    type_code, proprietary = reading.code_or_proprietary(children, "Tp", "CdOrPrtry")
    if type_code is None:
        raise reading.malformed("Tp", "missing")
    if not proprietary and type_code not in _BALANCE_TYPES:
        reading.note("balance_type_unknown", "The type is not one that the schemas list.")
    amount_minor, currency = reading.required_amount(children, "Amt")
    day = reading.date(children, "Dt")
    if day is None:
        reading.note("balance_date_missing", "The balance has no date.")
    return ParsedBalance(
        type_code=type_code,
        proprietary=proprietary,
        sub_type_code=reading.code_or_proprietary(children, "Tp", "SubTp")[0],
        amount_minor=amount_minor,
        currency=currency,
        credit=reading.required_credit(children),
        date=day,
    )


def read_totals(reading: CamtReading, children: Children, currency: str) -> StatedTotals:
    """Return the totals of `TxsSummry`, in the account's currency; an absent one is None."""
    nodes = children.get("TxsSummry")
    summary = (nodes[0].children if nodes else None) or _NO_CHILDREN
    if reading.shape.net_total_nested:
        net_minor = reading.plain_amount(summary, currency, "TtlNtries", "TtlNetNtry", "Amt")
    else:
        net_minor = reading.plain_amount(summary, currency, "TtlNtries", "TtlNetNtryAmt")
    return StatedTotals(
        entry_count=reading.number(summary, "TtlNtries", "NbOfNtries"),
        net_minor=net_minor,
        credit_count=reading.number(summary, "TtlCdtNtries", "NbOfNtries"),
        credit_minor=reading.plain_amount(summary, currency, "TtlCdtNtries", "Sum"),
        debit_count=reading.number(summary, "TtlDbtNtries", "NbOfNtries"),
        debit_minor=reading.plain_amount(summary, currency, "TtlDbtNtries", "Sum"),
    )
