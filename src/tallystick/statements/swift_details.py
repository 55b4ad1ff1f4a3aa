"""What payers wrote, out of SWIFT's field 86: by the structures that banks agreed on, else as it stands.

The structures are read by the library mt940 (`parse_statements`), which knows banks' habits and trusts its input: it
drops what it can't place, mends dates that don't exist, and logs what it read. So it gets lines that were read strictly
before (`swift_values`), a bounded number at a time; what it says of money must be the same; and its log is off.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import mt940
import mt940.models

from tallystick.statements.refusals import StatementMalformedError
from tallystick.statements.swift_fields import SwiftField
from tallystick.statements.swift_values import StatementLine

__all__ = ["SwiftDetails", "joined", "read_details"]

_OPTIONS: Final = mt940.Options.all()
#: The widest line of field 86: whatever goes on behind one that is full was cut in the middle.
_FULL_LINE_LENGTH: Final = 65
#: The structure of Dutch, Belgian and French banks: /NAME/… /IBAN/… /REMI/…
_CODE_WORD: Final = re.compile(
    r"/(TRTP|TYPE|CSID|MARF|IBAN|BIC|NAME|REMI|EREF|ORDP|BENM|ADDR|ISDT|ID|PREF|RTRN|ULTD|ULTB|CNTP|SVCL|PURP)/"
)
_LOG: Final = "mt940"
# It logs what it can't read, which is what payers wrote.
logging.getLogger(_LOG).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class SwiftDetails:
    """What is told of the other side and of the payment; `remittance` is all of it where there is no structure."""

    remittance: str | None
    name: str | None = None
    account: str | None = None
    end_to_end_id: str | None = None


_NOTHING: Final = SwiftDetails(None)


def joined(field: SwiftField | None) -> str | None:
    """Return a field's text: lines that were cut for being full are put together, others stay apart."""
    if field is None:
        return None
    text = ""
    full = True
    for line in field.lines:
        text += line if full else f"\n{line}"
        full = len(line) >= _FULL_LINE_LENGTH
    return text.strip() or None


def read_details(
    lines: Sequence[tuple[SwiftField, StatementLine, SwiftField | None]], currency: str
) -> list[SwiftDetails]:
    """Return what field 86 says of each statement line (field 61, what was read of it, field 86 if there is one).

    Raises StatementMalformedError where the library reads other dates, sides or amounts, or as many lines.
    """
    text = f":20:X\n:60F:C000101{currency}0,\n" + "".join(_as_text(*one) for one in lines)
    try:
        [read] = mt940.parse_statements(text, options=_OPTIONS)
    except Exception:  # noqa: BLE001 It raises what it happens to, with the text of the file in it.
        raise StatementMalformedError(f"{_where(lines)}: a statement line can't be read.") from None
    found = list(read.transactions)
    if len(found) != len(lines):
        raise StatementMalformedError(f"{_where(lines)}: a statement line can't be told from the others.")
    return [_details(one, of) for one, of in zip(lines, found, strict=True)]


def _where(lines: Sequence[tuple[SwiftField, StatementLine, SwiftField | None]]) -> str:
    return f"Lines {lines[0][0].line_number} to {lines[-1][0].line_number}"


def _as_text(field: SwiftField, line: StatementLine, details: SwiftField | None) -> str:
    # Expected entries (EC, ED) are of MT942 alone, and unknown to the library.
    first = field.lines[0]
    if line.mark[0] == "E":
        place = first.index(line.mark)
        first = first[:place] + first[place + 1 :]
    text = "\n".join((f":61:{first}", *field.lines[1:]))
    return f"{text}\n" if details is None else f"{text}\n:86:" + "\n".join(details.lines) + "\n"


def _details(
    one: tuple[SwiftField, StatementLine, SwiftField | None], read: mt940.models.Transaction
) -> SwiftDetails:
    field, line, details = one
    data: dict[str, Any] = read.data
    amount = Decimal(line.amount.replace(",", "."))
    signed = amount if line.mark[-1] == "C" else -amount
    if line.mark[0] == "R":
        signed = -signed
    if data["amount"].amount != signed or data["date"] != line.value_date:
        raise StatementMalformedError(f"{field.where}: the statement line can be read in two ways.")
    text = joined(details)
    if text is None:
        return _NOTHING
    if "transaction_details" not in data:
        purpose = data.get("purpose")
        return SwiftDetails(
            purpose or text,
            data.get("applicant_name"),
            data.get("applicant_iban") or data.get("gvc_applicant_iban"),
            data.get("end_to_end_reference"),
        )
    words = _code_words(text)
    return SwiftDetails(words.get("REMI") or text, words.get("NAME"), words.get("IBAN"), words.get("EREF"))


def _code_words(text: str) -> dict[str, str]:
    """Return the parts of `/NAME/…/IBAN/…`, the first of each, with the code words of remittance left inside it."""
    if _CODE_WORD.match(text) is None:
        return {}
    found: dict[str, str] = {}
    pieces = _CODE_WORD.split(text)
    for name, value in zip(pieces[1::2], pieces[2::2], strict=True):
        found.setdefault(name, value.strip().strip("/").strip())
    return found
