"""Writes MT940 and MT942 files for tests, as plain as a bank would: what a test is about stands in its arguments."""

from dataclasses import dataclass, replace
from decimal import Decimal

__all__ = ["Line", "mt940", "mt942", "replace"]

USD_CONTROL = "RIVB-CONTROL-USD"


@dataclass(frozen=True, slots=True)
class Line:
    """One statement line (:61:) and its information (:86:)."""

    amount: str
    information: str | None = None
    mark: str = "C"
    day: str = "261120"
    entry_day: str = "1120"
    owner_reference: str = "NONREF"
    servicer_reference: str | None = None
    type_code: str = "NTRF"
    supplementary: str | None = None

    def text(self) -> str:
        servicer = "" if self.servicer_reference is None else f"//{self.servicer_reference}"
        first = f":61:{self.day}{self.entry_day}{self.mark}{comma(self.amount)}{self.type_code}"
        lines = [f"{first}{self.owner_reference}{servicer}"]
        lines += [self.supplementary] if self.supplementary else []
        lines += [f":86:{self.information}"] if self.information is not None else []
        return "\n".join(lines) + "\n"


def comma(amount: str) -> str:
    whole, _, decimals = amount.partition(".")
    return f"{whole},{decimals}"


def mt940(
    *lines: Line,
    opening: str = "0.00",
    closing: str | None = None,
    account: str = USD_CONTROL,
    currency: str = "USD",
    day: str = "261120",
    number: str = "324/1",
    marks: str = "FF",
    ending: str = "-\n",
) -> bytes:
    """Return a file of one statement; without `closing` the bank adds up right."""
    signs = {"C": 1, "RD": 1, "D": -1, "RC": -1}
    total = Decimal(opening) + sum(signs[line.mark] * Decimal(line.amount) for line in lines)
    return (
        f":20:STATEMENT\n:25:{account}\n:28C:{number}\n"
        f":60{marks[0]}:{_balance(opening, day, currency)}\n"
        + "".join(line.text() for line in lines)
        + f":62{marks[1]}:{_balance(closing or str(total), day, currency)}\n{ending}"
    ).encode()


def _balance(amount: str, day: str, currency: str) -> str:
    return f"{'D' if amount.startswith('-') else 'C'}{day}{currency}{comma(amount.lstrip('-'))}"


def mt942(*lines: Line, account: str = USD_CONTROL, at: str = "2611201230+0100", sums: str = "") -> bytes:
    """Return a file of one interim report in USD."""
    return (
        f":20:INTERIM\n:25:{account}\n:28C:1/1\n:34F:USD0,\n:13D:{at}\n"
        + "".join(line.text() for line in lines)
        + f"{sums}-\n"
    ).encode()
