"""Keys that tests sign notes with, and a second implementation to check signatures against."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tallystick.signing import SoftwareSigner
from tallystick.transparency.notes import ED25519, VerifierKey

__all__ = ["key_of", "signer_of", "verify_elsewhere"]


def signer_of(name: str) -> SoftwareSigner:
    return SoftwareSigner(hashlib.sha256(name.encode()).digest(), alone=True)


def key_of(name: str, kind: int = ED25519) -> VerifierKey:
    return VerifierKey(name, kind, signer_of(name).public_key)


def verify_elsewhere(key: VerifierKey, signature: bytes, message: bytes) -> None:
    """Raise cryptography's InvalidSignature unless it is the key's signature of the message."""
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
