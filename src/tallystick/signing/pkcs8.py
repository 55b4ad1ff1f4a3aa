"""PKCS #8 private keys in PEM (RFC 5958, RFC 7468), encrypted with PBES2 (RFC 8018) and scrypt (RFC 7914).

`cryptography` reads such files and can't write them: its own encryption of PKCS #8 stretches a passphrase by 2,048
rounds of PBKDF2, which a stolen file would not withstand. OpenSSL reads what is written here.
"""

import base64
import hashlib
import secrets
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import padding, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

__all__ = ["PrivateKeyUnreadableError", "read_private_key", "write_private_key"]

# 16 MiB and five passes: OWASP's strength within the 32 MiB that OpenSSL allows by default.
_SCRYPT_N: Final = 2**14
_SCRYPT_R: Final = 8
_SCRYPT_P: Final = 5
_SCRYPT_MEMORY_MAX_BYTES: Final = 33_554_432

_INTEGER, _OCTET_STRING, _OBJECT_ID, _SEQUENCE = 0x02, 0x04, 0x06, 0x30
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")  # 1.2.840.113549.1.5.13
_SCRYPT: Final = bytes.fromhex("2b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES_256_CBC: Final = bytes.fromhex("60864801650304012a")  # 2.16.840.1.101.3.4.1.42

_ENCRYPTED_LABEL: Final = "ENCRYPTED PRIVATE KEY"


class PrivateKeyUnreadableError(Exception):
    """The file's content is no Ed25519 private key, or not for this passphrase. Says why, quotes nothing."""


def write_private_key(key: Ed25519PrivateKey, passphrase: str | None) -> bytes:
    """Return `key` as PEM, encrypted if there is a passphrase."""
    encoding = serialization.Encoding.PEM if passphrase is None else serialization.Encoding.DER
    plain = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return plain if passphrase is None else _pem(_ENCRYPTED_LABEL, _encrypted(plain, passphrase))


def read_private_key(pem: bytes, passphrase: str | None) -> Ed25519PrivateKey:
    """Return the key in `pem`. Raises PrivateKeyUnreadableError, also when it is plain despite a passphrase."""
    encrypted = _ENCRYPTED_LABEL.encode("ascii") in pem
    if encrypted and passphrase is None:
        raise PrivateKeyUnreadableError("it is encrypted and no passphrase is configured")
    if passphrase is not None and not encrypted:
        raise PrivateKeyUnreadableError(
            "it is not encrypted although a passphrase is configured; rotate the key"
        )
    try:
        key = serialization.load_pem_private_key(pem, None if passphrase is None else passphrase.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    # Raised out here so that no exception of the parser's hangs on to what it parsed.
    if not isinstance(key, Ed25519PrivateKey):
        raise PrivateKeyUnreadableError("it is damaged, of another kind, or for another passphrase")
    return key


def _encrypted(plain: bytes, passphrase: str) -> bytes:
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    wrapping_key = hashlib.scrypt(
        passphrase.encode(),
        salt=salt,
        n=_SCRYPT_N,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        maxmem=_SCRYPT_MEMORY_MAX_BYTES,
        dklen=32,
    )
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(wrapping_key), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    scrypt_parameters = _der(
        _SEQUENCE, _der(_OCTET_STRING, salt), _integer(_SCRYPT_N), _integer(_SCRYPT_R), _integer(_SCRYPT_P)
    )
    derivation = _der(_SEQUENCE, _der(_OBJECT_ID, _SCRYPT), scrypt_parameters)
    scheme = _der(_SEQUENCE, _der(_OBJECT_ID, _AES_256_CBC), _der(_OCTET_STRING, iv))
    algorithm = _der(_SEQUENCE, _der(_OBJECT_ID, _PBES2), _der(_SEQUENCE, derivation, scheme))
    return _der(_SEQUENCE, algorithm, _der(_OCTET_STRING, ciphertext))


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _integer(number: int) -> bytes:
    return _der(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1))


def _pem(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode("ascii")
