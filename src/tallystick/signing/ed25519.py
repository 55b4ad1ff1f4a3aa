"""Ed25519 (RFC 8032): checking signatures, which public keys are fit to be trusted, and their JWK names.

libsodium (through PyNaCl) does the arithmetic: of the libraries that were measured it signs and verifies fastest
and lets other threads run meanwhile.
"""

import hashlib
from typing import Final

from nacl import bindings
from nacl.exceptions import BadSignatureError

from tallystick.core.base64url import base64url
from tallystick.core.canonical_json import canonical_json
from tallystick.core.errors import MalformedError

__all__ = [
    "PUBLIC_KEY_SIZE_BYTES",
    "SIGNATURE_SIZE_BYTES",
    "PublicKeyRefusedError",
    "checked_public_key",
    "public_jwk",
    "thumbprint",
    "verify_signature",
]

PUBLIC_KEY_SIZE_BYTES: Final = 32
SIGNATURE_SIZE_BYTES: Final = 64


class PublicKeyRefusedError(MalformedError):
    """The bytes are no Ed25519 public key that anything should be verified with."""

    code = "public_key_refused"
    title = "The public key can't be trusted"


def checked_public_key(public_key: bytes) -> bytes:
    """Return `public_key`, 32 bytes, if it is the one encoding of a point that an honest key pair can have.

    Raises PublicKeyRefusedError for encodings of y >= 2^255 - 19, values that are no point of the curve, points of
    low order (one signature would then verify for every message) and points with a part of low order (verifiers
    disagree about their signatures; no private key leads to one).
    """
    if len(public_key) != PUBLIC_KEY_SIZE_BYTES:
        raise PublicKeyRefusedError("An Ed25519 public key has 32 bytes.")
    if not bindings.crypto_core_ed25519_is_valid_point(public_key):
        raise PublicKeyRefusedError(
            "The bytes are not the canonical encoding of a point of the prime-order group."
        )
    return public_key


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` (64 bytes) is that of `message` by `public_key` (32 bytes), as RFC 8032 5.1.7 says.

    S must be below the group's order, R and the key must be canonical and not of low order. Never raises for any
    bytes: whatever has the wrong length is no signature.
    """
    if len(public_key) != PUBLIC_KEY_SIZE_BYTES or len(signature) != SIGNATURE_SIZE_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


def public_jwk(public_key: bytes) -> dict[str, str]:
    """Return the members that make an Ed25519 public key as a JWK (RFC 8037, section 2)."""
    return {"crv": "Ed25519", "kty": "OKP", "x": base64url(public_key).decode("ascii")}


def thumbprint(public_key: bytes) -> str:
    """Return the JWK thumbprint (RFC 7638, SHA-256): 43 characters of base64url that only this key has."""
    return base64url(hashlib.sha256(canonical_json(public_jwk(public_key))).digest()).decode("ascii")
