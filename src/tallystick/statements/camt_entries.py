"""Entries of a camt message (ISO 20022 `Ntry`): their batches, transactions, parties, remittance and charges."""

from functools import lru_cache
from typing import Final

from tallystick.statements.camt_reading import CamtReading
from tallystick.statements.parsed import (
    BankTransactionCode,
    ParsedBatch,
    ParsedCharge,
    ParsedEntry,
    ParsedEntryDetail,
    ParsedParty,
)
from tallystick.statements.values import uetr_is_valid
from tallystick.statements.xml_levels import Children

__all__ = ["read_batches", "read_detail", "read_entry"]

#: The amounts of a transaction that can be its part of the entry, nearest first.
_DETAIL_AMOUNT_PATHS: Final = (("Amt",), ("AmtDtls", "TxAmt", "Amt"), ("AmtDtls", "CntrValAmt", "Amt"))
_STATUSES: Final = {status: status for status in ("BOOK", "PDNG", "INFO", "FUTR")}
#: Domains of the external bank transaction code set.
_DOMAINS: Final = frozenset(
    {"ACMT", "CAMT", "CMDT", "DERV", "FORX", "LDAS", "PMET", "PMNT", "SECU", "TRAD", "XTND"}
)
_NO_CODE: Final = BankTransactionCode()
_NO_PARTY: Final = ParsedParty()
_NO_CHILDREN: Final[Children] = {}


def read_entry(
    reading: CamtReading,
    children: Children,
    *,
    sequence: int,
    details: tuple[ParsedEntryDetail, ...],
    batches: tuple[ParsedBatch, ...],
) -> ParsedEntry:
    """Return the entry; raise StatementMalformedError without an amount, a sign or a status that can be read."""
    amount_minor, currency = reading.required_amount(children, "Amt")
    if "BkTxCd" not in children:
        reading.note("transaction_code_missing", "The entry has no bank transaction code.")
    return ParsedEntry(
        sequence=sequence,
        entry_reference=reading.text(children, "NtryRef", length_max=35),
        account_servicer_reference=reading.text(children, "AcctSvcrRef", length_max=35),
        amount_minor=amount_minor,
        currency=currency,
        credit=reading.required_credit(children),
        reversal=reading.required_boolean(children, "RvslInd") or False,
        status=_status(reading, children),
        booking_date=reading.date(children, "BookgDt"),
        value_date=reading.date(children, "ValDt"),
        bank_transaction_code=_bank_transaction_code(reading, children),
        details=details,
        batches=batches,
        charges=_charges(reading, children),
        additional_information=reading.text(children, "AddtlNtryInf", length_max=500),
    )


def _status(reading: CamtReading, children: Children) -> str:
    """Return the status, written as text up to version 06 and as a choice of code or own word since 07."""
    if len(children.get("Sts", ())) > 1:
        raise reading.malformed("Sts", "stands more than once")
    nested = bool(children.get("Sts")) and children["Sts"][0].children is not None
    if nested:
        status, proprietary = reading.code_or_proprietary(children, "Sts")
    else:
        status, proprietary = reading.text(children, "Sts", length_max=35), False
    if status is None:
        raise reading.malformed("Sts", "missing")
    if nested != reading.shape.status_nested:
        reading.of_other_version("Sts")
    if proprietary or status not in _STATUSES:
        reading.note(
            "entry_status_unknown", "The status is not BOOK, PDNG, INFO or FUTR: not counted as booked."
        )
        return f"PRTRY:{status}" if proprietary else status
    return _STATUSES[status]


def read_batches(reading: CamtReading, children: Children) -> list[ParsedBatch]:
    """Return what one `NtryDtls` says about its transactions as a whole."""
    batches = []
    for node in children.get("Btch", ()):
        batch = node.children or _NO_CHILDREN
        total = reading.amount(batch, "TtlAmt")
        batches.append(
            ParsedBatch(
                message_id=reading.text(batch, "MsgId", length_max=35),
                payment_information_id=reading.text(batch, "PmtInfId", length_max=35),
                transaction_count=reading.number(batch, "NbOfTxs"),
                total_minor=total[0] if total else None,
                currency=total[1] if total else None,
                credit=reading.credit(batch),
            )
        )
    return batches


def read_detail(
    reading: CamtReading, children: Children, *, sequence: int, entry_currency: str | None
) -> ParsedEntryDetail:
    """Return one transaction (`TxDtls`). Nothing in it decides about money but its own signs."""
    references = _inside(children, "Refs")
    remittance = _inside(children, "RmtInf")
    returned = _inside(children, "RtrInf")
    amount = _detail_amount(reading, children, entry_currency)
    instructed = reading.amount(children, "AmtDtls", "InstdAmt", "Amt")
    return ParsedEntryDetail(
        sequence=sequence,
        end_to_end_id=reading.text(references, "EndToEndId", length_max=35),
        uetr=_uetr(reading, references),
        transaction_id=reading.text(references, "TxId", length_max=35),
        instruction_id=reading.text(references, "InstrId", length_max=35),
        message_id=reading.text(references, "MsgId", length_max=35),
        payment_information_id=reading.text(references, "PmtInfId", length_max=35),
        mandate_id=reading.text(references, "MndtId", length_max=35),
        account_servicer_reference=reading.text(references, "AcctSvcrRef", length_max=35),
        clearing_system_reference=reading.text(references, "ClrSysRef", length_max=35),
        amount_minor=amount[0] if amount else None,
        currency=amount[1] if amount else None,
        credit=reading.credit(children),
        instructed_amount_minor=instructed[0] if instructed else None,
        instructed_currency=instructed[1] if instructed else None,
        debtor=_party(reading, children, "Dbtr"),
        creditor=_party(reading, children, "Cdtr"),
        remittance_information=_remittance_text(reading, remittance),
        creditor_references=_creditor_references(reading, remittance),
        purpose_code=reading.code_or_proprietary(children, "Purp")[0],
        return_reason_code=reading.code_or_proprietary(returned, "Rsn")[0],
        return_reason_information=_joined(reading.texts(returned, "AddtlInf", length_max=105)),
        bank_transaction_code=_bank_transaction_code(reading, children),
        charges=_charges(reading, children),
        additional_information=reading.text(children, "AddtlTxInf", length_max=500),
    )


def _inside(children: Children, name: str) -> Children:
    nodes = children.get(name)
    return (nodes[0].children if nodes else None) or _NO_CHILDREN


def _joined(lines: list[str]) -> str | None:
    return "\n".join(lines) or None


def _detail_amount(
    reading: CamtReading, children: Children, entry_currency: str | None
) -> tuple[int, str] | None:
    """Return the transaction's part of the entry: the nearest amount in the entry's currency, else the nearest."""
    nearest: tuple[int, str] | None = None
    for path in _DETAIL_AMOUNT_PATHS:
        if path[0] not in children:
            continue
        amount = reading.amount(children, *path)
        if amount is not None:
            if amount[1] == entry_currency or entry_currency is None:
                return amount
            nearest = nearest or amount
    return nearest


def _uetr(reading: CamtReading, references: Children) -> str | None:
    uetr = reading.text(references, "UETR", length_max=36)
    if uetr is not None and not uetr_is_valid(uetr):
        reading.note("uetr_invalid", "Refs/UETR: not a version 4 UUID in lower case.")
    return uetr


def _party(reading: CamtReading, children: Children, role: str) -> ParsedParty:
    """Return the debtor (`Dbtr`) or creditor (`Cdtr`): account and agent stand beside the name, not in it."""
    parties, agents = _inside(children, "RltdPties"), _inside(children, "RltdAgts")
    if not parties and not agents:
        return _NO_PARTY
    iban, account = reading.account(parties, f"{role}Acct")
    party = ParsedParty(
        name=_party_name(reading, parties, role),
        iban=iban,
        account=account,
        ultimate_name=_party_name(reading, parties, f"Ultmt{role}"),
        agent_bic=reading.bic(agents, f"{role}Agt"),
    )
    # Most banks tell one side only; the other is then one shared object in a file of 200,000.
    return _NO_PARTY if party == _NO_PARTY else party


def _party_name(reading: CamtReading, parties: Children, element: str) -> str | None:
    """Return a name, which since version 07 stands in a choice between a party and an agent."""
    if element not in parties:
        return None
    nested = reading.text(parties, element, "Pty", "Nm", length_max=140)
    if nested is None:
        nested = reading.text(parties, element, "Agt", "FinInstnId", "Nm", length_max=140)
    direct = reading.text(parties, element, "Nm", length_max=140) if nested is None else None
    if (nested is not None and not reading.shape.party_nested) or (direct and reading.shape.party_nested):
        reading.of_other_version(element)
    return nested or direct


def _remittance_text(reading: CamtReading, remittance: Children) -> str | None:
    lines = reading.texts(remittance, "Ustrd", length_max=140)
    for node in remittance.get("Strd", ()):
        lines += reading.texts(node.children or _NO_CHILDREN, "AddtlRmtInf", length_max=140)
    return _joined(lines)


def _creditor_references(reading: CamtReading, remittance: Children) -> tuple[str, ...]:
    references = (
        reading.text(node.children or _NO_CHILDREN, "CdtrRefInf", "Ref", length_max=35)
        for node in remittance.get("Strd", ())
    )
    return tuple(reference for reference in references if reference is not None)


def _bank_transaction_code(reading: CamtReading, children: Children) -> BankTransactionCode:
    code = _inside(children, "BkTxCd")
    if not code:
        return _NO_CODE
    domain = reading.text(code, "Domn", "Cd", length_max=4)
    if domain is not None and domain not in _DOMAINS:
        reading.note("transaction_code_unknown", "BkTxCd/Domn/Cd: not a domain of the external code set.")
    return _shared_code(
        domain,
        reading.text(code, "Domn", "Fmly", "Cd", length_max=4),
        reading.text(code, "Domn", "Fmly", "SubFmlyCd", length_max=4),
        reading.text(code, "Prtry", "Cd", length_max=35),
        reading.text(code, "Prtry", "Issr", length_max=35),
    )


@lru_cache(maxsize=256)
def _shared_code(
    domain: str | None,
    family: str | None,
    sub_family: str | None,
    proprietary: str | None,
    issuer: str | None,
) -> BankTransactionCode:
    """Return one object for equal codes: a file has thousands of entries and a handful of codes."""
    return BankTransactionCode(domain, family, sub_family, proprietary, issuer)


def _charges(reading: CamtReading, children: Children) -> tuple[ParsedCharge, ...]:
    """Return the charges, which since version 03 are records inside `Chrgs` and before stood in it directly."""
    charges = []
    for node in children.get("Chrgs", ()):
        outer = node.children or _NO_CHILDREN
        records = [record.children or _NO_CHILDREN for record in outer.get("Rcrd", ())]
        if records and not reading.shape.charge_records:
            reading.of_other_version("Chrgs/Rcrd")
        if "Amt" in outer:
            records.append(outer)
            if reading.shape.charge_records:
                reading.of_other_version("Chrgs/Amt")
        for record in records:
            amount = reading.amount(record, "Amt")
            if amount is not None:
                charges.append(_charge(reading, record, amount))
    return tuple(charges)


def _charge(reading: CamtReading, record: Children, amount: tuple[int, str]) -> ParsedCharge:
    type_code = reading.text(record, "Tp", "Cd", length_max=4) or reading.text(
        record, "Tp", "Prtry", "Id", length_max=35
    )
    return ParsedCharge(
        amount_minor=amount[0],
        currency=amount[1],
        credit=reading.credit(record),
        included=reading.boolean(record, "ChrgInclInd"),
        type_code=type_code,
    )
