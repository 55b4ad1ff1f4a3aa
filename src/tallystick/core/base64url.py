"""base64url without padding (RFC 7515, section 2), in its one encoding."""

from typing import Final

import pybase64

__all__ = ["Base64UrlError", "base64url", "decoded"]

_ALPHABET: Final = b"-_"
# By how many characters there are beyond four: those that leave no spare bit.
_LAST: Final = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}


class Base64UrlError(ValueError):
    """The text is not the one encoding of any octets."""


def base64url(octets: bytes) -> bytes:
    """Return `octets` in base64url, as ASCII bytes."""
    return pybase64.b64encode(octets, _ALPHABET).rstrip(b"=")


def decoded(text: str) -> bytes:
    """Return what `text` encodes; raise Base64UrlError for anything but the one encoding of these octets."""
    rest = len(text) % 4
    # The decoder also takes base64's own characters and padding, and ignores spare bits: the last character tells
    # of those.
    foreign = "+" in text or "/" in text or "=" in text
    if foreign or rest == 1 or (rest and text[-1] not in _LAST[rest]):
        raise Base64UrlError
    try:
        return pybase64.b64decode(text + "=" * (-rest % 4), _ALPHABET, validate=True)
    except ValueError:
        raise Base64UrlError from None
