"""JWS compact serialization (RFC 7515) with EdDSA over Ed25519 (RFC 8037): what an event's signature looks like.

The profile is narrow: the protected header holds `alg`, `kid` and `typ` and nothing else. Whoever verifies takes the
key, and with it the algorithm, from its own records; the header may only agree (RFC 8725, sections 3.1, 3.2, 3.11).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from tallystick.core import base64url as strict_base64url
from tallystick.core.base64url import Base64UrlError, base64url
from tallystick.core.canonical_json import canonical_json
from tallystick.core.errors import DomainError, MalformedError
from tallystick.core.strict_json import JsonValue, parse_json
from tallystick.signing.ed25519 import verify_signature
from tallystick.signing.signer import Signer, Signing

__all__ = [
    "ALGORITHM",
    "EVENT_MEDIA_TYPE",
    "CompactSigning",
    "JwsInvalidError",
    "JwsKeyUnknownError",
    "JwsMalformedError",
    "JwsSignatureInvalidError",
    "JwsTypeRefusedError",
    "KeyResolver",
    "VerificationKey",
    "begin_compact_many",
    "content_of",
    "decoded",
    "key_id_of",
    "sign_compact",
    "sign_compact_many",
    "verify_compact",
]

ALGORITHM: Final = "EdDSA"
# The version belongs to the type: a verifier that knows only version 1 must refuse version 2.
EVENT_MEDIA_TYPE: Final = "tallystick-event-v1+jws"

_TOKEN_SIZE_MAX: Final = 2_097_152
_HEADER_SIZE_MAX_BYTES: Final = 1_024
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})


class JwsInvalidError(MalformedError):
    """The token proves nothing."""

    code = "jws_invalid"
    title = "The signed token is not valid"


class JwsMalformedError(JwsInvalidError):
    """The token is no compact JWS of this profile: segments, base64url, header members."""

    code = "jws_malformed"
    title = "The signed token is malformed"


class JwsTypeRefusedError(JwsInvalidError):
    """The token was made for another purpose, or says another algorithm than the key's."""

    code = "jws_type_refused"
    title = "The signed token is of another type or algorithm"


class JwsKeyUnknownError(JwsInvalidError):
    """No trusted key has the token's key id."""

    code = "jws_key_unknown"
    title = "The key of the signed token is not known"


class JwsSignatureInvalidError(JwsInvalidError):
    """The signature is not the key's over these bytes."""

    code = "jws_signature_invalid"
    title = "The signature does not verify"


class VerificationKey(NamedTuple):
    """What a verifier trusts: an Ed25519 public key (32 bytes) and the one algorithm it is for."""

    key_id: str
    algorithm: str
    public_key: bytes


KeyResolver: TypeAlias = Callable[[str | None], VerificationKey | None]


def sign_compact(signer: Signer, payload: bytes, *, media_type: str = EVENT_MEDIA_TYPE) -> str:
    """Return `payload` as a compact JWS; its three segments are exactly the bytes that were signed, and the proof."""
    return sign_compact_many(signer, (payload,), media_type=media_type)[0]


def sign_compact_many(
    signer: Signer, payloads: Sequence[bytes], *, media_type: str = EVENT_MEDIA_TYPE
) -> list[str]:
    """Return the compact JWS of each payload, in order. Raises what the signer raises; then nothing is signed."""
    return begin_compact_many(signer, payloads, media_type=media_type).result()


class CompactSigning:
    """Compact JWS that are being signed."""

    __slots__ = ("_signing", "_signing_inputs")

    def __init__(self, signing_inputs: list[bytes], signing: Signing) -> None:
        self._signing_inputs = signing_inputs
        self._signing = signing

    def ready(self) -> bool:
        """Tell whether `result` would return without much waiting."""
        return self._signing.ready()

    def result(self) -> list[str]:
        """Return each compact JWS, in order. Raises what the signer raises."""
        return [
            (signing_input + b"." + base64url(signature)).decode("ascii")
            for signing_input, signature in zip(self._signing_inputs, self._signing.result(), strict=True)
        ]


def begin_compact_many(
    signer: Signer, payloads: Sequence[bytes], *, media_type: str = EVENT_MEDIA_TYPE
) -> CompactSigning:
    """Begin to sign each payload."""
    prefix = _signing_prefix(signer.key_id, media_type)
    signing_inputs = [prefix + base64url(payload) for payload in payloads]
    return CompactSigning(signing_inputs, signer.begin(signing_inputs))


def verify_compact(
    token: str, resolve_key: KeyResolver, *, media_type: str | None = EVENT_MEDIA_TYPE
) -> bytes:
    """Return the payload of `token` once its signature verifies under the key that `resolve_key` gives.

    `resolve_key` is asked with the header's `kid` (None if absent) and answers from records of its own, or None.
    `media_type` None takes any type, for tokens of others. Raises JwsMalformedError (also for `crit`, `b64`, keys
    within the header, and base64url that is not canonical), JwsTypeRefusedError, JwsKeyUnknownError or
    JwsSignatureInvalidError.
    """
    if len(token) > _TOKEN_SIZE_MAX or not token.isascii() or token.count(".") != 2:
        raise JwsMalformedError("A compact JWS has three segments of base64url.")
    signing_input, _, signature_segment = token.rpartition(".")
    header_segment, _, payload_segment = signing_input.partition(".")
    header = _read_header(header_segment)
    payload = decoded(payload_segment)
    signature = decoded(signature_segment)
    if media_type is not None and header.get("typ") != media_type:
        raise JwsTypeRefusedError
    key = resolve_key(header.get("kid"))
    if key is None:
        raise JwsKeyUnknownError
    if key.algorithm != ALGORITHM or header["alg"] != key.algorithm:
        raise JwsTypeRefusedError
    if not verify_signature(key.public_key, signing_input.encode("ascii"), signature):
        raise JwsSignatureInvalidError
    return payload


def content_of(token: str) -> tuple[str | None, bytes]:
    """Return the key id and the payload that a compact JWS tells, without verifying anything.

    Only for tokens whose very bytes are known to have been verified, as by a hash over them. Raises JwsMalformedError.
    """
    header_segment, _, rest = token.partition(".")
    return _read_header(header_segment).get("kid"), decoded(rest.partition(".")[0])


def key_id_of(token: str) -> str | None:
    """Return the key id that a compact JWS tells, without verifying anything. Raises JwsMalformedError."""
    return _read_header(token.partition(".")[0]).get("kid")


@lru_cache(maxsize=1_024)
def _signing_prefix(key_id: str, media_type: str) -> bytes:
    header = {"alg": ALGORITHM, "kid": key_id, "typ": media_type}
    return base64url(canonical_json(header)) + b"."


@lru_cache(maxsize=64)
def _read_header(segment: str) -> dict[str, str]:
    try:
        header: JsonValue = parse_json(decoded(segment), size_max_bytes=_HEADER_SIZE_MAX_BYTES, depth_max=1)
    except JwsMalformedError:
        raise
    except DomainError as error:
        raise JwsMalformedError(f"The header is refused: {error.code}.") from None
    if not isinstance(header, dict) or "alg" not in header or not header.keys() <= _HEADER_MEMBERS:
        raise JwsMalformedError("The header holds alg, kid and typ, and nothing else.")
    members = {name: value for name, value in header.items() if isinstance(value, str)}
    if len(members) != len(header):
        raise JwsMalformedError("A member of the header is no string.")
    return members


def decoded(segment: str) -> bytes:
    """Return the octets of canonical base64url without padding. Raises JwsMalformedError."""
    try:
        return strict_base64url.decoded(segment)
    except Base64UrlError:
        raise JwsMalformedError("A segment is not the canonical base64url of its bytes.") from None
