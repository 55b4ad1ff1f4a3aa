"""Any statement that is written is read back the same; any bytes at all are read or refused, never worse."""

import string
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.core.money import format_amount
from tallystick.statements.camt import parse_camt
from tallystick.statements.parsed import ParsedEntry, ParsedMessage
from tallystick.statements.refusals import (
    StatementDoctypeForbiddenError,
    StatementEncodingUnsupportedError,
    StatementMalformedError,
    StatementNamespaceUnknownError,
    StatementNotXmlError,
    StatementTooManyEntriesError,
    StatementTypeUnsupportedError,
)
from tests.statements.camt_documents import IBAN, Balance, Detail, Entry, Statement, camt, camt_bytes
from tests.statements.shared_files import sample_names, shared_file

SIZE_MAX_BYTES = 1_000_000
SCALES = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}

#: What XML 1.0 can hold. Blanks at the ends are trimmed by the reader, so none are written there.
_characters = st.characters(exclude_categories=["Cc", "Cs", "Cn", "Zs", "Zl", "Zp"])
_names = st.text(_characters, min_size=1, max_size=35)
_references = st.text(string.ascii_letters + string.digits + "/-?:().,'+", min_size=1, max_size=35)
_amounts = st.integers(0, 10**15)
_days = st.dates(date(1999, 1, 1), date(2100, 12, 31)).map(date.isoformat)


def _maybe(values: st.SearchStrategy[str]) -> st.SearchStrategy[str | None]:
    return st.none() | values


@st.composite
def _details(draw: st.DrawFn, currency: str) -> Detail:
    return Detail(
        amount=draw(_maybe(_amounts.map(lambda minor: format_amount(minor, SCALES[currency])))),
        currency=currency,
        credit=draw(st.booleans()),
        end_to_end_id=draw(_maybe(_references)),
        uetr=draw(_maybe(st.uuids(version=4).map(str))),
        transaction_id=draw(_maybe(_references)),
        instruction_id=draw(_maybe(_references)),
        debtor_name=draw(_maybe(_names)),
        debtor_iban=draw(_maybe(st.just(IBAN))),
        creditor_name=draw(_maybe(_names)),
        creditor_account=draw(_maybe(_references)),
        remittance=tuple(draw(st.lists(_names, max_size=3))),
        references=tuple(draw(st.lists(_references, max_size=2))),
        return_reason=draw(_maybe(st.just("AC04"))),
    )


@st.composite
def _entries(draw: st.DrawFn, currency: str) -> Entry:
    return Entry(
        amount=format_amount(draw(_amounts), SCALES[currency]),
        currency=currency,
        credit=draw(st.booleans()),
        status=draw(st.sampled_from(["BOOK", "BOOK", "PDNG", "INFO"])),
        reversal=draw(st.none() | st.booleans()),
        booking_date=draw(_maybe(_days)),
        value_date=draw(_maybe(_days)),
        reference=draw(_maybe(_references)),
        servicer_reference=draw(_maybe(_references)),
        code=draw(st.none() | st.sampled_from([("PMNT", "RCDT", "ESCT"), ("CAMT", "ACCB", "SWEP")])),
        details=tuple(draw(st.lists(_details(currency), max_size=3))),
        information=draw(_maybe(_names)),
    )


@st.composite
def _statements(draw: st.DrawFn) -> tuple[Statement, int]:
    """Return a statement and by how many minor units its closing balance is off."""
    currency = draw(st.sampled_from(sorted(SCALES)))
    entries = tuple(draw(st.lists(_entries(currency), max_size=4)))
    opening = draw(st.integers(-(10**15), 10**15))
    booked = sum(_signed(entry) for entry in entries if entry.status == "BOOK")
    off = draw(st.sampled_from([0, 0, 1, -1]))
    balances = (_balance("OPBD", opening, currency), _balance("CLBD", opening + booked + off, currency))
    return Statement(currency=currency, balances=balances, entries=entries, owner=draw(_maybe(_names))), off


def _signed(entry: Entry) -> int:
    minor = int(entry.amount.replace(".", ""))
    return minor if entry.credit else -minor


def _balance(type_code: str, signed_minor: int, currency: str) -> Balance:
    amount = format_amount(abs(signed_minor), SCALES[currency])
    return Balance(type_code, amount, credit=signed_minor >= 0, currency=currency)


def _written(read: ParsedEntry, currency: str) -> Entry:
    """Return what must have been written for `read` to be read."""
    scale = SCALES[currency]
    code = read.bank_transaction_code
    return Entry(
        amount=format_amount(read.amount_minor, scale),
        currency=read.currency,
        credit=read.credit,
        status=read.status,
        reversal=read.reversal,
        booking_date=read.booking_date.isoformat() if read.booking_date else None,
        value_date=read.value_date.isoformat() if read.value_date else None,
        reference=read.entry_reference,
        servicer_reference=read.account_servicer_reference,
        code=(code.domain, code.family or "", code.sub_family or "") if code.domain else None,
        details=tuple(
            Detail(
                amount=None if detail.amount_minor is None else format_amount(detail.amount_minor, scale),
                currency=currency,
                credit=detail.credit is not False,
                end_to_end_id=detail.end_to_end_id,
                uetr=detail.uetr,
                transaction_id=detail.transaction_id,
                instruction_id=detail.instruction_id,
                debtor_name=detail.debtor_name,
                debtor_iban=detail.debtor_iban,
                creditor_name=detail.creditor_name,
                creditor_account=detail.creditor_account,
                remittance=tuple(detail.remittance_information.split("\n"))
                if detail.remittance_information
                else (),
                references=detail.creditor_references,
                return_reason=detail.return_reason_code,
            )
            for detail in read.details
        ),
        information=read.additional_information,
    )


@settings(max_examples=150, deadline=None)
@given(statement=_statements(), version=st.sampled_from(["02", "08"]))
def test_what_is_written_is_read(statement: tuple[Statement, int], version: str) -> None:
    written, off = statement
    document = camt(written, version=version)
    (read,) = parse_camt(document.encode(), size_max_bytes=SIZE_MAX_BYTES).statements
    # Written again, the facts that were read make the same document.
    again = Statement(
        currency=read.currency,
        balances=tuple(
            _balance(balance.type_code, balance.signed_minor, read.currency) for balance in read.balances
        ),
        entries=tuple(_written(entry, read.currency) for entry in read.entries),
        owner=read.owner_name,
    )
    assert _explicit(camt(again, version=version)) == _explicit(document)
    assert ("balance_mismatch" in {finding.code for finding in read.findings}) == (off != 0)


def _explicit(document: str) -> str:
    """An absent reversal indicator says the same as a false one."""
    return document.replace("<RvslInd>false</RvslInd>", "")


_REFUSALS = (
    StatementTooManyEntriesError,
    StatementEncodingUnsupportedError,
    StatementDoctypeForbiddenError,
    StatementNotXmlError,
    StatementNamespaceUnknownError,
    StatementTypeUnsupportedError,
    StatementMalformedError,
)


def _parse_or_refuse(data: bytes) -> ParsedMessage | None:
    """Read any bytes: anything but a refusal fails the test."""
    try:
        return parse_camt(data, size_max_bytes=SIZE_MAX_BYTES, entry_count_max=1_000)
    except _REFUSALS:
        return None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2_000) | st.text(max_size=500).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert _parse_or_refuse(data) is None


WHOLE = camt_bytes(
    Statement(
        page=(1, True),
        period=("2026-11-20T00:00:00Z", "2026-11-20T23:59:59Z"),
        entries=(
            Entry(
                reversal=False,
                batch='<Btch><NbOfTxs>1</NbOfTxs><TtlAmt Ccy="EUR">10.00</TtlAmt></Btch>',
                details=(
                    Detail(amount="10.00", end_to_end_id="E", debtor_name="Payer", remittance=("a", "b")),
                ),
            ),
        ),
    )
)
_FRAGMENTS = [
    b"<", b">", b"&", b"]]>", b"<![CDATA[", b"<!--", b"-->", b"<?", b"?>", b"<!DOCTYPE d>", b"&#0;", b"&#xD800;",
    b"&lt;", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"'", b'"', b"=", b"/", b"<Amt/>", b"</Ntry>", b"<Stmt>",
    b"<Ntry>", b"<TxDtls/>", b"<NtryDtls/>", b" xmlns=''", b" xmlns='urn:x'", b"-", b".", b"9" * 50, b"NaN", b"1e400",
    b"EUR", b"9999-12-31T24:00:00", b"0000-00-00", b"CRDT", b"PDNG", b"BOOK", b"true", "\u0660\u2028\ufeff".encode(),
]  # fmt: skip


@st.composite
def _mutations(draw: st.DrawFn, original: bytes) -> bytes:
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["cut", "insert", "replace", "repeat", "truncate", "flip"]))
        if kind == "cut":
            del data[start:end]
        elif kind == "insert":
            data[start:start] = draw(st.sampled_from(_FRAGMENTS))
        elif kind == "replace":
            data[start:end] = draw(st.sampled_from(_FRAGMENTS))
        elif kind == "repeat":
            data[start:start] = data[start:end] * draw(st.integers(1, 20))
        elif kind == "truncate":
            del data[start:]
        elif start < len(data):
            data[start] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


@settings(max_examples=600, deadline=None)
@given(_mutations(WHOLE))
def test_mutations_are_read_or_refused(data: bytes) -> None:
    _parse_or_refuse(data)


@pytest.mark.parametrize(
    "name", sample_names() or [pytest.param("any", marks=pytest.mark.skip("no samples here"))]
)
def test_mutations_of_bank_files_are_read_or_refused(name: str) -> None:
    original = shared_file("samples", name).read_bytes()

    @settings(max_examples=60, deadline=None)
    @given(_mutations(original))
    def mutate(data: bytes) -> None:
        _parse_or_refuse(data)

    mutate()


def test_no_truncation_is_taken_for_the_whole() -> None:
    assert _parse_or_refuse(WHOLE) is not None
    for length in range(len(WHOLE)):
        assert _parse_or_refuse(WHOLE[:length]) is None
