"""Base64 (RFC 4648) in its one canonical form: no other spelling of the same bytes is taken."""

import base64
import binascii
from typing import Final

__all__ = ["EncodingRefusedError", "base64_bytes", "base64_text", "base64url_bytes", "base64url_text"]

# What only the other alphabet has, and padding, become a character that neither has.
_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
# By how many characters are left over: the last ones that leave no bit unused. One alone encodes nothing.
_LAST: Final = {0: None, 1: b"", 2: b"AQgw", 3: b"AEIMQUYcgkosw048"}
_TO_BASE64URL: Final = bytes.maketrans(b"+/", b"-_")


class EncodingRefusedError(ValueError):
    """Not the canonical encoding of any bytes."""


def base64_bytes(text: str) -> bytes:
    """Return the bytes of standard base64 with padding (section 4)."""
    try:
        octets = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        raise EncodingRefusedError("not base64") from None
    # The decoder ignores spare bits; whoever changes them makes another text of the same bytes.
    if base64_text(octets) != text:
        raise EncodingRefusedError("not canonical base64")
    return octets


def base64_text(octets: bytes) -> str:
    """Return standard base64 with padding."""
    return base64.b64encode(octets).decode("ascii")


def base64url_bytes(text: bytes) -> bytes:
    """Return the bytes of base64url without padding (RFC 7515, section 2)."""
    last = _LAST[len(text) % 4]
    # The decoder ignores spare bits; whoever changes them makes another text of the same bytes.
    if last is not None and text[-1] not in last:
        raise EncodingRefusedError("not canonical base64url")
    try:
        return binascii.a2b_base64(text.translate(_TO_BASE64) + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        raise EncodingRefusedError("not base64url") from None


def base64url_text(octets: bytes) -> bytes:
    """Return base64url without padding."""
    return binascii.b2a_base64(octets, newline=False).translate(_TO_BASE64URL).rstrip(b"=")
