"""What the write path needs beside a connection."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from tallystick.business_dates import BusinessDays
from tallystick.core.clock import Clock
from tallystick.core.pipeline import Asked, Pipeline
from tallystick.participants import RememberedFacts
from tallystick.signing import Signer
from tallystick.tokens.known_accounts import KnownAccount

__all__ = ["Settler"]


@dataclass(frozen=True, slots=True)
class Settler:
    """What the write path needs beside a connection: the time, the issuer's signer, and how long approvals wait.

    What is remembered of accounts and of business dates stands for as long as the issuer's facts have the version at
    which it was read.
    """

    clock: Clock
    ask_signer: Callable[[Pipeline, str], Asked[Signer]]
    approval_lifetime: timedelta
    remembered: RememberedFacts[KnownAccount] = field(default_factory=RememberedFacts)
    remembered_days: RememberedFacts[BusinessDays] = field(default_factory=RememberedFacts)
