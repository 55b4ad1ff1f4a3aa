"""A signing key's public part and its life: prepared, active, then retired or revoked; never active again."""

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
    """A revocation needs a reason, and an index of compromise that the log has reached."""

    code = "revocation_malformed"
    title = "The revocation is malformed"


class KeyState(StrEnum):
    """`prepared` may not sign yet; `active` signs; `retired` signed once and is trusted; `revoked` is not."""

    PREPARED = "prepared"
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

    Indexes are of the log: `activated_index` and `revoked_index` are of the events that say so, `from_index` and
    `until_index` the first and the last event that the key may have signed (of a checkpoint key: how much of the log
    there was). `compromised_from_index` is the first event of which a revoked key's signature proves nothing; without
    it none does. All are None for keys of logs that are older than events about keys; `compromised_at` is theirs.
    """

    issuer_id: str
    id: str
    algorithm: str
    public_key: bytes
    use: str
    state: str
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    revoked_at: datetime | None
    compromised_at: datetime | None
    reason: str | None
    activated_index: int | None = None
    from_index: int | None = None
    until_index: int | None = None
    revoked_index: int | None = None
    compromised_from_index: int | None = None
    manifest_version: int | None = None

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

    def proves(self, index: int, covered_size: int = 0) -> bool:
        """Tell whether a signature of this key proves the event at `index`, by the key's state there and by no clock.

        `covered_size` is that of the largest tree that somebody else cosigned before the key was revoked: what it has
        was in the log by then. Of a key that was revoked before the log had events about keys, nothing is proven here.
        """
        if self.activated_at is None:
            return False
        if (self.from_index is not None and index < self.from_index) or (
            self.until_index is not None and index > self.until_index
        ):
            return False
        if self.state != KeyState.REVOKED or index == self.revoked_index:
            return True
        return self.revoked_index is not None and index < max(self.compromised_from_index or 0, covered_size)

    def jwk(self) -> dict[str, str]:
        """Return the key as a JWK (RFC 7517, RFC 8037) with its issuer and its life as further members."""
        members = public_jwk(self.public_key) | {
            "alg": self.algorithm,
            "kid": self.id,
            "use": "sig",
            "issuer_id": self.issuer_id,
            "key_use": str(self.use),
            "state": str(self.state),
        }
        moments = {
            "activated_at": self.activated_at,
            "retired_at": self.retired_at,
            "revoked_at": self.revoked_at,
            "compromised_at": self.compromised_at,
        }
        members |= {name: format_time(at) for name, at in moments.items() if at is not None}
        return members if self.reason is None else members | {"reason": self.reason}
