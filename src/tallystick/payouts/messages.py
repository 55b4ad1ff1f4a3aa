"""Payouts as ISO 20022 messages for the bank: pain.001.001.09 and pacs.008.001.08. Pure: equal facts, equal bytes.

Each transaction carries its UETR, the payout's id as end-to-end id, the holder for whom the bank pays (FATF
Recommendation 16), and a structured address. The bank is asked to book each by itself.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from lxml import etree

from tallystick.core.clock import format_time
from tallystick.core.money import currency_scale, format_amount
from tallystick.payouts.asking import is_payable_text
from tallystick.payouts.records import Beneficiary, FileFormat, Payout

__all__ = ["Order", "Originator", "Sender", "payment_information_id", "write_message"]

_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:"
_NAME_LENGTH_MAX: Final = 70
_PURPOSE_CODE_LENGTH_MAX: Final = 4
_NOT_PROVIDED: Final = "NOTPROVIDED"


@dataclass(frozen=True, slots=True)
class Sender:
    """The bank that pays, and its control account, which is debited."""

    legal_name: str
    lei: str
    bic: str
    iban: str | None
    account_number: str | None
    currency: str
    scale: int


@dataclass(frozen=True, slots=True)
class Originator:
    """The holder for whom the bank pays, and the deposit account that stands behind the tokens."""

    legal_name: str
    country: str
    lei: str | None
    iban: str | None
    account_number: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """What the bank is asked to pay in one message."""

    message_id: str
    created_at: datetime
    execution_date: date
    sender: Sender
    payments: Sequence[tuple[Payout, Originator]]

    @property
    def sum_minor(self) -> int:
        """What all payments come to: the message's control sum."""
        return sum(one.amount_minor for one, _ in self.payments)


def payment_information_id(message_id: str) -> str:
    """Return what a bank names that books a whole file as one entry."""
    return f"{message_id}-1"


def write_message(file_format: str, order: Order) -> bytes:
    """Return the message's bytes, UTF-8 with an XML declaration."""
    document = etree.Element("Document", {"xmlns": _NAMESPACE + file_format})
    if file_format == FileFormat.PAIN_001:
        _pain_001(document, order)
    else:
        _pacs_008(document, order)
    etree.indent(document)
    # The writer's own declaration has single quotes and its own idea of the end of the line.
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(document, encoding="UTF-8") + b"\n"


def _pain_001(document: etree._Element, order: Order) -> None:
    sender, message_id = order.sender, order.message_id
    message = _add(document, "CstmrCdtTrfInitn")
    header = _add(message, "GrpHdr")
    _add(header, "MsgId", message_id)
    _add(header, "CreDtTm", format_time(order.created_at))
    _add(header, "NbOfTxs", str(len(order.payments)))
    _add(header, "CtrlSum", _amount(sender, order.sum_minor))
    _organisation(_add(header, "InitgPty"), sender.legal_name, None, sender.lei)
    batch = _add(message, "PmtInf")
    _add(batch, "PmtInfId", payment_information_id(message_id))
    _add(batch, "PmtMtd", "TRF")
    _add(batch, "BtchBookg", "false")
    _add(batch, "NbOfTxs", str(len(order.payments)))
    _add(batch, "CtrlSum", _amount(sender, order.sum_minor))
    _add(_add(batch, "ReqdExctnDt"), "Dt", order.execution_date.isoformat())
    _organisation(_add(batch, "Dbtr"), sender.legal_name, None, sender.lei)
    account = _account(_add(batch, "DbtrAcct"), sender.iban, sender.account_number)
    _add(account, "Ccy", sender.currency)
    _agent(_add(batch, "DbtrAgt"), sender.bic)
    for payout, originator in order.payments:
        transaction = _add(batch, "CdtTrfTxInf")
        identification = _add(transaction, "PmtId")
        _add(identification, "InstrId", payout.end_to_end_id)
        _add(identification, "EndToEndId", payout.end_to_end_id)
        _add(identification, "UETR", payout.uetr)
        _money(_add(transaction, "Amt"), "InstdAmt", sender, payout.amount_minor)
        _add(transaction, "ChrgBr", "SHAR")
        _organisation(
            _add(transaction, "UltmtDbtr"), originator.legal_name, originator.country, originator.lei
        )
        if payout.beneficiary.bic is not None:
            _agent(_add(transaction, "CdtrAgt"), payout.beneficiary.bic)
        _creditor(transaction, payout.beneficiary)
        _purpose_and_remittance(transaction, payout)


def _pacs_008(document: etree._Element, order: Order) -> None:
    sender, message_id = order.sender, order.message_id
    message = _add(document, "FIToFICstmrCdtTrf")
    header = _add(message, "GrpHdr")
    _add(header, "MsgId", message_id)
    _add(header, "CreDtTm", format_time(order.created_at))
    _add(header, "NbOfTxs", str(len(order.payments)))
    _add(header, "CtrlSum", _amount(sender, order.sum_minor))
    _money(header, "TtlIntrBkSttlmAmt", sender, order.sum_minor)
    _add(header, "IntrBkSttlmDt", order.execution_date.isoformat())
    settlement = _add(header, "SttlmInf")
    _add(settlement, "SttlmMtd", "INDA")
    _account(_add(settlement, "SttlmAcct"), sender.iban, sender.account_number)
    for payout, originator in order.payments:
        transaction = _add(message, "CdtTrfTxInf")
        identification = _add(transaction, "PmtId")
        _add(identification, "InstrId", payout.end_to_end_id)
        _add(identification, "EndToEndId", payout.end_to_end_id)
        _add(identification, "TxId", payout.end_to_end_id)
        _add(identification, "UETR", payout.uetr)
        _money(transaction, "IntrBkSttlmAmt", sender, payout.amount_minor)
        _add(transaction, "ChrgBr", "SHAR")
        _agent(_add(transaction, "InstgAgt"), sender.bic)
        _organisation(_add(transaction, "Dbtr"), originator.legal_name, originator.country, originator.lei)
        _account(_add(transaction, "DbtrAcct"), originator.iban, originator.account_number)
        _agent(_add(transaction, "DbtrAgt"), sender.bic)
        _agent(_add(transaction, "CdtrAgt"), payout.beneficiary.bic)
        _creditor(transaction, payout.beneficiary)
        _purpose_and_remittance(transaction, payout)


def _add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    made = etree.SubElement(parent, name)
    made.text = text
    return made


def _amount(sender: Sender, minor: int) -> str:
    """Return an amount with the currency's decimals: a class may have more, and a payout has nothing in them."""
    decimals = min(sender.scale, currency_scale(sender.currency))
    return format_amount(minor // 10 ** (sender.scale - decimals), decimals)


def _money(parent: etree._Element, name: str, sender: Sender, minor: int) -> None:
    _add(parent, name, _amount(sender, minor)).set("Ccy", sender.currency)


def _organisation(party: etree._Element, legal_name: str, country: str | None, lei: str | None) -> None:
    _add(party, "Nm", _latin(legal_name))
    if country is not None:
        _add(_add(party, "PstlAdr"), "Ctry", country)
    if lei is not None:
        _add(_add(_add(party, "Id"), "OrgId"), "LEI", lei)


def _agent(agent: etree._Element, bic: str | None) -> None:
    institution = _add(agent, "FinInstnId")
    if bic is not None:
        _add(institution, "BICFI", bic)
    else:
        # The element is mandatory, and an IBAN tells its bank.
        _add(_add(institution, "Othr"), "Id", _NOT_PROVIDED)


def _account(account: etree._Element, iban: str | None, number: str | None) -> etree._Element:
    identification = _add(account, "Id")
    if iban is not None:
        _add(identification, "IBAN", iban)
    else:
        _add(_add(identification, "Othr"), "Id", number or _NOT_PROVIDED)
    return account


def _creditor(transaction: etree._Element, of: Beneficiary) -> None:
    creditor = _add(transaction, "Cdtr")
    _add(creditor, "Nm", of.name)
    address = _add(creditor, "PstlAdr")
    for name, text in (
        ("StrtNm", of.street_name),
        ("BldgNb", of.building_number),
        ("PstCd", of.post_code),
        ("TwnNm", of.town_name),
        ("Ctry", of.country),
    ):
        if text is not None:
            _add(address, name, text)
    _account(_add(transaction, "CdtrAcct"), of.iban, of.account_number)


def _purpose_and_remittance(transaction: etree._Element, payout: Payout) -> None:
    if payout.purpose is not None:
        is_code = len(payout.purpose) <= _PURPOSE_CODE_LENGTH_MAX
        _add(_add(transaction, "Purp"), "Cd" if is_code else "Prtry", payout.purpose)
    if payout.remittance is not None:
        _add(_add(transaction, "RmtInf"), "Ustrd", payout.remittance)


def _latin(name: str) -> str:
    """Return a registered name in the messages' characters: without accents, with a full stop for what has no base.

    The register's own name stays as it is, and the account and the LEI beside it say whose it is.
    """
    bare = (one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
    shown = "".join(one if is_payable_text(one) else "." for one in bare)
    return shown[:_NAME_LENGTH_MAX].strip() or _NOT_PROVIDED
