"""An account's statement as ISO 20022 camt.053.001.08, Bank to Customer Statement, for the holder's own systems.

One message per page of at most 10,000 entries, all with the statement's one identification. The balance is the whole
claim in tokens; what of it can be spent at once is the closing available balance (CLAV). Sequence numbers are those of
`AccountStatement.sequence_number`. Written an entry at a time; page totals stand before the entries, so the journal is
read twice.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from lxml import etree
from sqlalchemy import Connection

from tallystick.core.clock import format_time
from tallystick.exports.account_statement import (
    AccountStatement,
    Movement,
    StatementTotals,
    changes,
    movements,
)
from tallystick.exports.arguments import ExportFormatLimitError
from tallystick.exports.records import FileFacts
from tallystick.exports.visible import visible_in_xml
from tallystick.exports.writers import NewFile
from tallystick.ledger import Code

__all__ = ["CAMT053", "PAGE_ENTRIES_MAX", "write_camt053"]

CAMT053: Final = "application/xml"
PAGE_ENTRIES_MAX: Final = 10_000
_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
# The schema's ActiveOrHistoricCurrencyAndAmount.
_DIGITS_MAX: Final = 18
_DECIMALS_MAX: Final = 5
_REVERSED: Final = "transfer.reversed"


class _Page(NamedTuple):
    """What a page says before its entries."""

    number: int
    last: bool
    opening_minor: int
    closing_minor: int
    totals: StatementTotals

    @property
    def entry_count(self) -> int:
        return self.totals.credit_count + self.totals.debit_count


def write_camt053(
    connection: Connection, statement: AccountStatement, folder: Path
) -> tuple[list[FileFacts], StatementTotals]:
    """Write a statement's pages into `folder`, a file each, and return their facts with the account's totals.

    Raises ExportFormatLimitError for amounts beyond the schema's 18 digits or 5 decimals.
    """
    totals, files = StatementTotals(statement), []
    pages = list(_pages(connection, statement))
    told = movements(connection, statement)
    for page in pages:
        with NewFile(folder, f"statement_{page.number:04}.xml", CAMT053) as file:
            _write_message(file, statement, page, _added(totals, file, islice(told, page.entry_count)))
            files.append(file.finish())
    return files, totals


def _pages(connection: Connection, statement: AccountStatement) -> Iterator[_Page]:
    changed = changes(connection, statement)
    number, opening_minor = 1, statement.opening_minor
    page = list(islice(changed, PAGE_ENTRIES_MAX))
    while True:
        totals = StatementTotals(statement)
        for one in page:
            totals.add(one)
        closing_minor = page[-1].balance_minor if page else opening_minor
        following = list(islice(changed, PAGE_ENTRIES_MAX))
        yield _Page(number, not following, opening_minor, closing_minor, totals)
        if not following:
            return
        number, opening_minor, page = number + 1, closing_minor, following


def _added(totals: StatementTotals, file: NewFile, told: Iterator[Movement]) -> Iterator[Movement]:
    for movement in told:
        totals.add(movement)
        file.rows += 1
        yield movement


def _write_message(
    file: NewFile, statement: AccountStatement, page: _Page, entries: Iterator[Movement]
) -> None:
    statement_id = _id(statement)
    with etree.xmlfile(file, encoding="UTF-8") as xml:
        xml.write_declaration()
        with (
            xml.element(_name("Document"), nsmap={None: _NAMESPACE}),
            xml.element(_name("BkToCstmrStmt")),
        ):
            xml.write(
                _node(
                    "GrpHdr",
                    _node("MsgId", _hash(statement_id, str(page.number))),
                    _node("CreDtTm", format_time(statement.told_at)),
                )
            )
            with xml.element(_name("Stmt")):
                for node in _heading(statement, statement_id, page):
                    xml.write(node)
                for movement in entries:
                    xml.write(_entry(statement, movement))
    file.write(b"\n")


def _heading(statement: AccountStatement, statement_id: str, page: _Page) -> Iterator[etree._Element]:
    yield _node("Id", statement_id)
    yield _node("StmtPgntn", _node("PgNb", str(page.number)), _node("LastPgInd", _flag(page.last)))
    if statement.sequence_number is not None:
        yield _node("ElctrncSeqNb", str(statement.sequence_number))
    yield _node("CreDtTm", format_time(statement.told_at))
    yield _node(
        "FrToDt",
        _node("FrDtTm", format_time(statement.from_at)),
        _node("ToDtTm", format_time(statement.to_at)),
    )
    yield _account(statement)
    yield _balance(statement, "OPBD" if page.number == 1 else "ITBD", page.opening_minor, statement.from_at)
    yield _balance(statement, "CLBD" if page.last else "ITBD", page.closing_minor, statement.to_at)
    if page.last:
        available_minor = statement.closing[Code.TOKENS_AVAILABLE.value]
        yield _balance(statement, "CLAV", available_minor, statement.to_at)
    yield _summary(statement, page)


def _account(statement: AccountStatement) -> etree._Element:
    holder, issuer = statement.holder, statement.issuer
    organisation = [] if holder.lei is None else [_node("Id", _node("OrgId", _node("LEI", holder.lei)))]
    return _node(
        "Acct",
        _account_id(statement.account.id),
        _node("Ccy", statement.of_class.currency),
        _node("Nm", _fitting(statement.of_class.name, 70)),
        _node("Ownr", _node("Nm", _fitting(holder.legal_name, 140)), *organisation),
        _node(
            "Svcr",
            _node(
                "FinInstnId",
                _node("BICFI", issuer.bic),
                _node("LEI", issuer.lei),
                _node("Nm", _fitting(issuer.legal_name, 140)),
            ),
        ),
    )


def _account_id(account_id: str) -> etree._Element:
    return _node("Id", _node("Othr", _node("Id", account_id), _node("SchmeNm", _node("Prtry", "tallystick"))))


def _balance(statement: AccountStatement, kind: str, minor: int, at: datetime) -> etree._Element:
    return _node(
        "Bal",
        _node("Tp", _node("CdOrPrtry", _node("Cd", kind))),
        _amount(statement, minor),
        _node("CdtDbtInd", _side(minor)),
        _node("Dt", _node("Dt", at.date().isoformat())),
    )


def _summary(statement: AccountStatement, page: _Page) -> etree._Element:
    totals = page.totals
    net_minor = totals.credits_minor - totals.debits_minor

    def counted(name: str, count: int, minor: int, *more: etree._Element) -> etree._Element:
        return _node(name, _node("NbOfNtries", str(count)), _node("Sum", statement.amount(minor)), *more)

    return _node(
        "TxsSummry",
        counted(
            "TtlNtries",
            page.entry_count,
            totals.credits_minor + totals.debits_minor,
            _node(
                "TtlNetNtry",
                _node("Amt", statement.amount(abs(net_minor))),
                _node("CdtDbtInd", _side(net_minor)),
            ),
        ),
        counted("TtlCdtNtries", totals.credit_count, totals.credits_minor),
        counted("TtlDbtNtries", totals.debit_count, totals.debits_minor),
    )


def _entry(statement: AccountStatement, movement: Movement) -> etree._Element:
    reversal = [_node("RvslInd", "true")] if movement.event_type == _REVERSED else []
    return _node(
        "Ntry",
        _node("NtryRef", str(movement.event_index)),
        _amount(statement, movement.amount_minor),
        _node("CdtDbtInd", _side(movement.amount_minor)),
        *reversal,
        _node("Sts", _node("Cd", "BOOK")),
        _node("BookgDt", _node("DtTm", format_time(movement.booked_at))),
        _node("ValDt", _node("Dt", movement.value_date.isoformat())),
        _node("AcctSvcrRef", movement.event_id),
        _transaction_code(movement),
        _node("NtryDtls", _details(statement, movement)),
    )


def _transaction_code(movement: Movement) -> etree._Element:
    """Return what it was: to others an internal book transfer, to those who know us the event's type."""
    family = "RCDT" if movement.amount_minor > 0 else "ICDT"
    return _node(
        "BkTxCd",
        _node(
            "Domn",
            _node("Cd", "PMNT"),
            _node("Fmly", _node("Cd", family), _node("SubFmlyCd", "BOOK")),
        ),
        _node("Prtry", _node("Cd", movement.event_type), _node("Issr", "tallystick")),
    )


def _details(statement: AccountStatement, movement: Movement) -> etree._Element:
    nodes = [
        _node(
            "Refs",
            _node("AcctSvcrRef", movement.event_id),
            _node("EndToEndId", movement.end_to_end_id or "NOTPROVIDED"),
        ),
        _amount(statement, movement.amount_minor),
        _node("CdtDbtInd", _side(movement.amount_minor)),
    ]
    if movement.counterparty_account_id is not None:
        role = "Dbtr" if movement.amount_minor > 0 else "Cdtr"
        party = [_node(f"{role}Acct", _account_id(movement.counterparty_account_id))]
        if movement.counterparty_name is not None:
            name = _node("Nm", _fitting(movement.counterparty_name, 140))
            party.insert(0, _node(role, _node("Pty", name)))
        nodes.append(_node("RltdPties", *party))
    if movement.purpose is not None:
        coded = "Cd" if len(movement.purpose) <= 4 else "Prtry"
        nodes.append(_node("Purp", _node(coded, movement.purpose)))
    if movement.reference is not None:
        text = visible_in_xml(movement.reference)
        lines = [_node("Ustrd", text[at : at + 140]) for at in range(0, len(text), 140)]
        nodes.append(_node("RmtInf", *lines))
    return _node("TxDtls", *nodes)


def _amount(statement: AccountStatement, minor: int) -> etree._Element:
    text = statement.amount(abs(minor))
    # Trailing zeroes count for nothing, neither in the schema nor here.
    number = Decimal(text).normalize().as_tuple()
    decimals = max(0, -int(number.exponent))
    if decimals > _DECIMALS_MAX or len(number.digits) + max(0, int(number.exponent)) > _DIGITS_MAX:
        raise ExportFormatLimitError(
            "An amount of ISO 20022 has 18 digits, of which 5 are decimals, at most."
        )
    node = _node("Amt", text)
    node.set("Ccy", statement.of_class.currency)
    return node


def _node(name: str, *content: "str | etree._Element") -> etree._Element:
    # In no namespace here, and in the document's where it is written: said once, and not for every element anew.
    node = etree.Element(name)
    for one in content:
        if isinstance(one, str):
            node.text = one
        else:
            node.append(one)
    return node


def _name(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"


def _side(minor: int) -> str:
    return "DBIT" if minor < 0 else "CRDT"


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _fitting(text: str, length_max: int) -> str:
    """Return text without what XML can't hold; cut, and visibly so, where the schema has no room."""
    shown = visible_in_xml(text)
    return shown if len(shown) <= length_max else shown[: length_max - 1] + "…"


def _id(statement: AccountStatement) -> str:
    """Return the statement's identification: the same for the same account, part of the log and period."""
    return _hash(
        statement.account.id,
        str(statement.first_index),
        str(statement.last_index),
        format_time(statement.from_at),
        format_time(statement.to_at),
    )


def _hash(*named: str) -> str:
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:32]
