"""A signing key's public part and its life: active, then retired or revoked; never active again."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tallystick.core.clock import format_time
from tallystick.core.errors import ConflictError, MalformedError, NotFoundError
from tallystick.signing.ed25519 import public_jwk
from tallystick.signing.jws import VerificationKey

__all__ = [
    "KeyState",
    "KeyUse",
    "RevocationMalformedError",
    "SigningKey",
    "SigningKeyConflictError",
    "SigningKeyNotFoundError",
]


class SigningKeyNotFoundError(NotFoundError):
    """The issuer has no such key."""

    code = "signing_key_not_found"
    title = "No such signing key"


class SigningKeyConflictError(ConflictError):
    """The key's state, or another key, does not allow this."""

    code = "signing_key_conflict"
    title = "The signing key's state does not allow this"


class RevocationMalformedError(MalformedError):
    """A revocation needs a reason, and a moment of compromise that is not in the future."""

    code = "revocation_malformed"
    title = "The revocation is malformed"


class KeyState(StrEnum):
    """`active` signs; `retired` signed once and is trusted; `revoked` is trusted no more."""

    ACTIVE = "active"
    RETIRED = "retired"
    REVOKED = "revoked"


class KeyUse(StrEnum):
    """What a key signs. One key never serves two uses, so that no signature can be taken for another kind's."""

    EVENT = "event"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An issuer's key as everybody may know it. `id` is the RFC 7638 thumbprint of `public_key` (32 bytes).

    `compromised_at` is the moment from which a revoked key may have been in other hands; None means not known.
    """

    issuer_id: str
    id: str
    algorithm: str
    public_key: bytes
    use: str
    state: str
    created_at: datetime
    activated_at: datetime
    retired_at: datetime | None
    revoked_at: datetime | None
    compromised_at: datetime | None
    reason: str | None

    @property
    def verification_key(self) -> VerificationKey:
        """What a verifier needs of the key."""
        return VerificationKey(self.id, self.algorithm, self.public_key)

    def trusted_for(self, signed_at: datetime | None) -> bool:
        """Tell whether a signature made at `signed_at` proves anything.

        A revoked key's does only if it is known by other evidence than the signature, such as a checkpoint that
        witnesses have cosigned, to be older than the compromise. None means that there is no such evidence.
        """
        if self.state != KeyState.REVOKED:
            return True
        return signed_at is not None and self.compromised_at is not None and signed_at < self.compromised_at

    def jwk(self) -> dict[str, str]:
        """Return the key as a JWK (RFC 7517, RFC 8037) with its issuer and its life as further members."""
        members = public_jwk(self.public_key) | {
            "alg": self.algorithm,
            "kid": self.id,
            "use": "sig",
            "issuer_id": self.issuer_id,
            "key_use": str(self.use),
            "state": str(self.state),
            "activated_at": format_time(self.activated_at),
        }
        moments = {
            "retired_at": self.retired_at,
            "revoked_at": self.revoked_at,
            "compromised_at": self.compromised_at,
        }
        members |= {name: format_time(at) for name, at in moments.items() if at is not None}
        return members if self.reason is None else members | {"reason": self.reason}
