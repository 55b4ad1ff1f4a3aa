"""Public keys that callers register, as JWK (RFC 7517), and the one algorithm that each is for (RFC 8725, 3.1).

A key is reduced to the members that its thumbprint (RFC 7638) is made of. Refused are private parts, keys that
nobody should verify with (points of low order or off the curve, RSA below 2048 bits or with a tiny exponent), and
algorithms that don't fit the key: a shared secret is none of them, so no public key can ever be used as one.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key

from tallystick.core.base64url import base64url, decoded
from tallystick.core.canonical_json import canonical_json
from tallystick.core.errors import MalformedError
from tallystick.core.strict_json import JsonValue
from tallystick.signing import PublicKeyRefusedError, checked_public_key

__all__ = ["ALGORITHMS", "JwkRefusedError", "checked_jwk", "loaded", "thumbprint_of"]

# algorithm of RFC 7518 and RFC 8037: key type, and curve where there is one
ALGORITHMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "EdDSA": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "PS256": ("RSA", None),
    "RS256": ("RSA", None),
}
_MEMBERS: Final = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}
_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_COORDINATE_SIZE_BYTES: Final = 32
_MODULUS_BITS_MIN: Final = 2_048
_MODULUS_BITS_MAX: Final = 8_192
_EXPONENT_MIN: Final = 65_537
_MEMBER_LENGTH_MAX: Final = 2_048


class JwkRefusedError(MalformedError):
    """The JWK is malformed, private, too weak, or not for the algorithm that was named."""

    code = "jwk_refused"
    title = "The public key is refused"


def checked_jwk(jwk: Mapping[str, JsonValue], algorithm: str) -> dict[str, str]:
    """Return the key's own members, if `algorithm` may be verified with it; raises JwkRefusedError."""
    kind, curve = ALGORITHMS.get(algorithm, (None, None))
    if kind is None:
        raise JwkRefusedError(f"The algorithms are {', '.join(ALGORITHMS)}.")
    if not _SECRET.isdisjoint(jwk):
        raise JwkRefusedError("This is a private key: nobody but its owner should have it. Make a new one.")
    if jwk.get("kty") != kind or (curve is not None and jwk.get("crv") != curve):
        raise JwkRefusedError(f"{algorithm} takes a key of type {' '.join(filter(None, (kind, curve)))}.")
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        raise JwkRefusedError("The key says that it is for something else.")
    members: dict[str, str] = {}
    for name in _MEMBERS[kind]:
        value = jwk.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= _MEMBER_LENGTH_MAX:
            raise JwkRefusedError(f"The key's member {name} is missing or no plain string.")
        members[name] = value
    _check_numbers(members)
    return members


def loaded(jwk: Mapping[str, str]) -> Key:
    """Return a checked key, ready to verify with."""
    return import_key(dict(jwk))


def thumbprint_of(jwk: Mapping[str, str]) -> str:
    """Return a checked key's thumbprint (RFC 7638, SHA-256)."""
    return base64url(hashlib.sha256(canonical_json(dict(jwk))).digest()).decode("ascii")


def _check_numbers(members: Mapping[str, str]) -> None:
    try:
        numbers = {name: decoded(members[name]) for name in members.keys() - {"kty", "crv"}}
        match members["kty"]:
            case "OKP":
                checked_public_key(numbers["x"])
            case "EC":
                if {len(numbers["x"]), len(numbers["y"])} != {_COORDINATE_SIZE_BYTES}:
                    raise JwkRefusedError(f"A coordinate has {_COORDINATE_SIZE_BYTES} bytes.")
                # Refuses points off the curve.
                loaded(members)
            case _:
                _check_rsa(numbers["n"], numbers["e"])
    except (ValueError, JoseError, PublicKeyRefusedError):
        raise JwkRefusedError("The key is not one that an honest key pair can have.") from None


def _check_rsa(modulus: bytes, exponent: bytes) -> None:
    if modulus[:1] == b"\0" or exponent[:1] == b"\0":
        # A second spelling of the same key would have another thumbprint (RFC 7518, section 6.3.1.1).
        raise JwkRefusedError("The RSA key's numbers begin with zeros.")
    n, e = int.from_bytes(modulus), int.from_bytes(exponent)
    if not _MODULUS_BITS_MIN <= n.bit_length() <= _MODULUS_BITS_MAX:
        raise JwkRefusedError(f"An RSA key has {_MODULUS_BITS_MIN} to {_MODULUS_BITS_MAX} bits.")
    if not _EXPONENT_MIN <= e < 2**32 or e % 2 == 0 or n % 2 == 0:
        raise JwkRefusedError("The RSA key's exponent is 65537 or a little larger, both numbers are odd.")
