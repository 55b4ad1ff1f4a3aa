"""Reads single elements of a camt message: typed, exact, and noting every deviation that leaves them readable."""

import sys
from collections.abc import Callable
from datetime import date, datetime
from typing import Final, TypeVar

from tallystick.statements.camt_versions import CamtShape
from tallystick.statements.findings import FindingCollector
from tallystick.statements.refusals import StatementMalformedError
from tallystick.statements.values import (
    UnreadableValueError,
    bic_is_valid,
    iban_is_valid,
    minor_units,
    read_boolean,
    read_date,
    read_moment,
    read_number,
)
from tallystick.statements.xml_levels import Children, Node

__all__ = ["CamtReading"]

#: The schemas allow 500 at most anywhere; real files overrun their limits, but not by so much.
_TEXT_LENGTH_MAX: Final = 10_000
_XML_BLANKS: Final = " \t\r\n"
_CREDIT: Final = {"CRDT": True, "DBIT": False}

_Value = TypeVar("_Value")


class CamtReading:
    """Reads elements at `where`, a path of names in the document, into `findings`.

    Paths given to the methods are local names from the children handed in: `text(children, "Refs", "EndToEndId")`.
    Methods called `required_…` raise StatementMalformedError where the value is absent; so does every method whose
    value decides about money and can't be read.
    """

    def __init__(self, shape: CamtShape, findings: FindingCollector, where: str) -> None:
        self.shape = shape
        self.findings = findings
        self.where = where

    def note(self, code: str, message: str) -> None:
        """Record a finding about the present element."""
        self.findings.add(code, self.where, message)

    def malformed(self, field: str, reason: str) -> StatementMalformedError:
        """Return the refusal that names the element and the reason."""
        return StatementMalformedError(f"{self.where}/{field}: {reason}.", where=f"{self.where}/{field}")

    def text(self, children: Children, *path: str, length_max: int) -> str | None:
        """Return the trimmed text of the first element at `path`, None when it is absent or empty."""
        node = _first(children, path)
        return None if node is None else self._text_of(node, path[-1], length_max)

    def texts(self, children: Children, name: str, *, length_max: int) -> list[str]:
        """Return the trimmed texts of all children called `name` that are not empty."""
        found = (self._text_of(node, name, length_max) for node in children.get(name, ()))
        return [text for text in found if text is not None]

    def required_text(self, children: Children, *path: str, length_max: int) -> str:
        """Return the text, or refuse."""
        self._refuse_repeated(children, path[0])
        text = self.text(children, *path, length_max=length_max)
        if text is None:
            raise self.malformed("/".join(path), "missing")
        return text

    def code_or_proprietary(self, children: Children, *path: str) -> tuple[str | None, bool]:
        """Return the code of a choice between `Cd` and `Prtry`, and whether it is the bank's own."""
        code = self.text(children, *path, "Cd", length_max=4)
        if code is not None:
            return code, False
        return self.text(children, *path, "Prtry", length_max=35), True

    def required_amount(self, children: Children, name: str) -> tuple[int, str]:
        """Return an amount in minor units and its currency, or refuse."""
        self._refuse_repeated(children, name)
        node = _first(children, (name,))
        if node is None:
            raise self.malformed(name, "missing")
        try:
            return self._amount_of(node)
        except UnreadableValueError as error:
            raise self.malformed(name, str(error)) from None

    def amount(self, children: Children, *path: str) -> tuple[int, str] | None:
        """Return an amount that nothing hangs on: a value that can't be read is recorded and left out."""
        node = _first(children, path)
        if node is None:
            return None
        try:
            return self._amount_of(node)
        except UnreadableValueError as error:
            self.note("detail_amount_unreadable", f"{'/'.join(path)}: {error}.")
            return None

    def plain_amount(self, children: Children, currency: str, *path: str) -> int | None:
        """Return a sum that is written without its currency."""
        text = self.text(children, *path, length_max=40)
        if text is None:
            return None
        return self._or_note(lambda: minor_units(text, currency), "number_unreadable", path)

    def credit(self, children: Children, name: str = "CdtDbtInd") -> bool | None:
        """Return whether the indicator says credit; refuse a word that is neither."""
        self._refuse_repeated(children, name)
        text = self.text(children, name, length_max=4)
        if text is None:
            return None
        if text not in _CREDIT:
            raise self.malformed(name, "neither CRDT nor DBIT")
        return _CREDIT[text]

    def required_credit(self, children: Children) -> bool:
        """Return whether the indicator says credit, or refuse."""
        credit = self.credit(children)
        if credit is None:
            raise self.malformed("CdtDbtInd", "missing")
        return credit

    def boolean(self, children: Children, *path: str) -> bool | None:
        """Return an indicator; one that can't be read is recorded and left out."""
        text = self.text(children, *path, length_max=5)
        return None if text is None else self._or_note(lambda: read_boolean(text), "boolean_unreadable", path)

    def required_boolean(self, children: Children, name: str) -> bool | None:
        """Return an indicator, None when absent; refuse one that can't be read."""
        self._refuse_repeated(children, name)
        text = self.text(children, name, length_max=5)
        if text is None:
            return None
        try:
            return read_boolean(text)
        except UnreadableValueError as error:
            raise self.malformed(name, str(error)) from None

    def number(self, children: Children, *path: str) -> int | None:
        """Return a whole number; one that can't be read is recorded and left out."""
        text = self.text(children, *path, length_max=20)
        return None if text is None else self._or_note(lambda: read_number(text), "number_unreadable", path)

    def date(self, children: Children, name: str) -> date | None:
        """Return the day of a choice between `Dt` and `DtTm`, None when absent; refuse one that can't be read."""
        text = self.text(children, name, "Dt", length_max=60) or self.text(
            children, name, "DtTm", length_max=60
        )
        if text is None:
            return None
        try:
            return read_date(text)
        except UnreadableValueError as error:
            raise self.malformed(name, str(error)) from None

    def moment(self, children: Children, *path: str) -> datetime | None:
        """Return a moment; one that can't be read is recorded and left out."""
        text = self.text(children, *path, length_max=60)
        if text is None:
            return None
        read = self._or_note(lambda: read_moment(text), "moment_unreadable", path)
        if read is None:
            return None
        at, zoned = read
        if not zoned:
            self.findings.add_once(
                "moment_without_zone", self.where, f"{'/'.join(path)}: no offset is given; UTC is assumed."
            )
        return at

    def account(self, children: Children, *path: str) -> tuple[str | None, str | None]:
        """Return the IBAN, or else another identification, of the account at `path`."""
        iban = self.text(children, *path, "Id", "IBAN", length_max=34)
        if iban is None:
            other = self.text(children, *path, "Id", "Othr", "Id", length_max=34)
            # Since version 11 an account may be known by its proxy alone.
            return None, other or self.text(children, *path, "Prxy", "Id", length_max=2048)
        compact = iban.replace(" ", "").upper()
        if compact != iban or not iban_is_valid(compact):
            self.note(
                "iban_invalid", f"{'/'.join(path)}: not a compact IBAN with right check digits (ISO 13616)."
            )
        return compact, None

    def bic(self, children: Children, *path: str) -> str | None:
        """Return the BIC of the financial institution at `path`, which other versions call by another name."""
        bic = self.text(children, *path, "FinInstnId", self.shape.bic_name, length_max=11)
        if bic is None:
            other_name = "BIC" if self.shape.bic_name == "BICFI" else "BICFI"
            bic = self.text(children, *path, "FinInstnId", other_name, length_max=11)
            if bic is None:
                return None
            self.of_other_version(other_name)
        if not bic_is_valid(bic):
            self.note("bic_invalid", f"{'/'.join(path)}: not of the form of a BIC (ISO 9362).")
        return bic

    def of_other_version(self, name: str) -> None:
        """Record that an element stands as in another version of the message."""
        self.note("element_of_other_version", f"{name} is not of version {self.shape.version}.")

    def _refuse_repeated(self, children: Children, name: str) -> None:
        """Refuse an element that decides about money and stands twice: no one can say which one counts."""
        if len(children.get(name, ())) > 1:
            raise self.malformed(name, "stands more than once")

    def _text_of(self, node: Node, name: str, length_max: int) -> str | None:
        if node.children is not None:
            raise self.malformed(name, "holds elements instead of a value")
        text = (node.text or "").strip(_XML_BLANKS)
        if len(text) > length_max:
            if len(text) > _TEXT_LENGTH_MAX:
                raise self.malformed(name, f"longer than {_TEXT_LENGTH_MAX} characters")
            self.note("text_too_long", f"{name} has {len(text)} characters; the schema allows {length_max}.")
        return text or None

    def _amount_of(self, node: Node) -> tuple[int, str]:
        if node.children is not None:
            raise UnreadableValueError("the amount holds elements instead of a value")
        if node.currency is None:
            raise UnreadableValueError("the currency is missing")
        currency = node.currency.strip(_XML_BLANKS)
        minor = minor_units((node.text or "").strip(_XML_BLANKS), currency)
        # Interned once it is known to be a currency: 200,000 entries then share one string.
        return minor, sys.intern(currency)

    def _or_note(self, read: Callable[[], _Value], code: str, path: tuple[str, ...]) -> _Value | None:
        try:
            return read()
        except UnreadableValueError as error:
            self.note(code, f"{'/'.join(path)}: {error}.")
            return None


def _first(children: Children, path: tuple[str, ...]) -> Node | None:
    """Return the first element at a path of local names."""
    node: Node | None = None
    here: Children | None = children
    for name in path:
        if not here or name not in here:
            return None
        node = here[name][0]
        here = node.children
    return node
