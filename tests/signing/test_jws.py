"""Compact JWS: the published example, its malformed twins, and what other JOSE libraries make of ours."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence

import joserfc.jwk
import joserfc.jws
import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.core.canonical_json import CanonicalValue, canonical_json
from tallystick.core.errors import DomainError
from tallystick.signing import (
    ALGORITHM,
    EVENT_MEDIA_TYPE,
    JwsInvalidError,
    JwsKeyUnknownError,
    JwsMalformedError,
    JwsSignatureInvalidError,
    JwsTypeRefusedError,
    Signing,
    SigningKeyUnavailableError,
    SoftwareSigner,
    VerificationKey,
    sign_compact,
    sign_compact_many,
    verify_compact,
)
from tallystick.signing.ed25519 import public_jwk

# RFC 8037, appendix A.1 and A.4.
RFC_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC_TOKEN = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
ORDER = 2**252 + 27742317777372353535851937790883648493

SIGNER = SoftwareSigner(RFC_SEED)
KEY = VerificationKey(SIGNER.key_id, ALGORITHM, SIGNER.public_key)
PAYLOAD = canonical_json({"amount": "1250.00", "type": "mint"})


def resolve(key_id: str | None) -> VerificationKey | None:
    return KEY if key_id == KEY.key_id else None


def encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def signed_with(header: CanonicalValue | bytes, payload: bytes = PAYLOAD) -> str:
    """A token whose signature is right, whatever its header says."""
    raw = header if isinstance(header, bytes) else canonical_json(header)
    signing_input = f"{encoded(raw)}.{encoded(payload)}"
    return f"{signing_input}.{encoded(SIGNER.sign(signing_input.encode()))}"


HEADER = {"alg": "EdDSA", "kid": KEY.key_id, "typ": EVENT_MEDIA_TYPE}
TOKEN = signed_with(HEADER)


def test_the_published_example_verifies() -> None:
    assert verify_compact(RFC_TOKEN, lambda _: KEY, media_type=None) == b"Example of Ed25519 signing"


def test_the_published_example_is_what_the_signer_signs() -> None:
    signing_input, _, signature = RFC_TOKEN.rpartition(".")
    assert encoded(SIGNER.sign(signing_input.encode())) == signature


def test_a_token_is_three_segments_of_exactly_the_signed_bytes() -> None:
    token = sign_compact(SIGNER, PAYLOAD)
    assert token == TOKEN
    header, payload, _ = token.split(".")
    assert base64.urlsafe_b64decode(header + "==") == canonical_json(HEADER)
    assert base64.urlsafe_b64decode(payload + "==") == PAYLOAD
    assert verify_compact(token, resolve) == PAYLOAD


@given(st.lists(st.binary(max_size=300), max_size=6))
@example([])
@example([b""])
def test_what_is_signed_verifies(payloads: Sequence[bytes]) -> None:
    tokens = sign_compact_many(SIGNER, payloads)
    assert [verify_compact(token, resolve) for token in tokens] == payloads


def _swapped(token: str, segment: int, change: Callable[[str], str]) -> str:
    segments = token.split(".")
    segments[segment] = change(segments[segment])
    return ".".join(segments)


def _with_spare_bits(segment: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]


def _with_larger_scalar(segment: str) -> str:
    octets = base64.urlsafe_b64decode(segment + "==")
    return encoded(octets[:32] + (int.from_bytes(octets[32:], "little") + ORDER).to_bytes(32, "little"))


def _keyed_hash(header: dict[str, str]) -> str:
    signing_input = f"{encoded(canonical_json(header))}.{encoded(PAYLOAD)}"
    digest = hmac.digest(SIGNER.public_key, signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{encoded(digest)}"


TWINS: dict[str, tuple[str, type[DomainError]]] = {
    "empty": ("", JwsMalformedError),
    "two segments": (TOKEN.rpartition(".")[0], JwsMalformedError),
    "four segments": (TOKEN + ".", JwsMalformedError),
    "five segments": (TOKEN + ".a.b", JwsMalformedError),
    "no header": (_swapped(TOKEN, 0, lambda _: ""), JwsMalformedError),
    "padded": (TOKEN + "==", JwsMalformedError),
    "padded header": (_swapped(TOKEN, 0, lambda segment: segment + "="), JwsMalformedError),
    "line break": (TOKEN + "\n", JwsMalformedError),
    "space in front": (" " + TOKEN, JwsMalformedError),
    "base64 instead of base64url": (
        signed_with(HEADER, b"\xff\xff\xff").replace("____", "////"),
        JwsMalformedError,
    ),
    "spare bits in the signature": (_swapped(TOKEN, 2, _with_spare_bits), JwsMalformedError),
    "one character too many": (
        _swapped(TOKEN, 1, lambda segment: segment + "A" * (5 - len(segment) % 4)),
        JwsMalformedError,
    ),
    "foreign character": (
        _swapped(TOKEN, 1, lambda segment: segment[:2] + "*" + segment[2:]),
        JwsMalformedError,
    ),
    "not ASCII": (_swapped(TOKEN, 1, lambda segment: segment + "é"), JwsMalformedError),
    "fullwidth digits": (_swapped(TOKEN, 1, lambda segment: segment + "\uff11"), JwsMalformedError),
    "too large": (TOKEN + "A" * 3_000_000, JwsMalformedError),
    "other payload": (_swapped(TOKEN, 1, lambda _: encoded(b"{}")), JwsSignatureInvalidError),
    "no payload": (_swapped(TOKEN, 1, lambda _: ""), JwsSignatureInvalidError),
    "other signature": (_swapped(TOKEN, 2, lambda _: encoded(bytes(64))), JwsSignatureInvalidError),
    "no signature": (_swapped(TOKEN, 2, lambda _: ""), JwsSignatureInvalidError),
    "short signature": (_swapped(TOKEN, 2, lambda segment: segment[:-3] + "A"), JwsSignatureInvalidError),
    "long signature": (_swapped(TOKEN, 2, lambda segment: segment[:-1] + "AAA"), JwsSignatureInvalidError),
    "larger scalar": (_swapped(TOKEN, 2, _with_larger_scalar), JwsSignatureInvalidError),
    "header written otherwise": (
        _swapped(TOKEN, 0, lambda _: encoded(json.dumps(HEADER).encode())),
        JwsSignatureInvalidError,
    ),
    "alg none, unsigned": (
        f"{encoded(canonical_json(HEADER | {'alg': 'none'}))}.{encoded(PAYLOAD)}.",
        JwsTypeRefusedError,
    ),
    "alg none, signed": (signed_with(HEADER | {"alg": "none"}), JwsTypeRefusedError),
    "alg in capitals": (signed_with(HEADER | {"alg": "EDDSA"}), JwsTypeRefusedError),
    "alg of RFC 9864": (signed_with(HEADER | {"alg": "Ed25519"}), JwsTypeRefusedError),
    "HS256 keyed with the public key": (_keyed_hash(HEADER | {"alg": "HS256"}), JwsTypeRefusedError),
    "alg no string": (signed_with(HEADER | {"alg": 1}), JwsMalformedError),
    "alg a list": (signed_with({**HEADER, "alg": ["EdDSA"]}), JwsMalformedError),
    "alg absent": (signed_with({"kid": KEY.key_id, "typ": EVENT_MEDIA_TYPE}), JwsMalformedError),
    "kid of another": (signed_with(HEADER | {"kid": "x"}), JwsKeyUnknownError),
    "kid absent": (signed_with({"alg": "EdDSA", "typ": EVENT_MEDIA_TYPE}), JwsKeyUnknownError),
    "kid null": (signed_with(HEADER | {"kid": None}), JwsMalformedError),
    "typ of another version": (signed_with(HEADER | {"typ": "tallystick-event-v2+jws"}), JwsTypeRefusedError),
    "typ in capitals": (signed_with(HEADER | {"typ": EVENT_MEDIA_TYPE.upper()}), JwsTypeRefusedError),
    "typ absent": (signed_with({"alg": "EdDSA", "kid": KEY.key_id}), JwsTypeRefusedError),
    "crit unknown": (signed_with({**HEADER, "crit": ["exp"], "exp": 1}), JwsMalformedError),
    "crit empty": (signed_with({**HEADER, "crit": []}), JwsMalformedError),
    "crit of known members": (signed_with({**HEADER, "crit": ["alg"]}), JwsMalformedError),
    "b64 false": (signed_with({**HEADER, "b64": False, "crit": ["b64"]}), JwsMalformedError),
    "b64 false, not critical": (signed_with({**HEADER, "b64": False}), JwsMalformedError),
    "b64 true": (signed_with({**HEADER, "b64": True}), JwsMalformedError),
    "key in the header": (signed_with({**HEADER, "jwk": public_jwk(SIGNER.public_key)}), JwsMalformedError),
    "address of a key": (signed_with({**HEADER, "jku": "https://bank.example/jwks"}), JwsMalformedError),
    "certificate": (signed_with({**HEADER, "x5c": ["MII"]}), JwsMalformedError),
    "unknown member": (signed_with(HEADER | {"cty": "json"}), JwsMalformedError),
    "header a list": (signed_with([HEADER]), JwsMalformedError),
    "header null": (signed_with(None), JwsMalformedError),
    "header no JSON": (signed_with(b"alg=EdDSA"), JwsMalformedError),
    "header with a byte order mark": (
        signed_with(b"\xef\xbb\xbf" + canonical_json(HEADER)),
        JwsMalformedError,
    ),
    "header not UTF-8": (signed_with(b'{"alg":"\xff"}'), JwsMalformedError),
    "header with alg twice": (
        signed_with(canonical_json(HEADER)[:-1] + b',"alg":"EdDSA"}'),
        JwsMalformedError,
    ),
    "header deep": (signed_with(b"[" * 5_000 + b"]" * 5_000), JwsMalformedError),
    "header large": (signed_with(HEADER | {"kid": "k" * 2_000}), JwsMalformedError),
}


@pytest.mark.parametrize("twin", TWINS)
def test_malformed_twins_are_refused(twin: str) -> None:
    token, refusal = TWINS[twin]
    with pytest.raises(JwsInvalidError) as raised:
        verify_compact(token, resolve)
    assert type(raised.value) is refusal


@pytest.mark.parametrize("position", range(0, len(TOKEN), 7))
def test_no_character_can_be_changed(position: int) -> None:
    for other in "A-_.9":
        if TOKEN[position] != other:
            with pytest.raises(JwsInvalidError):
                verify_compact(TOKEN[:position] + other + TOKEN[position + 1 :], resolve)


@given(st.text(st.sampled_from("eyJhbGciOiJFZERTQSJ9.-_=é+/ \n"), max_size=120))
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(JwsInvalidError):
        verify_compact(text, resolve, media_type=None)


def test_the_algorithm_is_the_keys() -> None:
    for algorithm in ("ES256", "HS256", "none", ""):
        with pytest.raises(JwsTypeRefusedError):
            verify_compact(TOKEN, lambda _, algorithm=algorithm: KEY._replace(algorithm=algorithm))  # type: ignore[misc]
        with pytest.raises(JwsTypeRefusedError):
            verify_compact(
                signed_with(HEADER | {"alg": algorithm}),
                lambda _, algorithm=algorithm: KEY._replace(algorithm=algorithm),  # type: ignore[misc]
            )


def test_a_token_of_one_type_is_not_taken_for_another() -> None:
    token = sign_compact(SIGNER, PAYLOAD, media_type="tallystick-checkpoint+jws")
    assert verify_compact(token, resolve, media_type="tallystick-checkpoint+jws") == PAYLOAD
    with pytest.raises(JwsTypeRefusedError):
        verify_compact(token, resolve)


def test_another_key_with_the_same_name_does_not_verify() -> None:
    other = SoftwareSigner(bytes(32))
    with pytest.raises(JwsSignatureInvalidError):
        verify_compact(TOKEN, lambda _: KEY._replace(public_key=other.public_key))


# RFC 9864 would rather say "Ed25519"; RFC 8037's name is what every verifier knows.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
def test_joserfc_agrees() -> None:
    key = joserfc.jwk.OKPKey.import_key({**public_jwk(SIGNER.public_key)})
    registry = joserfc.jws.JWSRegistry(algorithms=["EdDSA"])
    for token in sign_compact_many(SIGNER, [PAYLOAD, b"\0\xff"]):
        read = joserfc.jws.deserialize_compact(token, key, registry=registry)
        assert read.headers() == HEADER
        assert read.payload == verify_compact(token, resolve)
    theirs = joserfc.jws.serialize_compact(
        HEADER,
        PAYLOAD,
        joserfc.jwk.OKPKey.import_key({**public_jwk(SIGNER.public_key), "d": encoded(RFC_SEED)}),
        registry=registry,
    )
    assert verify_compact(theirs, resolve) == PAYLOAD


def test_pyjwt_agrees() -> None:
    key = jwt.PyJWK.from_dict(public_jwk(SIGNER.public_key) | {"alg": "EdDSA"})
    for token in sign_compact_many(SIGNER, [PAYLOAD, b"\0\xff"]):
        read = jwt.PyJWS().decode_complete(token, key, algorithms=["EdDSA"])
        assert read["header"] == HEADER
        assert read["payload"] == verify_compact(token, resolve)


def test_a_signer_that_fails_signs_nothing() -> None:
    class Away:
        key_id = "k"

        def sign(self, message: bytes) -> bytes:
            return self.begin([message]).result()[0]

        def begin(self, messages: Sequence[bytes]) -> Signing:
            raise SigningKeyUnavailableError(f"{len(messages)} messages wait for the device.")

    class Short(Away):
        def begin(self, messages: Sequence[bytes]) -> Signing:
            return SoftwareSigner(bytes(32)).begin(messages[1:])

    with pytest.raises(SigningKeyUnavailableError):
        sign_compact(Away(), b"a")
    with pytest.raises(ValueError, match="shorter"):
        sign_compact_many(Short(), [b"a", b"b"])
