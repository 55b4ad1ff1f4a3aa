"""The bank's replies in tests: status reports, and statements that debit or return payouts."""

import hashlib
from typing import Any, Final

from tallystick import payout_replies, payouts, tokens
from tallystick.payout_replies import Followed, TakenStatus
from tallystick.payouts import Finding, Payout
from tests.bank import Bank
from tests.camt_writer import Entry, Stated, message

_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"


def transaction(
    payout_id: str, status: str | None, reason: str | None = None, *, uetr: str | None = None
) -> str:
    said = "" if status is None else f"<TxSts>{status}</TxSts>"
    named = "" if uetr is None else f"<OrgnlUETR>{uetr}</OrgnlUETR>"
    return (
        f"<TxInfAndSts><OrgnlInstrId>{payout_id[-26:]}</OrgnlInstrId>"
        f"<OrgnlEndToEndId>{payout_id[-26:]}</OrgnlEndToEndId>{named}{said}{because(reason)}</TxInfAndSts>"
    )


def because(reason: str | None) -> str:
    if reason is None:
        return ""
    return f"<StsRsnInf><Rsn><Cd>{reason}</Cd></Rsn><AddtlInf>As the bank says.</AddtlInf></StsRsnInf>"


def report(
    of: str,
    *transactions: str,
    group: str | None = None,
    batch: str | None = None,
    reason: str | None = None,
    message_id: str = "BANK-1",
) -> bytes:
    """Return a pain.002 about the file whose message id is `of`."""
    group_status = "" if group is None else f"<GrpSts>{group}</GrpSts>{because(reason)}"
    batch_status = "" if batch is None else f"<PmtInfSts>{batch}</PmtInfSts>{because(reason)}"
    batches = ""
    if transactions or batch:
        inner = "".join(transactions)
        batches = f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>{of}-1</OrgnlPmtInfId>{batch_status}{inner}</OrgnlPmtInfAndSts>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{_NAMESPACE}"><CstmrPmtStsRpt>'
        f"<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>2026-11-20T12:00:00Z</CreDtTm></GrpHdr>"
        f"<OrgnlGrpInfAndSts><OrgnlMsgId>{of}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>{group_status}"
        f"</OrgnlGrpInfAndSts>{batches}</CstmrPmtStsRpt></Document>"
    ).encode()


def report_between_banks(
    of: str | None, *transactions: str, group: str | None = None, message_id: str = "BANK-1"
) -> bytes:
    """Return a pacs.002 about the file whose message id is `of`; None names no message but with each transaction."""
    status = "" if group is None else f"<GrpSts>{group}</GrpSts>{because('FF01')}"
    named = f"<OrgnlMsgId>{of}</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId>"
    of_group = "" if of is None else f"<OrgnlGrpInfAndSts>{named}{status}</OrgnlGrpInfAndSts>"
    namespace = _NAMESPACE.replace("pain", "pacs")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{namespace}"><FIToFIPmtStsRpt>'
        f"<GrpHdr><MsgId>{message_id}</MsgId><CreDtTm>2026-11-20T12:00:00Z</CreDtTm></GrpHdr>"
        f"{of_group}{''.join(transactions)}</FIToFIPmtStsRpt></Document>"
    ).encode()


def of_message(told: str, message_id: str) -> str:
    """Return what is told of a transaction with the message that it was in."""
    named = f"<OrgnlMsgId>{message_id}</OrgnlMsgId><OrgnlMsgNmId>pacs.008.001.08</OrgnlMsgNmId>"
    return told.replace("<TxInfAndSts>", f"<TxInfAndSts><OrgnlGrpInf>{named}</OrgnlGrpInf>")


def take_in(bank: Bank, content: bytes) -> TakenStatus:
    parsed = payout_replies.parse_status(content, size_max_bytes=1_000_000)
    return bank.database.run(
        lambda connection: payout_replies.take_in_status(
            connection, bank.settler, bank.maker, content, parsed
        )
    )


def follow(bank: Bank, currency: str = "USD") -> Followed:
    class_id = bank.classes[currency].id
    return bank.database.run(
        lambda connection: payout_replies.follow(connection, bank.settler, bank.issuer_id, class_id)
    )


def payout(bank: Bank, payout_id: str) -> Payout:
    with bank.database.read() as connection:
        return payouts.payouts(connection, bank.issuer_id, [payout_id])[payout_id]


def debit(bank: Bank, payout_id: str, amount: str = "40.00", **said: Any) -> Entry:
    """Return the bank's debit for a payout, by its UETR and end-to-end id."""
    named = {"uetr": payout(bank, payout_id).uetr, "end_to_end_id": payout_id[-26:]} | said
    return Entry(amount, credit=False, **named)


def returned(bank: Bank, payout_id: str, amount: str = "40.00", **said: Any) -> Entry:
    """Return the credit by which the bank gives a payout back."""
    named = {"uetr": payout(bank, payout_id).uetr, "end_to_end_id": payout_id[-26:]} | said
    return Entry(amount, **named)


def state_of_bank(bank: Bank, *entries: Entry, number: int = 1, opening: str = "100.00") -> None:
    """Import a statement and let payouts follow it, as the API does."""
    day = f"2026-11-{20 + number}"
    content = message(
        Stated(entries, day=day, opening=opening, statement_id=f"S-{number}"),
        message_id=f"M-{hashlib.sha256(repr(entries).encode()).hexdigest()[:20]}",
    )
    bank.import_statement(content)
    follow(bank)


def findings(bank: Bank) -> list[str]:
    with bank.database.read() as connection:
        found: list[Finding] = payouts.findings(connection, bank.issuer_id)
    return [one.kind for one in found]


def acted(bank: Bank) -> int:
    """Return how many instructions about payouts there are."""
    kinds = (one for one in tokens.Kind if one.startswith("payout"))
    with bank.database.read() as connection:
        return sum(len(tokens.instructions(connection, bank.issuer_id, kind, limit=1_000)) for kind in kinds)
