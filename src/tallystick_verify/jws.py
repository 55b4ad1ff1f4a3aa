"""JWS compact serialization (RFC 7515) with EdDSA over Ed25519 (RFC 8037), in one narrow profile.

The protected header has exactly `alg`, `kid` and `typ`; every segment is canonical base64url; the algorithm and the key
come from what the verifier trusts, and the header may only agree (RFC 8725).
"""

from functools import lru_cache
from typing import Any, Final, NamedTuple

from tallystick_verify.canonical import JsonRefusedError, parse
from tallystick_verify.encodings import EncodingRefusedError, base64url_bytes
from tallystick_verify.failures import ExitCode, Failure

__all__ = ["BOOKS_TYPE", "EVENT_TYPE", "MANIFEST_TYPE", "ROOT_TYPE", "Token", "read_token"]

EVENT_TYPE: Final = "tallystick-event-v1+jws"
MANIFEST_TYPE: Final = "tallystick-manifest-v1+jws"
BOOKS_TYPE: Final = "tallystick-books-v1+jws"
ROOT_TYPE: Final = "tallystick-root-v1+jws"

_ALGORITHM: Final = "EdDSA"
_HEADER_SIZE_MAX: Final = 1_024


class Token(NamedTuple):
    """A compact JWS taken apart, not verified yet: `signature` is to be `kid`'s over `signing_input`."""

    kid: str
    payload: bytes
    signing_input: bytes
    signature: bytes


def read_token(token: bytes, media_type: str) -> Token:
    """Take a token apart. Raises Failure (signature) for what is malformed, (unsupported) for another type."""
    signing_input, _, signature = token.rpartition(b".")
    header, dot, payload = signing_input.partition(b".")
    if not dot or b"." in payload:
        raise Failure(ExitCode.SIGNATURE, "It is no compact JWS: three segments are wanted.")
    kid, typ = _header(header)
    if typ != media_type:
        raise Failure(ExitCode.UNSUPPORTED, f"It was signed as something else than {media_type}.")
    try:
        return Token(kid, base64url_bytes(payload), signing_input, base64url_bytes(signature))
    except EncodingRefusedError:
        raise Failure(ExitCode.SIGNATURE, "A segment of the JWS is not canonical base64url.") from None


@lru_cache(maxsize=64)
def _header(segment: bytes) -> tuple[str, str]:
    """Return `kid` and `typ`; few headers occur, and each is looked at once."""
    try:
        header: Any = parse(base64url_bytes(segment[:_HEADER_SIZE_MAX]))
    except (EncodingRefusedError, JsonRefusedError):
        raise Failure(ExitCode.SIGNATURE, "The JWS's header can't be read for certain.") from None
    if not isinstance(header, dict) or header.keys() != {"alg", "kid", "typ"}:
        raise Failure(ExitCode.SIGNATURE, "The JWS's header must have alg, kid and typ, and nothing else.")
    if not all(isinstance(value, str) for value in header.values()):
        raise Failure(ExitCode.SIGNATURE, "A member of the JWS's header is no string.")
    if header["alg"] != _ALGORITHM:
        raise Failure(ExitCode.SIGNATURE, "The JWS's algorithm is not EdDSA.")
    return header["kid"], header["typ"]
