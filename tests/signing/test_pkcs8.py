"""PKCS #8: what is written, OpenSSL and `cryptography` read; what does not fit is refused without a quotation."""

import base64
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallystick.signing.pkcs8 import PrivateKeyUnreadableError, read_private_key, write_private_key

SEED = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PASSPHRASE = "correct horse battery staple é"


@pytest.mark.parametrize("passphrase", [None, "x", PASSPHRASE, "\U0001f600" * 40])
def test_what_is_written_is_read(passphrase: str | None) -> None:
    pem = write_private_key(KEY, passphrase)
    assert pem.startswith(
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" if passphrase else b"-----BEGIN PRIVATE KEY-----\n"
    )
    assert all(len(line) <= 64 for line in pem.splitlines())
    assert read_private_key(pem, passphrase).private_bytes_raw() == SEED


def test_a_plain_key_is_the_form_of_rfc_8410() -> None:
    # RFC 8410, section 10.3, with our seed.
    der = base64.b64decode(b"".join(write_private_key(KEY, None).splitlines()[1:-1]))
    assert der == bytes.fromhex("302e020100300506032b657004220420") + SEED


def test_an_encrypted_key_hides_the_seed_and_is_stretched_with_scrypt() -> None:
    first, second = write_private_key(KEY, PASSPHRASE), write_private_key(KEY, PASSPHRASE)
    assert first != second
    der = base64.b64decode(b"".join(first.splitlines()[1:-1]))
    assert SEED not in der
    # The object id, then salt, N = 2^14, r = 8, p = 5.
    _, _, parameters = der.partition(bytes.fromhex("06092b06010401da47040b"))
    assert parameters[20:30] == bytes.fromhex("02024000020108020105")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl here")
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_openssl_reads_it(passphrase: str | None) -> None:
    arguments = ["openssl", "pkey", "-outform", "DER", "-passin", f"pass:{passphrase or ''}"]
    der = subprocess.run(
        arguments, input=write_private_key(KEY, passphrase), capture_output=True, check=True, timeout=60
    ).stdout
    assert der.endswith(SEED)


def _other_kind() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


PLAIN = write_private_key(KEY, None)
ENCRYPTED = write_private_key(KEY, PASSPHRASE)


@pytest.mark.parametrize(
    ("pem", "passphrase", "reason"),
    [
        (ENCRYPTED, None, "no passphrase is configured"),
        (PLAIN, PASSPHRASE, "not encrypted"),
        (ENCRYPTED, "another", "another passphrase"),
        (b"", None, "damaged"),
        (b"secret nonsense", None, "damaged"),
        (PLAIN[:-40], None, "damaged"),
        (PLAIN.replace(b"MC4C", b"MC8C"), None, "damaged"),
        (ENCRYPTED[:100] + ENCRYPTED[101:], PASSPHRASE, "damaged"),
        (_other_kind(), None, "another kind"),
        (
            KEY.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            None,
            "damaged",
        ),
    ],
    ids=range(10),
)
def test_what_does_not_fit_is_refused(pem: bytes, passphrase: str | None, reason: str) -> None:
    with pytest.raises(PrivateKeyUnreadableError, match=reason) as refusal:
        read_private_key(pem, passphrase)
    assert refusal.value.__context__ is None
