"""Writes camt.053 files for tests, as plain as a bank would: what a test is about stands in its arguments."""

from dataclasses import dataclass, replace
from decimal import Decimal
from xml.sax.saxutils import escape

__all__ = ["Entry", "Stated", "message", "notification", "replace", "statement"]

USD_CONTROL = "RIVB-CONTROL-USD"
EUR_CONTROL = "DE75512108001245126199"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `transactions` stand in for the single one that the other fields describe."""

    amount: str
    credit: bool = True
    status: str = "BOOK"
    reversal: bool = False
    day: str | None = None
    bank_reference: str | None = None
    end_to_end_id: str | None = None
    payer_iban: str | None = None
    payer_account: str | None = None
    remittance: str | None = None
    creditor_reference: str | None = None
    information: str | None = None
    currency: str | None = None
    uetr: str | None = None
    entry_reference: str | None = None
    transactions: "tuple[Entry, ...]" = ()


@dataclass(frozen=True, slots=True)
class Stated:
    """One statement; without `closing` the bank adds up right."""

    entries: tuple[Entry, ...]
    day: str = "2026-11-20"
    opening: str | None = "0.00"
    closing: str | None = None
    account: str = USD_CONTROL
    currency: str = "USD"
    statement_id: str | None = None
    sequence: int | None = None
    page: tuple[int, bool] | None = None


def message(*statements: Stated, message_id: str = "M-1", kind: str = "camt.053.001.08") -> bytes:
    """Return the file."""
    root, inner = {"3": ("BkToCstmrStmt", "Stmt"), "2": ("BkToCstmrAcctRpt", "Rpt")}.get(
        kind[7], ("BkToCstmrDbtCdtNtfctn", "Ntfctn")
    )
    body = "".join(_statement(stated, inner) for stated in statements)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{kind}"><{root}>'
        f"<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>2026-11-20T23:00:00Z</CreDtTm></GrpHdr>{body}"
        f"</{root}></Document>"
    ).encode()


def notification(*entries: Entry, kind: str = "camt.054.001.08", **stated: object) -> bytes:
    """Return a file of one notification, or of one report (camt.052): neither has balances."""
    number = stated.pop("number", 1)
    told = {"opening": None, "statement_id": f"{kind[:8]}-{number}", **stated}
    return message(Stated(entries, **told), message_id=f"N-{number}", kind=kind)  # type: ignore[arg-type]


def statement(*entries: Entry, **stated: object) -> bytes:
    """Return a file of one statement."""
    return message(Stated(entries, **stated))  # type: ignore[arg-type]


def _statement(stated: Stated, inner: str) -> str:
    statement_id = stated.statement_id or f"S-{stated.currency}-{stated.day}"
    iban = stated.account[:2].isalpha() and stated.account[2:4].isdigit()
    account = f"<IBAN>{stated.account}</IBAN>" if iban else f"<Othr><Id>{escape(stated.account)}</Id></Othr>"
    closing = stated.closing
    if closing is None and stated.opening is not None:
        closing = str(Decimal(stated.opening) + sum(_signed(entry) for entry in stated.entries))
    page = ""
    if stated.page is not None:
        number, last = stated.page
        page = f"<StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{str(last).lower()}</LastPgInd></StmtPgntn>"
    opening_type = "OPBD" if stated.page is None or stated.page[0] == 1 else "ITBD"
    closing_type = "CLBD" if stated.page is None or stated.page[1] else "ITBD"
    sequence = "" if stated.sequence is None else f"<ElctrncSeqNb>{stated.sequence}</ElctrncSeqNb>"
    return (
        f"<{inner}><Id>{statement_id}</Id>{page}{sequence}<CreDtTm>{stated.day}T22:00:00Z</CreDtTm>"
        f"<Acct><Id>{account}</Id><Ccy>{stated.currency}</Ccy></Acct>"
        + _balance(opening_type, stated.opening, stated)
        + _balance(closing_type, closing, stated)
        + "".join(_entry(entry, stated) for entry in stated.entries)
        + f"</{inner}>"
    )


def _signed(entry: Entry) -> Decimal:
    if entry.status != "BOOK":
        return Decimal(0)
    return Decimal(entry.amount) if entry.credit else -Decimal(entry.amount)


def _balance(type_code: str, amount: str | None, stated: Stated) -> str:
    if amount is None:
        return ""
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{type_code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{stated.currency}">{amount.lstrip("-")}</Amt>'
        f"<CdtDbtInd>{_side(not amount.startswith('-'))}</CdtDbtInd><Dt><Dt>{stated.day}</Dt></Dt></Bal>"
    )


def _side(credit: bool) -> str:
    return "CRDT" if credit else "DBIT"


def _entry(entry: Entry, stated: Stated) -> str:
    day = entry.day or stated.day
    currency = entry.currency or stated.currency
    reversal = "<RvslInd>true</RvslInd>" if entry.reversal else ""
    reference = f"<AcctSvcrRef>{entry.bank_reference}</AcctSvcrRef>" if entry.bank_reference else ""
    entry_reference = f"<NtryRef>{entry.entry_reference}</NtryRef>" if entry.entry_reference else ""
    details = "".join(_transaction(one, currency) for one in entry.transactions or (entry,))
    information = f"<AddtlNtryInf>{escape(entry.information)}</AddtlNtryInf>" if entry.information else ""
    return (
        f"<Ntry>{entry_reference}"
        f'<Amt Ccy="{currency}">{entry.amount}</Amt><CdtDbtInd>{_side(entry.credit)}</CdtDbtInd>{reversal}'
        f"<Sts><Cd>{entry.status}</Cd></Sts><BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt>"
        f"{reference}<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>DMCT</SubFmlyCd></Fmly></Domn></BkTxCd>"
        + ("" if entry.information and not entry.transactions else f"<NtryDtls>{details}</NtryDtls>")
        + f"{information}</Ntry>"
    )


def _transaction(entry: Entry, currency: str) -> str:
    account = ""
    if entry.payer_iban:
        account = f"<DbtrAcct><Id><IBAN>{entry.payer_iban}</IBAN></Id></DbtrAcct>"
    elif entry.payer_account:
        account = f"<DbtrAcct><Id><Othr><Id>{escape(entry.payer_account)}</Id></Othr></Id></DbtrAcct>"
    uetr = f"<UETR>{entry.uetr}</UETR>" if entry.uetr else ""
    remittance = f"<Ustrd>{escape(entry.remittance)}</Ustrd>" if entry.remittance else ""
    if entry.creditor_reference:
        remittance += (
            "<Strd><CdtrRefInf><Tp><CdOrPrtry><Cd>SCOR</Cd></CdOrPrtry></Tp>"
            f"<Ref>{escape(entry.creditor_reference)}</Ref></CdtrRefInf></Strd>"
        )
    return (
        f"<TxDtls><Refs><EndToEndId>{entry.end_to_end_id or 'NOTPROVIDED'}</EndToEndId>{uetr}</Refs>"
        f'<Amt Ccy="{currency}">{entry.amount}</Amt><CdtDbtInd>{_side(entry.credit)}</CdtDbtInd>'
        + (f"<RltdPties>{account}</RltdPties>" if account else "")
        + (f"<RmtInf>{remittance}</RmtInf>" if remittance else "")
        + "</TxDtls>"
    )
