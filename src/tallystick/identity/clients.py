"""Clients: public keys that principals registered, each for one use: getting tokens, or signing messages.

`client_text` is how a client calls itself outside, `tsc_<issuer><client>`: it finds the row in its issuer's part.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from tallystick.core.errors import ConflictError, MalformedError, NotFoundError
from tallystick.core.ids import suffix_of

__all__ = [
    "SIGNATURE_ALGORITHMS",
    "Client",
    "ClientKeyReusedError",
    "ClientLifetimeRefusedError",
    "ClientName",
    "ClientNotFoundError",
    "ClientUse",
    "client_text",
    "parse_client_text",
]

_SUFFIX: Final = r"[0-7][0-9a-hjkmnp-tv-z]{25}"
_TEXT: Final = re.compile(rf"tsc_({_SUFFIX})({_SUFFIX})", re.ASCII)

# The names of RFC 9421, section 3.3, for the algorithms of RFC 7518 and RFC 8037 that keys are registered with.
SIGNATURE_ALGORITHMS: Final[Mapping[str, str]] = {
    "EdDSA": "ed25519",
    "ES256": "ecdsa-p256-sha256",
    "RS256": "rsa-v1_5-sha256",
}


class ClientUse(StrEnum):
    """What a client's key is for; one key never does both."""

    TOKEN = "token"  # noqa: S105 A use, not a secret.
    SIGNATURE = "signature"


class ClientNotFoundError(NotFoundError):
    """The principal has no such client."""

    code = "client_not_found"
    title = "No such client"


class ClientKeyReusedError(ConflictError):
    """The public key is, or was, registered: for another client or another use."""

    code = "client_key_reused"
    title = "The public key is registered already"


class ClientLifetimeRefusedError(MalformedError):
    """Every client expires, and not later than the installation's longest lifetime."""

    code = "client_lifetime_refused"
    title = "The lifetime of the client is refused"


class ClientName(NamedTuple):
    """What a client calls itself, taken apart."""

    issuer_id: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Client:
    """A registered public key. `jwk` is its canonical JSON (RFC 7638 members); `algorithm` is bound to it."""

    issuer_id: str
    id: str
    principal_id: str
    use: str
    algorithm: str
    jwk: str
    thumbprint: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        """True while it is neither revoked nor expired."""
        return self.revoked_at is None and self.expires_at > now


def client_text(issuer_id: str, client_id: str) -> str:
    """Return the `client_id` of OAuth, and the `keyid` of signatures."""
    return f"tsc_{suffix_of(issuer_id)}{suffix_of(client_id)}"


def parse_client_text(text: str) -> ClientName | None:
    """Take such a name apart; None if it isn't one."""
    match = _TEXT.fullmatch(text)
    return None if match is None else ClientName(f"issuer_{match[1]}", f"client_{match[2]}")
