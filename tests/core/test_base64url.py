"""base64url: one encoding of any octets, and every other text refused (RFC 4648 section 10, RFC 7515 section 2)."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.base64url import Base64UrlError, base64url, decoded


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AAAAA",
        "AA==",
        "AAA=",
        "A=",
        "====",
        "A+",
        "A/",
        "+/",
        "A B",
        "é",
        "éééé",
        "AB\n",
        "A\nBC",
        "Zh",
        "Zm9",
        "\0AAA",
    ],
)
def test_there_is_one_encoding(text: str) -> None:
    with pytest.raises(Base64UrlError):
        decoded(text)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"foobar", "Zm9vYmFy"),
        (b"\xfb\xff", "-_8"),
        (bytes([3, 236, 255, 224, 193]), "A-z_4ME"),
    ],
)
def test_vectors(octets: bytes, text: str) -> None:
    assert base64url(octets) == text.encode()
    assert decoded(text) == octets


@given(st.binary(max_size=3_000))
def test_it_agrees_with_the_standard_library(octets: bytes) -> None:
    assert base64url(octets) == base64.urlsafe_b64encode(octets).rstrip(b"=")
    assert decoded(base64url(octets).decode()) == octets


@given(st.text(alphabet="AQgwZm9-_+/= \n", max_size=12))
def test_whatever_decodes_encodes_to_the_same(text: str) -> None:
    try:
        octets = decoded(text)
    except Base64UrlError:
        return
    assert base64url(octets).decode() == text
