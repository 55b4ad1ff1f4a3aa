"""What the rules cost: one decision by itself, and a service without them to hold the product against.

Decisions are asked of pairs of parties that were never asked about before, and of one pair again and again; by the
rules that are shipped, and by a policy with every built-in limit.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Final
from unittest.mock import patch

from tallystick import policy
from tallystick.core.strict_json import JsonValue
from tallystick.policy import ClassFacts, CompiledPolicy, Decision, Facts, Party, UsageBook
from tallystick.policy.shipped import SHIPPED_DOCUMENT
from tallystick.policy.usage import Usage, hour_of

__all__ = ["decision_times", "without_rules"]

_CLASS: Final = ClassFacts("class", "normal", "EUR", 2)
_NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_TODAY: Final = date(2026, 11, 22)
_AT_ONCE: Final = 50
_SHIPPED: Final = SHIPPED_DOCUMENT
_LIMITED: Final[JsonValue] = {
    "format": "tallystick-policy/1",
    "limits": {
        "transaction": "100000.00",
        "payer_day": "1000000.00",
        "pair_day": "1000000.00",
        "holder_day": "1000000.00",
    },
    "purposes": {"required_into": ["CN"]},
    "corridors": {"enabled": True, "rows": [{"payee_country": "IR", "action": "deny"}]},
}


def decision_times(seconds: float) -> dict[str, float]:
    """Return the median time of a decision in µs, by the shipped rules and by a policy with limits."""

    def shipped() -> CompiledPolicy:
        return policy.compile_document(policy.read_document(_SHIPPED), "EUR", 2, "shipped")

    def limited() -> CompiledPolicy:
        return policy.compile_document(policy.read_document(_LIMITED), "EUR", 2, "limited")

    each = seconds / 4
    return {
        "policy_decision_us": _median_us(shipped(), shipped(), each, repeated=False),
        "policy_decision_repeated_us": _median_us(shipped(), shipped(), each, repeated=True),
        "policy_limited_us": _median_us(limited(), limited(), each, repeated=False),
        "policy_limited_repeated_us": _median_us(limited(), limited(), each, repeated=True),
    }


@contextmanager
def without_rules() -> Iterator[None]:
    """Let every instruction pass unasked: what a service without rules would do, and nothing else."""
    allowed = Decision(policy.ALLOW, (), "none")

    def decide(_self: CompiledPolicy, _facts: Facts, _usage: UsageBook | None = None) -> Decision:
        return allowed

    with patch.object(CompiledPolicy, "decide", decide):
        yield


def _median_us(decides: CompiledPolicy, knows: CompiledPolicy, seconds: float, *, repeated: bool) -> float:
    """Return the median over handfuls of decisions; `knows`, the same rules again, tells what they will read."""
    times = []
    number = 0
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        asked = [_facts(0 if repeated else number + one) for one in range(_AT_ONCE)]
        number += _AT_ONCE
        hour = hour_of(_NOW)
        usage = UsageBook(hour, {key: Usage.none(hour) for one in asked for key in knows.usage_keys(one)})
        began = time.perf_counter()
        for one in asked:
            if decides.counts_usage:
                decides.usage_keys(one)
            decides.decide(one, usage)
        times.append((time.perf_counter() - began) / _AT_ONCE * 1e6)
    return statistics.median(times)


def _facts(number: int) -> Facts:
    return Facts(
        kind="transfer",
        of_class=_CLASS,
        payer=_party("payer", number),
        payee=_party("payee", number),
        purpose=None,
        principal_id="principal",
        today=_TODAY,
        amount_minor=100,
    )


def _party(side: str, number: int) -> Party:
    return Party(
        account_id=f"account_{side}_{number}",
        account_status="open",
        holder_id=f"holder_{side}_{number}",
        holder_kind="merchant",
        platform_id=None,
        country="DE",
        residency="DE",
        kyc_status="verified",
        kyc_expires_on=None,
        screening="clear",
    )
