"""Writes camt messages for tests: XSD-valid in versions 02 and 08, unless a test asks for something odd."""

from dataclasses import dataclass, field
from xml.sax.saxutils import escape

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"
IBAN = "NL77ABNA0574908765"
_MESSAGES = {
    "camt.052": ("BkToCstmrAcctRpt", "Rpt", "RptPgntn", "AddtlRptInf"),
    "camt.053": ("BkToCstmrStmt", "Stmt", "StmtPgntn", "AddtlStmtInf"),
    "camt.054": ("BkToCstmrDbtCdtNtfctn", "Ntfctn", "NtfctnPgntn", "AddtlNtfctnInf"),
}


@dataclass(frozen=True)
class Detail:
    amount: str | None = None
    currency: str = "EUR"
    credit: bool = True
    end_to_end_id: str | None = None
    uetr: str | None = None
    transaction_id: str | None = None
    instruction_id: str | None = None
    debtor_name: str | None = None
    debtor_iban: str | None = None
    creditor_name: str | None = None
    creditor_account: str | None = None
    remittance: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    return_reason: str | None = None


@dataclass(frozen=True)
class Entry:
    amount: str = "10.00"
    currency: str = "EUR"
    credit: bool = True
    status: str = "BOOK"
    reversal: bool | None = None
    booking_date: str | None = "2026-11-20"
    value_date: str | None = "2026-11-20"
    reference: str | None = None
    servicer_reference: str | None = None
    code: tuple[str, str, str] | None = ("PMNT", "RCDT", "ESCT")
    batch: str = ""
    charges: str = ""
    details: tuple[Detail, ...] = ()
    information: str | None = None


@dataclass(frozen=True)
class Balance:
    type_code: str
    amount: str
    credit: bool = True
    date: str = "2026-11-20"
    currency: str = "EUR"


@dataclass(frozen=True)
class Statement:
    statement_id: str = "STMT-1"
    sequence: str | None = "7"
    created: str | None = "2026-11-20T18:00:00+01:00"
    period: tuple[str, str] | None = None
    iban: str | None = IBAN
    other_id: str | None = None
    currency: str | None = "EUR"
    owner: str | None = None
    bic: str | None = None
    page: tuple[int, bool] | None = None
    copy: str | None = None
    balances: tuple[Balance, ...] = (Balance("OPBD", "100.00"), Balance("CLBD", "110.00"))
    totals: str = ""
    entries: tuple[Entry, ...] = field(default_factory=lambda: (Entry(),))
    information: str | None = None


def camt(
    *statements: Statement,
    message_type: str = "camt.053",
    version: str = "08",
    message_id: str = "MSG-1",
    created: str = "2026-11-20T18:05:00.123+01:00",
    message_page: tuple[int, bool] | None = None,
    declaration: str = '<?xml version="1.0" encoding="UTF-8"?>\n',
) -> str:
    """Return the message as text; encode it as the declaration says."""
    name, _, _, _ = _MESSAGES[message_type]
    page = _page("MsgPgntn", message_page)
    body = "".join(_statement(statement, message_type, version) for statement in statements or (Statement(),))
    return (
        f'{declaration}<Document xmlns="{NAMESPACE}{message_type}.001.{version}"><{name}>'
        f"<GrpHdr>{_leaf('MsgId', message_id)}{_leaf('CreDtTm', created)}{page}</GrpHdr>{body}</{name}></Document>"
    )


def camt_bytes(*statements: Statement, message_type: str = "camt.053", version: str = "08") -> bytes:
    """Return the message in UTF-8."""
    return camt(*statements, message_type=message_type, version=version).encode()


def _leaf(name: str, value: str | None) -> str:
    return "" if value is None else f"<{name}>{escape(value)}</{name}>"


def _page(name: str, page: tuple[int, bool] | None) -> str:
    if page is None:
        return ""
    return f"<{name}><PgNb>{page[0]}</PgNb><LastPgInd>{str(page[1]).lower()}</LastPgInd></{name}>"


def _amount(name: str, amount: str, currency: str) -> str:
    return f'<{name} Ccy="{currency}">{amount}</{name}>'


def _sign(credit: bool) -> str:
    return f"<CdtDbtInd>{'CRDT' if credit else 'DBIT'}</CdtDbtInd>"


def _statement(statement: Statement, message_type: str, version: str) -> str:
    _, name, page_name, information_name = _MESSAGES[message_type]
    parts = [
        _leaf("Id", statement.statement_id),
        _page(page_name, statement.page),
        _leaf("ElctrncSeqNb", statement.sequence),
        _leaf("CreDtTm", statement.created),
    ]
    if statement.period:
        start, end = statement.period
        parts.append(f"<FrToDt><FrDtTm>{start}</FrDtTm><ToDtTm>{end}</ToDtTm></FrToDt>")
    parts.append(_leaf("CpyDplctInd", statement.copy))
    parts.append(_account(statement, version))
    parts += [_balance(balance) for balance in statement.balances if message_type != "camt.054"]
    parts.append(statement.totals)
    parts += [_entry(entry, version) for entry in statement.entries]
    parts.append(_leaf(information_name, statement.information))
    return f"<{name}>{''.join(parts)}</{name}>"


def _account(statement: Statement, version: str) -> str:
    if statement.iban is not None:
        identification = _leaf("IBAN", statement.iban)
    else:
        identification = f"<Othr>{_leaf('Id', statement.other_id)}</Othr>"
    owner = f"<Ownr>{_leaf('Nm', statement.owner)}</Ownr>" if statement.owner else ""
    bic = _leaf("BIC" if version == "02" else "BICFI", statement.bic)
    servicer = f"<Svcr><FinInstnId>{bic}</FinInstnId></Svcr>" if bic else ""
    return f"<Acct><Id>{identification}</Id>{_leaf('Ccy', statement.currency)}{owner}{servicer}</Acct>"


def _balance(balance: Balance) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{balance.type_code}</Cd></CdOrPrtry></Tp>"
        f"{_amount('Amt', balance.amount, balance.currency)}{_sign(balance.credit)}"
        f"<Dt><Dt>{balance.date}</Dt></Dt></Bal>"
    )


def _entry(entry: Entry, version: str) -> str:
    status = entry.status if version == "02" else f"<Cd>{entry.status}</Cd>"
    domain = ""
    if entry.code:
        domain = (
            f"<BkTxCd><Domn><Cd>{entry.code[0]}</Cd><Fmly><Cd>{entry.code[1]}</Cd>"
            f"<SubFmlyCd>{entry.code[2]}</SubFmlyCd></Fmly></Domn></BkTxCd>"
        )
    details = "".join(_detail(detail, version) for detail in entry.details)
    return "".join(
        (
            "<Ntry>",
            _leaf("NtryRef", entry.reference),
            _amount("Amt", entry.amount, entry.currency),
            _sign(entry.credit),
            "" if entry.reversal is None else _leaf("RvslInd", str(entry.reversal).lower()),
            f"<Sts>{status}</Sts>",
            f"<BookgDt><Dt>{entry.booking_date}</Dt></BookgDt>" if entry.booking_date else "",
            f"<ValDt><Dt>{entry.value_date}</Dt></ValDt>" if entry.value_date else "",
            _leaf("AcctSvcrRef", entry.servicer_reference),
            domain,
            entry.charges,
            f"<NtryDtls>{entry.batch}{details}</NtryDtls>" if entry.batch or details else "",
            _leaf("AddtlNtryInf", entry.information),
            "</Ntry>",
        )
    )


def _detail(detail: Detail, version: str) -> str:
    amounts, parties = _amounts(detail, version), _parties(detail, version)
    return f"<TxDtls>{_references(detail, version)}{amounts}{parties}{_remittance(detail)}</TxDtls>"


def _references(detail: Detail, version: str) -> str:
    leaves = (
        _leaf("InstrId", detail.instruction_id)
        + _leaf("EndToEndId", detail.end_to_end_id)
        + ("" if version == "02" else _leaf("UETR", detail.uetr))
        + _leaf("TxId", detail.transaction_id)
    )
    return f"<Refs>{leaves}</Refs>" if leaves else ""


def _amounts(detail: Detail, version: str) -> str:
    if detail.amount is None:
        return ""
    amount = _amount("Amt", detail.amount, detail.currency)
    return f"<AmtDtls><TxAmt>{amount}</TxAmt></AmtDtls>" if version == "02" else amount + _sign(detail.credit)


def _parties(detail: Detail, version: str) -> str:
    def named(role: str, name: str | None) -> str:
        inside = _leaf("Nm", name)
        if not inside:
            return ""
        return f"<{role}>{inside if version == '02' else f'<Pty>{inside}</Pty>'}</{role}>"

    def account(role: str, identification: str) -> str:
        return f"<{role}><Id>{identification}</Id></{role}>" if identification else ""

    other = f"<Othr>{_leaf('Id', detail.creditor_account)}</Othr>" if detail.creditor_account else ""
    inside = (
        named("Dbtr", detail.debtor_name)
        + account("DbtrAcct", _leaf("IBAN", detail.debtor_iban))
        + named("Cdtr", detail.creditor_name)
        + account("CdtrAcct", other)
    )
    return f"<RltdPties>{inside}</RltdPties>" if inside else ""


def _remittance(detail: Detail) -> str:
    lines = "".join(_leaf("Ustrd", line) for line in detail.remittance)
    structured = "".join(
        f"<Strd><CdtrRefInf>{_leaf('Ref', reference)}</CdtrRefInf></Strd>" for reference in detail.references
    )
    remittance = f"<RmtInf>{lines}{structured}</RmtInf>" if lines or structured else ""
    returned = f"<RtrInf><Rsn><Cd>{detail.return_reason}</Cd></Rsn></RtrInf>" if detail.return_reason else ""
    return remittance + returned
