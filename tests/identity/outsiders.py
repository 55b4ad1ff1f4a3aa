"""Callers with keys of their own, whose tokens and signatures are made with other libraries than ours."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tallystick import identity
from tallystick.identity import ClientUse
from tests.bank import Bank

__all__ = ["AUDIENCE", "Outsider", "b64", "made_key", "outsider", "public_jwk", "raw_jwt"]

AUDIENCE: Final = "http://127.0.0.1:8000/oauth/token"
# RSA keys take long to make.
RSA_KEY: Final = rsa.generate_private_key(65537, 2048)
ANOTHER_RSA_KEY: Final = rsa.generate_private_key(65537, 2048)


@dataclass(frozen=True, slots=True)
class Outsider:
    """A registered client with its private key."""

    id: str
    name: str
    key: Any
    algorithm: str
    thumbprint: str

    def claims(self, now: float, **other: Any) -> dict[str, Any]:
        """Return the claims of a good assertion, made at `now`; None takes one away."""
        claims = {
            "iss": self.name,
            "sub": self.name,
            "aud": AUDIENCE,
            "jti": secrets.token_hex(16),
            "iat": int(now),
            "exp": int(now) + 60,
            **other,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def assertion(self, now: float, headers: dict[str, Any] | None = None, **other: Any) -> str:
        """Return a good assertion, or one that differs as asked."""
        return jwt.encode(self.claims(now, **other), self.key, self.algorithm, headers)


def made_key(algorithm: str) -> Any:
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return RSA_KEY if algorithm == "RS256" else ANOTHER_RSA_KEY


def public_jwk(key: Any) -> dict[str, Any]:
    """Return the public part as PyJWT writes it."""
    kind = {ed25519.Ed25519PrivateKey: OKPAlgorithm, rsa.RSAPrivateKey: RSAAlgorithm}
    algorithm: Any = next((made for of, made in kind.items() if isinstance(key, of)), ECAlgorithm)
    written: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return {name: value for name, value in written.items() if name in {"kty", "crv", "x", "y", "n", "e"}}


def outsider(
    bank: Bank,
    principal_id: str,
    algorithm: str = "EdDSA",
    *,
    use: ClientUse = ClientUse.TOKEN,
    key: Any = None,
    lifetime_days: int = 3_650,
) -> Outsider:
    """Register a client for a principal."""
    key = key or made_key(algorithm)
    with bank.database.engine.begin() as connection:
        client = identity.register_client(
            connection,
            bank.clock,
            bank.issuer_id,
            principal_id,
            use=use,
            jwk=public_jwk(key),
            algorithm=algorithm,
            lifetime_days=lifetime_days,
            lifetime_days_max=3_650,
        )
    name = identity.client_text(client.issuer_id, client.id)
    return Outsider(client.id, name, key, algorithm, client.thumbprint)


def b64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def raw_jwt(header: str, payload: str, key: Any = None) -> str:
    """Return a token of these very texts, signed with Ed25519, or not at all."""
    signing_input = f"{b64(header.encode())}.{b64(payload.encode())}"
    signature = b"" if key is None else key.sign(signing_input.encode())
    return f"{signing_input}.{b64(signature)}"


def pem_of(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def digest_of(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
