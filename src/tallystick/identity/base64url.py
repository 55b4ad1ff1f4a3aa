"""base64url without padding (RFC 7515, section 2), in its one encoding."""

import binascii
from typing import Final

__all__ = ["decoded", "encoded"]

_TO_BASE64: Final = str.maketrans("-_", "+/", "+/=")
_TO_BASE64URL: Final = bytes.maketrans(b"+/", b"-_")


def encoded(octets: bytes) -> str:
    """Return `octets` in base64url."""
    return binascii.b2a_base64(octets, newline=False).translate(_TO_BASE64URL).rstrip(b"=").decode("ascii")


def decoded(text: str) -> bytes:
    """Return what `text` encodes; raise ValueError for anything but the one encoding of these bytes."""
    if not text.isascii():
        raise ValueError("not base64url")
    # `binascii.Error` is a ValueError. The decoder skips foreign characters and spare bits, hence the comparison.
    octets = binascii.a2b_base64(text.translate(_TO_BASE64) + "=" * (-len(text) % 4))
    if encoded(octets) != text:
        raise ValueError("not the canonical base64url")
    return octets
