"""Ed25519 (RFC 8032): which public keys are fit to be trusted, and whether a signature is one's.

`cryptography` does the verification. It takes public keys of low order, under which one signature fits every message,
so keys are looked at here first; the curve arithmetic for that is done once per key and needs no speed.
"""

import hashlib
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tallystick_verify.canonical import canonical
from tallystick_verify.encodings import base64url_text

__all__ = ["PublicKey", "PublicKeyRefusedError", "thumbprint"]

_PRIME: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _PRIME) % _PRIME
_SQUARE_ROOT_OF_MINUS_ONE: Final = pow(2, (_PRIME - 1) // 4, _PRIME)
_SIGNATURE_SIZE_BYTES: Final = 64

# Extended coordinates (RFC 8032, section 5.1.4): x = X/Z, y = Y/Z, xy = T/Z.
_Point: TypeAlias = tuple[int, int, int, int]
_IDENTITY: Final[_Point] = (0, 1, 1, 0)


class PublicKeyRefusedError(ValueError):
    """Not the canonical encoding of a point that an honest key pair can have."""


class PublicKey:
    """A public key that has been looked at. `kid` is its RFC 7638 thumbprint."""

    __slots__ = ("_key", "kid", "octets")

    def __init__(self, octets: bytes) -> None:
        """Take 32 bytes; raise PublicKeyRefusedError unless they encode a point of the prime-order group."""
        if len(octets) != 32:
            raise PublicKeyRefusedError("an Ed25519 public key has 32 bytes")
        if _is_identity(_multiplied(_point(octets), 1)):
            raise PublicKeyRefusedError("the key is of low order")
        if not _is_identity(_multiplied(_point(octets), _ORDER)):
            raise PublicKeyRefusedError("the key is of low order, or has a part that is")
        self.octets = octets
        self.kid = thumbprint(octets)
        self._key = Ed25519PublicKey.from_public_bytes(octets)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether `signature` (64 bytes) is this key's over `message`; never raises for any bytes."""
        # R of low order is no honest signature, and verifiers disagree about it.
        if len(signature) != _SIGNATURE_SIZE_BYTES or signature[:32] in _LOW_ORDER:
            return False
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def thumbprint(octets: bytes) -> str:
    """Return the JWK thumbprint (RFC 7638, SHA-256) of an Ed25519 public key (RFC 8037)."""
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": base64url_text(octets).decode("ascii")}
    return base64url_text(hashlib.sha256(canonical(jwk)).digest()).decode("ascii")


def _point(octets: bytes) -> _Point:
    """Decode a point (RFC 8032, section 5.1.3), canonical encodings only."""
    number = int.from_bytes(octets, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _PRIME:
        raise PublicKeyRefusedError("the encoding is not canonical")
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _PRIME) % _PRIME
    x = pow(square, (_PRIME + 3) // 8, _PRIME)
    if (x * x - square) % _PRIME:
        x = x * _SQUARE_ROOT_OF_MINUS_ONE % _PRIME
    if (x * x - square) % _PRIME:
        raise PublicKeyRefusedError("the bytes are no point of the curve")
    if x == 0 and sign:
        raise PublicKeyRefusedError("the encoding is not canonical")
    if x & 1 != sign:
        x = _PRIME - x
    return x, y, 1, x * y % _PRIME


def _added(one: _Point, other: _Point) -> _Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % _PRIME
    b = (one[1] + one[0]) * (other[1] + other[0]) % _PRIME
    c = 2 * one[3] * other[3] * _D % _PRIME
    d = 2 * one[2] * other[2] % _PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _PRIME, g * h % _PRIME, f * g % _PRIME, e * h % _PRIME


def _multiplied(point: _Point, factor: int) -> _Point:
    result = _IDENTITY
    while factor:
        if factor & 1:
            result = _added(result, point)
        point = _added(point, point)
        factor >>= 1
    return result


def _is_identity(point: _Point) -> bool:
    return point[0] % _PRIME == 0 and (point[1] - point[2]) % _PRIME == 0


def _low_order() -> frozenset[bytes]:
    """Return every encoding, canonical or not, of the eight points of low order."""
    # A point of order 8 (of the public list in C2SP/CCTV); its multiples are the others.
    generator = _point(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
    found: set[bytes] = set()
    for factor in range(8):
        x, y, z, _ = _multiplied(generator, factor)
        inverse = pow(z, -1, _PRIME)
        x, y = x * inverse % _PRIME, y * inverse % _PRIME
        for alias in (y, y + _PRIME):
            if alias < 2**255:
                signs = (0, 1) if x == 0 else (x & 1,)
                found |= {(alias | sign << 255).to_bytes(32, "little") for sign in signs}
    return frozenset(found)


_LOW_ORDER: Final = _low_order()
