"""Bearer keys `tsk_<issuer><key>_<secret>`, and access tokens `tst_…` alike: the first part finds the row, the
second proves the bearer.

The secret has 256 random bits, so that its plain SHA-256 is as hard to reverse as the key is to guess.
"""

import hashlib
import hmac
import re
import secrets
from typing import Final, NamedTuple

from tallystick.core.ids import suffix_of

__all__ = [
    "KeyText",
    "generate_secret",
    "key_prefix",
    "key_text",
    "parse_key",
    "secret_hash",
    "secret_matches",
]

_SUFFIX: Final = r"[0-7][0-9a-hjkmnp-tv-z]{25}"
_KEY: Final = re.compile(rf"(tsk|tst)_({_SUFFIX})({_SUFFIX})_([A-Za-z0-9_-]{{43}})", re.ASCII)
_ID_PREFIXES: Final = {"tsk": "key", "tst": "token"}


class KeyText(NamedTuple):
    """A presented key, taken apart. `key_id` is `key_…`, or `token_…` for an access token."""

    issuer_id: str
    key_id: str
    secret: str


def generate_secret() -> str:
    """Return 256 fresh random bits as 43 URL-safe characters."""
    return secrets.token_urlsafe(32)


def key_prefix(issuer_id: str, key_id: str) -> str:
    """Return what stands before a key's secret: no secret itself, and enough to know the key by."""
    kind = "tst" if key_id.startswith("token_") else "tsk"
    return f"{kind}_{suffix_of(issuer_id)}{suffix_of(key_id)}_"


def key_text(issuer_id: str, key_id: str, secret: str) -> str:
    """Return the key as its bearer keeps it."""
    return key_prefix(issuer_id, key_id) + secret


def parse_key(text: str) -> KeyText | None:
    """Take a presented key or token apart; None if it isn't one."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    return KeyText(f"issuer_{match[2]}", f"{_ID_PREFIXES[match[1]]}_{match[3]}", match[4])


def secret_hash(secret: str) -> bytes:
    """Return what is stored in the secret's place: its SHA-256."""
    return hashlib.sha256(secret.encode()).digest()


def secret_matches(secret: str, stored_hash: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(secret_hash(secret), stored_hash)
