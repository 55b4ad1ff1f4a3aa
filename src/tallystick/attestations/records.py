"""What an attestation says, beside the event that signs it."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple, TypeAlias

from tallystick.core.errors import NotFoundError

__all__ = ["Attestation", "BreakCounts", "RunNotAttestedError", "SignedAttestation"]

#: Of each type of break that was found: how many, and the sum of their differences as a decimal string.
BreakCounts: TypeAlias = Mapping[str, Mapping[str, str | int]]


class RunNotAttestedError(NotFoundError):
    """No attestation of this reconciliation: there is no such run, or it was made before runs were attested."""

    code = "run_not_attested"
    title = "No such attestation of a reconciliation"


@dataclass(frozen=True, slots=True)
class Attestation:
    """What one reconciliation found, as the event at `event_index` signs it. Amounts are minor units.

    `current` tells that the run looked at the present. `ledger_index` and `ledger_as_of` are how far the log was looked
    at; `bank_as_of` is the day up to which the bank's data reach, None without any, like `bank_minor` and
    `timing_minor`.
    """

    issuer_id: str
    reconciliation_id: str
    token_class_id: str
    event_index: int
    ledger_index: int
    ledger_as_of: datetime
    bank_as_of: date | None
    supply_minor: int
    control_minor: int
    bank_minor: int | None
    timing_minor: int | None
    breaks: BreakCounts
    verdict: str
    backing: str
    current: bool
    attested_at: datetime


class SignedAttestation(NamedTuple):
    """An attestation with its event: `jws` is what was signed, under `key_id`."""

    attestation: Attestation
    event_id: str
    key_id: str
    jws: str

    @property
    def payload(self) -> dict[str, Any]:
        """What was signed, as it stands in the JWS; whether the signature holds is for whoever reads it to check."""
        segment = self.jws.split(".")[1]
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
        return found
