"""Inbound ISO 20022 account statements: camt.053, and the reports (camt.052) and notifications (camt.054) like it.

Bytes in, facts out: nothing here touches the database or the network. Real bank files break their schema; what can
still be read for certain is read and the deviation becomes a finding, the rest is refused.
"""

from dataclasses import replace
from datetime import datetime
from io import BufferedIOBase
from typing import Final

from tallystick.statements.camt_entries import read_batches, read_detail, read_entry
from tallystick.statements.camt_reading import CamtReading
from tallystick.statements.camt_statements import read_page, read_statement, read_totals
from tallystick.statements.camt_versions import CamtShape, shape_of_root
from tallystick.statements.findings import Finding, FindingCollector
from tallystick.statements.packed import EntryPacker
from tallystick.statements.parsed import (
    PageInformation,
    ParsedBatch,
    ParsedEntryDetail,
    ParsedMessage,
    ParsedStatement,
)
from tallystick.statements.refusals import StatementMalformedError, StatementTooManyEntriesError
from tallystick.statements.statement_checks import check_entry, check_statement
from tallystick.statements.xml_guard import guard_xml
from tallystick.statements.xml_levels import Children, ClosedElement, read_root_tag, stream_levels

__all__ = ["ENTRY_COUNT_MAX", "parse_camt"]

ENTRY_COUNT_MAX: Final = 250_000
_STATEMENT_COUNT_MAX: Final = 10_000
_MESSAGE, _STATEMENT, _ENTRY, _DETAILS, _DETAIL = range(5)


def parse_camt(
    data: bytes | BufferedIOBase, *, size_max_bytes: int, entry_count_max: int = ENTRY_COUNT_MAX
) -> ParsedMessage:
    """Return what a camt.052, camt.053 or camt.054 (versions 02 to 12) says, with its deviations as findings.

    UTF-8, UTF-16, ISO 8859-1, ISO 8859-15 and Windows-1252 are read. `entry_count_max` holds for entries and again
    for transaction details. An opened file is read piece by piece (one in UTF-16 at once). Memory beyond `data` grows
    with the entries that are returned, and little with those.

    Raises, and never anything else: StatementTooLargeError, StatementTooManyEntriesError,
    StatementEncodingUnsupportedError, StatementDoctypeForbiddenError, StatementNotXmlError,
    StatementNamespaceUnknownError, StatementTypeUnsupportedError, StatementMalformedError.
    """
    document = guard_xml(data, size_max_bytes=size_max_bytes)
    shape = shape_of_root(read_root_tag(document))
    builder = _MessageBuilder(shape, entry_count_max)
    if document.declaration_differs:
        builder.message_reading.note(
            "encoding_declaration_wrong", "The document is not in the encoding it declares."
        )
    for closed in stream_levels(document, namespace=shape.namespace, chain=shape.names):
        builder.take(closed)
    return builder.message()


class _MessageBuilder:
    """Puts a message together from its elements in the order in which they end: innermost first."""

    def __init__(self, shape: CamtShape, entry_count_max: int) -> None:
        self._shape = shape
        self._entry_count_max = entry_count_max
        self._entry_count = 0
        self._detail_count = 0
        self._message: tuple[str, datetime | None] | None = None
        self._statements: list[ParsedStatement] = []
        self._statement_ids: set[str] = set()
        self.message_reading = CamtReading(shape, FindingCollector(), shape.names[0])
        self._begin_statement()

    def _begin_statement(self) -> None:
        where = f"{self._shape.statement_name}[{len(self._statements) + 1}]"
        self._statement_where = where
        self._reading = CamtReading(self._shape, FindingCollector(), where)
        self._entries = EntryPacker()
        self._begin_entry()

    def _begin_entry(self) -> None:
        self._entry_where = f"{self._statement_where}/Ntry[{len(self._entries) + 1}]"
        self._details: list[ParsedEntryDetail] = []
        self._batches: list[ParsedBatch] = []

    def take(self, closed: ClosedElement) -> None:
        """Read one element that has ended."""
        if closed.level == _DETAIL:
            self._take_detail(closed)
        elif closed.level == _DETAILS:
            self._reading.where = f"{self._entry_where}/NtryDtls"
            self._batches += read_batches(self._reading, closed.children)
        elif closed.level == _ENTRY:
            self._take_entry(closed.children)
        elif closed.level == _STATEMENT:
            self._take_statement(closed)
        else:
            self._take_message(closed.children)

    def _take_detail(self, closed: ClosedElement) -> None:
        self._detail_count += 1
        self._refuse_too_many(self._detail_count, self._entry_count_max)
        sequence = len(self._details) + 1
        self._reading.where = f"{self._entry_where}/TxDtls[{sequence}]"
        # The entry's amount stands before its details in every version of the schema.
        amounts = closed.ancestors[_ENTRY].get("Amt")
        currency = amounts[0].currency if amounts else None
        detail = read_detail(self._reading, closed.children, sequence=sequence, entry_currency=currency)
        self._details.append(detail)

    def _take_entry(self, children: Children) -> None:
        self._entry_count += 1
        self._refuse_too_many(self._entry_count, self._entry_count_max)
        self._reading.where = self._entry_where
        entry = read_entry(
            self._reading,
            children,
            sequence=len(self._entries) + 1,
            details=tuple(self._details),
            batches=tuple(self._batches),
        )
        check_entry(entry, self._reading.findings, self._entry_where)
        self._entries.add(entry)
        self._begin_entry()

    def _take_statement(self, closed: ClosedElement) -> None:
        self._refuse_too_many(len(self._statements) + 1, _STATEMENT_COUNT_MAX)
        reading = self._reading
        reading.where = self._statement_where
        statement = read_statement(
            reading,
            closed.children,
            message_page=self._message_page(closed.ancestors[_MESSAGE]),
            entries=self._entries.entries(),
        )
        totals = read_totals(reading, closed.children, statement.currency)
        check_statement(self._shape.message_type, statement, totals, reading.findings, self._statement_where)
        if statement.statement_id in self._statement_ids:
            reading.note(
                "statement_id_duplicated", "Another statement of the message has this identification."
            )
        self._statement_ids.add(statement.statement_id)
        self._statements.append(
            replace(statement, findings=reading.findings.collected(self._statement_where))
        )
        self._begin_statement()

    def _message_page(self, message: Children) -> PageInformation | None:
        headers = message.get("GrpHdr")
        header = headers[0].children if headers else None
        return read_page(self.message_reading, header, "MsgPgntn") if header else None

    def _take_message(self, children: Children) -> None:
        if self._message is not None:
            raise StatementMalformedError("The document holds more than one message.")
        reading = self.message_reading
        message_id = reading.required_text(children, "GrpHdr", "MsgId", length_max=35)
        created_at = reading.moment(children, "GrpHdr", "CreDtTm")
        if created_at is None:
            reading.note("created_at_missing", "GrpHdr/CreDtTm: the message does not say when it was made.")
        self._message = message_id, created_at

    def _refuse_too_many(self, count: int, count_max: int) -> None:
        if count > count_max:
            raise StatementTooManyEntriesError(f"The limit is {count_max}.", count_max=count_max)

    def message(self) -> ParsedMessage:
        """Return the whole message; refuse one without statements."""
        if self._message is None or not self._statements:
            raise StatementMalformedError(f"The document holds no {self._shape.statement_name}.")
        message_id, created_at = self._message
        findings: list[Finding] = list(self.message_reading.findings.collected(self._shape.names[0]))
        for statement in self._statements:
            findings.extend(statement.findings)
        return ParsedMessage(
            message_type=self._shape.message_type,
            version=self._shape.version,
            message_id=message_id,
            created_at=created_at,
            statements=tuple(self._statements),
            findings=tuple(findings),
        )
