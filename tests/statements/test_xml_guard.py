"""Documents refused before a parser sees them, and encodings."""

import codecs
from collections.abc import Iterator

import pytest

from tallystick.core.errors import DomainError
from tallystick.statements.camt import parse_camt
from tallystick.statements.refusals import (
    StatementDoctypeForbiddenError,
    StatementEncodingUnsupportedError,
    StatementNotXmlError,
    StatementTooLargeError,
)
from tallystick.statements.xml_guard import GuardedXml, guard_xml
from tallystick.statements.xml_levels import read_root_tag
from tests.statements.camt_documents import Entry, Statement, camt

SIZE_MAX_BYTES = 5_000_000
BILLION_LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n} "{f"&lol{n - 1 or str()};" * 10}">' for n in range(1, 10))
    + "]><lolz>&lol9;</lolz>"
)
EXTERNAL_ENTITY = '<!DOCTYPE d [<!ENTITY xxe SYSTEM "file:///etc/passwd">]><d>&xxe;</d>'
DOCTYPES = {
    "billion laughs": BILLION_LAUGHS,
    "external entity": EXTERNAL_ENTITY,
    "external subset": '<!DOCTYPE d SYSTEM "http://example.invalid/d.dtd"><d/>',
    "public": '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "x"><html/>',
    "parameter entity": '<!DOCTYPE d [<!ENTITY % p SYSTEM "file:///etc/passwd">%p;]><d/>',
    "bare": "<!DOCTYPE d><d/>",
    "no blank": "<!DOCTYPE[]><d/>",
    "lower case": "<!doctype d><d/>",
    "odd blanks": "\t\r\n  <!DOCTYPE\n\t\r d\n[\n]\n><d/>",
    "after a comment": "<!-- <Document> --><!DOCTYPE d><d/>",
    "after an instruction": "<?x <d/> ?><!DOCTYPE d><d/>",
    "after both": "<!----><?a?><!-- --> <!DOCTYPE d><d/>",
    "after the declaration": '<?xml version="1.0"?>\n\n<!DOCTYPE d><d/>',
    "only an entity": '<!ENTITY a "b"><d/>',
}


def _encodings(text: str) -> Iterator[bytes]:
    yield text.encode()
    yield codecs.BOM_UTF8 + text.encode()
    for encoding, mark in (
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-32-be", codecs.BOM_UTF32_BE),
    ):
        yield mark + text.encode(encoding)
        if text.startswith("<"):
            yield text.encode(encoding)


@pytest.mark.parametrize("case", DOCTYPES)
def test_a_document_type_is_refused_in_every_encoding(case: str) -> None:
    for data in _encodings(DOCTYPES[case]):
        with pytest.raises(StatementDoctypeForbiddenError):
            guard_xml(data, size_max_bytes=SIZE_MAX_BYTES)


def test_a_document_type_is_refused_by_the_parser_too() -> None:
    unguarded = GuardedXml(EXTERNAL_ENTITY.encode(), 0, "utf-8", declaration_differs=False)
    with pytest.raises(StatementDoctypeForbiddenError):
        read_root_tag(unguarded)


def test_a_document_type_inside_the_root_is_not_well_formed() -> None:
    document = camt().replace("<GrpHdr>", "<!DOCTYPE d><GrpHdr>")
    with pytest.raises(StatementNotXmlError):
        parse_camt(document.encode(), size_max_bytes=SIZE_MAX_BYTES)


def test_a_document_type_may_be_mentioned() -> None:
    document = camt(declaration="<!-- <!DOCTYPE d> --><?note <!DOCTYPE d>?>")
    assert parse_camt(document.encode(), size_max_bytes=SIZE_MAX_BYTES).findings == ()
    quoted = camt(Statement(entries=(Entry(information="<!DOCTYPE d>"),)))
    assert parse_camt(quoted.encode(), size_max_bytes=SIZE_MAX_BYTES).findings == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \r\n\t",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xff\xfe\x00",
        b"\xff\xfe\x00\xd8<\x00",
        b"\x00\x00\xfe\xff\x00\x11\x00\x00",
        b":20:STARTUMS\r\n:25:10020030/1234567\r\n",
        b'{"Document": 1}',
        b"PK\x03\x04",
        b"<!-- open",
        b"<?xml version='1.0'",
        b"<?open",
        b"\xa0<d/>",
        b"<!---->" * 10_000 + b"<d/>",
    ],
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(StatementNotXmlError):
        guard_xml(data, size_max_bytes=SIZE_MAX_BYTES)


def test_the_size_is_checked_first() -> None:
    assert guard_xml(b"<a/>", size_max_bytes=4).encoding == "utf-8"
    with pytest.raises(StatementTooLargeError) as caught:
        guard_xml(b"<a/> ", size_max_bytes=4)
    assert caught.value.status == 413
    assert caught.value.members == {"size_bytes": 5, "size_max_bytes": 4}


NAME = "Straße Øre"


@pytest.mark.parametrize(
    ("declared", "encoding", "mark"),
    [
        ("UTF-8", "utf-8", b""),
        ("utf-8", "utf-8", codecs.BOM_UTF8),
        (None, "utf-8", b""),
        (None, "utf-8", codecs.BOM_UTF8),
        ("ISO-8859-1", "iso-8859-1", b""),
        ("iso-8859-15", "iso-8859-15", b""),
        ("windows-1252", "cp1252", b""),
        ("UTF-16", "utf-16-le", codecs.BOM_UTF16_LE),
        ("UTF-16", "utf-16-be", codecs.BOM_UTF16_BE),
        ("UTF-16LE", "utf-16-le", b""),
        ("UTF-16BE", "utf-16-be", b""),
        (None, "utf-16-le", codecs.BOM_UTF16_LE),
    ],
)
def test_encodings_read_alike(declared: str | None, encoding: str, mark: bytes) -> None:
    declaration = f'<?xml version="1.0" encoding="{declared}" standalone="yes"?>' if declared else ""
    document = camt(Statement(owner=NAME), declaration=declaration)
    message = parse_camt(mark + document.encode(encoding), size_max_bytes=SIZE_MAX_BYTES)
    assert message.statements[0].owner_name == NAME
    assert message.findings == ()


def test_blanks_before_the_declaration_are_let_pass() -> None:
    plain = camt(Statement(owner=NAME), declaration='<?xml version="1.0" encoding="ISO-8859-1"?>')
    expected = parse_camt(plain.encode("iso-8859-1"), size_max_bytes=SIZE_MAX_BYTES)
    assert parse_camt(f"\r\n {plain}".encode("iso-8859-1"), size_max_bytes=SIZE_MAX_BYTES) == expected


@pytest.mark.parametrize(
    ("declared", "encoding", "mark"),
    [
        ("utf-16", "utf-8", b""),
        ("ISO-8859-1", "utf-8", codecs.BOM_UTF8),
        ("UTF-8", "utf-16-le", codecs.BOM_UTF16_LE),
    ],
)
def test_a_wrong_declaration_is_noted(declared: str, encoding: str, mark: bytes) -> None:
    document = camt(Statement(owner=NAME), declaration=f'<?xml version="1.0" encoding="{declared}"?>')
    message = parse_camt(mark + document.encode(encoding), size_max_bytes=SIZE_MAX_BYTES)
    assert message.statements[0].owner_name == NAME
    assert [finding.code for finding in message.findings] == ["encoding_declaration_wrong"]


@pytest.mark.parametrize("declared", ["UTF-7", "IBM037", "Shift_JIS", "ISO-2022-KR", "x-none", "UCS-4"])
def test_other_encodings_are_refused(declared: str) -> None:
    document = camt(declaration=f"<?xml version='1.0' encoding = '{declared}'?>").encode()
    with pytest.raises(StatementEncodingUnsupportedError):
        guard_xml(document, size_max_bytes=SIZE_MAX_BYTES)


@pytest.mark.parametrize("encoding", ["cp037", "utf-32-le", "utf-32-be", "utf-32"])
def test_wide_and_foreign_bytes_are_refused(encoding: str) -> None:
    document = camt().encode(encoding)
    with pytest.raises(StatementEncodingUnsupportedError):
        guard_xml(document, size_max_bytes=SIZE_MAX_BYTES)


@pytest.mark.parametrize(
    "document",
    [
        camt(Statement(owner=NAME)).encode("iso-8859-1"),
        camt().encode() + b"\x00",
        camt().replace("STMT-1", "STMT\x01").encode(),
        camt().encode("utf-16-le") + b"\x00",
        camt(declaration='<?xml version="1.0" encoding="UTF-8" encoding="UTF-8"?>').encode(),
    ],
)
def test_bytes_that_are_not_in_their_encoding_are_refused(document: bytes) -> None:
    with pytest.raises(DomainError) as caught:
        parse_camt(document, size_max_bytes=SIZE_MAX_BYTES)
    assert caught.value.code == "statement_not_xml"
