"""What the write path needs beside a connection."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tallystick import signing
from tallystick.business_dates import BusinessDays
from tallystick.core.clock import Clock
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.participants import RememberedFacts
from tallystick.signing import KeyDirectory, Signer
from tallystick.tokens.answered_before import NewKeys
from tallystick.tokens.known_accounts import KnownAccount

__all__ = ["Settler"]


@dataclass(frozen=True, slots=True)
class Settler:
    """What the write path needs beside a connection: the time, who signs, and how long approvals wait.

    `ask_signer` is of an issuer's active key, `signer_of` of any key by issuer and id, for one that begins to sign.
    What is remembered of accounts and of business dates stands for as long as the issuer's facts have the version at
    which it was read. `new_keys` says what large batches presume.
    """

    clock: Clock
    ask_signer: Callable[[Pipeline, str], Asked[Signer]]
    approval_lifetime: timedelta
    signer_of: Callable[[str, str], Signer]
    remembered: RememberedFacts[KnownAccount] = field(default_factory=RememberedFacts)
    remembered_days: RememberedFacts[BusinessDays] = field(default_factory=RememberedFacts)
    new_keys: NewKeys = field(default_factory=NewKeys)

    @classmethod
    def of(cls, clock: Clock, key_directory: KeyDirectory, approval_lifetime: timedelta) -> "Settler":
        """Return a settler whose private keys lie in a directory."""
        return cls(
            clock,
            lambda pipeline, issuer_id: signing.ask_signer(pipeline, issuer_id, key_directory),
            approval_lifetime,
            key_directory.signer,
        )
