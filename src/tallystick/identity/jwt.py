"""JSON Web Tokens (RFC 7519) as compact JWS (RFC 7515), read as RFC 8725 advises.

Read first, and strictly: one meaning or none. The signature comes next, with a key and an algorithm from records of
ours; the header may only agree. Keys that a token brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) are refused
rather than ignored, and so is `crit`: nothing of this profile is understood beyond its own members.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import Key

from tallystick.core.base64url import decoded
from tallystick.core.errors import DomainError
from tallystick.core.strict_json import JsonValue, parse_json

__all__ = ["LEEWAY", "Jwt", "JwtRefusedError", "check_times", "read_jwt", "verify_jwt"]

# Clocks of callers and ours may differ by this much.
LEEWAY: Final = timedelta(seconds=30)
_HEADER_SIZE_MAX_BYTES: Final = 512
_FORBIDDEN: Final = frozenset({"b64", "crit", "enc", "jku", "jwk", "x5c", "x5u", "zip"})
_MOMENT_MAX: Final = 253_402_300_799


class JwtRefusedError(Exception):
    """The token proves nothing. The reason is for our log and tests; its bearer is never told."""


class Jwt(NamedTuple):
    """A token as it was read; nothing in it is proven before `verify_jwt`."""

    text: str
    algorithm: str
    key_id: str | None
    type: str | None
    claims: Mapping[str, JsonValue]

    def word(self, name: str) -> str | None:
        """Return a claim that is a string."""
        found = self.claims.get(name)
        return found if isinstance(found, str) else None


class _OneAlgorithm(jws.JWSRegistry):
    """The algorithm is the key record's: which ones joserfc would recommend or warn of is not asked."""

    def get_alg(self, name: str) -> Any:
        if not self.allowed or name not in self.allowed:
            raise UnsupportedAlgorithmError("the algorithm is not the key's")
        return self.algorithms[name]


def read_jwt(text: str, *, size_max_bytes: int) -> Jwt:
    """Take a token apart; raise JwtRefusedError unless it is a JWS whose header and claims have one meaning."""
    if len(text) > size_max_bytes or not text.isascii() or text.count(".") != 2:
        raise JwtRefusedError("no compact JWS of allowed size")
    header_part, payload_part, _ = text.split(".")
    header = _object(header_part, _HEADER_SIZE_MAX_BYTES)
    claims = _object(payload_part, size_max_bytes)
    if not _FORBIDDEN.isdisjoint(header):
        raise JwtRefusedError("the header brings a key, or asks for what isn't understood")
    algorithm, key_id, media_type = (header.get(name) for name in ("alg", "kid", "typ"))
    if not isinstance(algorithm, str):
        raise JwtRefusedError("no algorithm")
    if not isinstance(key_id, str | None) or not isinstance(media_type, str | None):
        raise JwtRefusedError("a member of the header is no string")
    return Jwt(text, algorithm, key_id, media_type, claims)


def verify_jwt(token: Jwt, key: Key, algorithm: str) -> None:
    """Raise JwtRefusedError unless the token is signed by `key` with `algorithm`, and says so."""
    if token.algorithm != algorithm:
        raise JwtRefusedError("the algorithm is not the key's")
    try:
        jws.deserialize_compact(token.text, key, registry=_OneAlgorithm(algorithms=[algorithm]))
    except (JoseError, ValueError) as error:
        raise JwtRefusedError("the signature does not verify") from error


def check_times(claims: Mapping[str, JsonValue], now: datetime, lifetime_max: timedelta) -> datetime:
    """Return when the token expires. Raise JwtRefusedError if it has, begins later, or lives for too long.

    `exp` and `iat` are required, `nbf` is not: whole seconds since 1970, UTC.
    """
    expires_at, issued_at = _moment(claims, "exp"), _moment(claims, "iat")
    if expires_at <= now - LEEWAY:
        raise JwtRefusedError("expired")
    if issued_at > now + LEEWAY or ("nbf" in claims and _moment(claims, "nbf") > now + LEEWAY):
        raise JwtRefusedError("not valid yet")
    if not issued_at < expires_at <= issued_at + lifetime_max or expires_at > now + lifetime_max + LEEWAY:
        raise JwtRefusedError("the lifetime is too long, or none")
    return expires_at


def _moment(claims: Mapping[str, JsonValue], name: str) -> datetime:
    seconds = claims.get(name)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= _MOMENT_MAX:
        raise JwtRefusedError(f"{name} is missing or no moment")
    return datetime.fromtimestamp(seconds, UTC)


def _object(part: str, size_max_bytes: int) -> dict[str, JsonValue]:
    try:
        value = parse_json(decoded(part), size_max_bytes=size_max_bytes, depth_max=8)
    except (ValueError, DomainError) as error:
        raise JwtRefusedError("a part is no strict JSON in base64url") from error
    if not isinstance(value, dict):
        raise JwtRefusedError("a part is no object")
    return value
