"""The chart of accounts, per issuer and token class.

2010 and 21xx are kept per holder's account; all others once per token class. Supply is the sum of 2110 … 2140: a
hold, a pledge or a freeze moves within 21xx, so neither supply nor the holder's claim changes.
"""

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = [
    "CHART",
    "CLAIM_CODES",
    "DEBIT_NORMAL_CODES",
    "FLOORED_CODES",
    "HOLDER_CODES",
    "ISSUER_CODES",
    "Code",
    "LedgerCode",
    "ledger_account_id",
]


class Code(StrEnum):
    """The accounts that instructions post to by name."""

    DEPOSITS_AT_CORE = "1100"
    DEPOSITS_AVAILABLE = "2010"
    TOKENS_AVAILABLE = "2110"
    TOKENS_HELD = "2120"
    TOKENS_PLEDGED = "2125"
    TOKENS_RESTRICTED = "2130"
    TOKENS_DORMANT = "2140"
    PAYMENTS_IN_TRANSIT = "2310"
    OPERATIONAL_LOSS = "5020"


class LedgerCode(NamedTuple):
    """One line of the chart."""

    code: str
    name: str
    debit_normal: bool
    per_holder: bool


CHART: Final = {
    entry.code: entry
    for entry in (
        LedgerCode("1010", "Central-bank reserves", True, False),
        LedgerCode("1020", "Nostro", True, False),
        LedgerCode("1100", "Deposits held at the core bank (control)", True, False),
        LedgerCode("1210", "Due from banks", True, False),
        LedgerCode("1390", "Recoverable from holders", True, False),
        LedgerCode("1510", "FX position", True, False),
        LedgerCode("1511", "FX counter-value", False, False),
        LedgerCode("2010", "Customer deposits available to tokenise", False, True),
        LedgerCode("2110", "Tokens available", False, True),
        LedgerCode("2120", "Tokens held or in escrow", False, True),
        LedgerCode("2125", "Tokens pledged", False, True),
        LedgerCode("2130", "Tokens restricted", False, True),
        LedgerCode("2140", "Tokens dormant", False, True),
        LedgerCode("2210", "Due to banks", False, False),
        LedgerCode("2310", "Payments in transit", False, False),
        LedgerCode("2410", "Accrued interest payable", False, False),
        LedgerCode("2420", "Withholding tax", False, False),
        LedgerCode("4010", "Fees", False, False),
        LedgerCode("4020", "FX result", False, False),
        LedgerCode("5010", "Interest expense", True, False),
        LedgerCode("5020", "Operational loss", True, False),
    )
}

HOLDER_CODES: Final = tuple(entry.code for entry in CHART.values() if entry.per_holder)
ISSUER_CODES: Final = tuple(entry.code for entry in CHART.values() if not entry.per_holder)
CLAIM_CODES: Final = tuple(code for code in HOLDER_CODES if code.startswith("21"))

DEBIT_NORMAL_CODES: Final = frozenset(entry.code for entry in CHART.values() if entry.debit_normal)
FLOORED_CODES: Final = frozenset(HOLDER_CODES)


def ledger_account_id(code: str, owner_id: str) -> str:
    """Return the ledger account's id: the code and the holder's account, or the token class, that it is kept for."""
    return f"{code}.{owner_id}"
