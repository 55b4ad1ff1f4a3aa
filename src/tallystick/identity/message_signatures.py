"""HTTP message signatures (RFC 9421) over payments, with `Content-Digest` (RFC 9530).

A signature must cover the method, the target (`@target-uri`, or `@path` and `@authority`), the body's digest,
`authorization` and `idempotency-key`; say when it was made, within five minutes of now; and bear a nonce that its key
uses once. Key and algorithm come from our records. Signatures of others, such as a gateway's, are not looked at.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature as SignatureWrongError
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    VerifyResult,
    algorithms,
)
from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import DeniedError
from tallystick.identity import store
from tallystick.identity.clients import Client, ClientUse, parse_client_text
from tallystick.identity.public_keys import loaded
from tallystick.identity.registering import public_members, use_once
from tallystick.participants import Principal

__all__ = [
    "SIGNATURE_AGE_MAX",
    "SignatureInvalidError",
    "SignatureRequiredError",
    "SignedRequest",
    "verify_request",
]

SIGNATURE_AGE_MAX: Final = timedelta(minutes=5)
_HEADER_LENGTH_MAX: Final = 8_192
_NONCE_LENGTH_MIN: Final = 8
_NONCE_LENGTH_MAX: Final = 128
_COVERED: Final = ("@method", "content-digest", "authorization", "idempotency-key")
_ALGORITHMS: Final[Mapping[str, type[HTTPSignatureAlgorithm]]] = {
    "EdDSA": algorithms.ED25519,
    "ES256": algorithms.ECDSA_P256_SHA256,
    "RS256": algorithms.RSA_V1_5_SHA256,
}


class SignatureRequiredError(DeniedError):
    """The caller's payments of this size must be signed (RFC 9421), and this one isn't."""

    code = "signature_required"
    title = "The request must be signed"


class SignatureInvalidError(DeniedError):
    """The request's signature is wrong, old, used before, or covers too little."""

    code = "signature_invalid"
    title = "The request's signature is not valid"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature may cover. `url` is the address that the caller meant, under the service's public URL."""

    method: str
    url: str
    headers: "HeaderLines"
    body: bytes


class HeaderLines:
    """Header lines in their order, as the signature library asks for them."""

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        self._lines = tuple(lines)

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return every line, repeated names included."""
        return self._lines


class _Verifier(HTTPMessageVerifier):
    """The library's verifier, on our clock."""

    def __init__(self, now: datetime, algorithm: type[HTTPSignatureAlgorithm], keys: "_OneKey") -> None:
        super().__init__(signature_algorithm=algorithm, key_resolver=keys)
        self._now = now

    @classmethod
    def dictionary(cls, value: str) -> Any:
        """Return the members of `Signature` or `Signature-Input` by their labels."""
        return cls._parse_signature_dictionary(value)

    def validate_created_and_expires(self, sig_input: Any, max_age: timedelta | None = None) -> None:  # noqa: ARG002 The library's own signature.
        created, expires = sig_input.params.get("created"), sig_input.params.get("expires")
        if (
            type(created) is not int
            or abs(created - self._now.timestamp()) > SIGNATURE_AGE_MAX.total_seconds()
        ):
            raise InvalidSignature("created too long ago, or too far ahead")
        if expires is not None and (type(expires) is not int or expires <= self._now.timestamp()):
            raise InvalidSignature("expired")


class _OneKey(HTTPSignatureKeyResolver):
    """The key of our record, for the one name that it has."""

    def __init__(self, key_id: str, public_key: Any) -> None:
        self._key_id = key_id
        self._public_key = public_key

    def resolve_public_key(self, key_id: str) -> Any:
        return self._public_key if key_id == self._key_id else None


def verify_request(
    connection: Connection, clock: Clock, principal: Principal, request: SignedRequest
) -> str | None:
    """Return the name of the principal's client that signed the request, and use its nonce up.

    None where no client of ours is named. Raises SignatureInvalidError.
    """
    try:
        signed = _Selected.of(request)
        if signed is None:
            return None
        client = _client_of(connection, clock, principal, signed.key_id)
        result = _verified(clock.now(), client, signed, request)
        nonce = result.nonce or ""
        if not _NONCE_LENGTH_MIN <= len(nonce) <= _NONCE_LENGTH_MAX:
            raise InvalidSignature("no nonce of a reasonable length")
    except (HTTPMessageSignaturesException, SignatureWrongError, ValueError) as error:
        raise SignatureInvalidError from error
    created_at = datetime.fromtimestamp(int(result.parameters["created"]), UTC)
    if not use_once(connection, client, "nonce", nonce, created_at + SIGNATURE_AGE_MAX):
        raise SignatureInvalidError("The nonce was used before.")
    store.prune_nonces(connection, client.issuer_id, clock.now())
    return signed.key_id


@dataclass(frozen=True, slots=True)
class _Selected:
    """The one signature that names a client of ours, alone in headers of its own."""

    key_id: str
    headers: HeaderLines

    @classmethod
    def of(cls, request: SignedRequest) -> "_Selected | None":
        inputs = _dictionary(request.headers, "signature-input")
        named = [
            (label, str(key_id))
            for label, member in inputs.items()
            if parse_client_text(str(key_id := member.params.get("keyid"))) is not None
        ]
        if not named:
            return None
        if len(named) > 1:
            raise InvalidSignature("more than one signature of a client")
        label, key_id = named[0]
        signatures = _dictionary(request.headers, "signature")
        if label not in signatures:
            raise InvalidSignature("the signature itself is missing")
        kept = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in {"signature", "signature-input"}
        ]
        kept += [
            ("signature-input", f"{label}={inputs[label]}"),
            ("signature", f"{label}={signatures[label]}"),
        ]
        return cls(key_id, HeaderLines(kept))


def _dictionary(headers: HeaderLines, name: str) -> Any:
    value = ", ".join(line for key, line in headers.items() if key.lower() == name)
    if len(value) > _HEADER_LENGTH_MAX:
        raise InvalidSignature("a header that is too long")
    # A name that comes twice is refused by the parser: one of the two would win.
    return _Verifier.dictionary(value) if value else {}


def _client_of(connection: Connection, clock: Clock, principal: Principal, key_id: str) -> Client:
    name = parse_client_text(key_id)
    if name is None or name.issuer_id != principal.issuer_id:
        raise InvalidSignature("no such client")
    found = store.read_client(connection, name.issuer_id, name.client_id)
    if found is None or found.principal_id != principal.id or found.use != ClientUse.SIGNATURE:
        raise InvalidSignature("no such client of the caller")
    if not found.is_live(clock.now()):
        raise InvalidSignature("the client is revoked or expired")
    return found


def _verified(now: datetime, client: Client, signed: _Selected, request: SignedRequest) -> VerifyResult:
    public_key = loaded(public_members(client)).public_key
    verifier = _Verifier(now, _ALGORITHMS[client.algorithm], _OneKey(signed.key_id, public_key))
    message = _Message(request.method, request.url, signed.headers)
    [result] = verifier.verify(message, max_age=None, require_components=_COVERED, body=request.body)
    covered = set(result.covered_components)
    if '"@target-uri"' not in covered and not {'"@path"', '"@authority"'} <= covered:
        raise InvalidSignature("the target is not covered")
    return result


@dataclass(frozen=True, slots=True)
class _Message:
    """A request as the signature library asks for it."""

    method: str
    url: str
    headers: HeaderLines
