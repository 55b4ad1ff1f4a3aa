"""Limits on calls that hold across processes, without a write for each call.

A principal's bucket is one row: the moment `full_at` at which it will be full again (the *generic cell rate
algorithm*; ITU-T I.371). A process takes calls out of it in advance, a *lease*, and spends them in memory; what it
hasn't spent within LEASE_SECONDS is forfeited. With a limit of L calls a minute, all processes together let at most

    capacity + L / 60 * (W + LEASE_SECONDS)    calls through in any W seconds,    capacity = max(10, L / 6)

and never more than the capacity at once: what is spent in W seconds was taken at most LEASE_SECONDS before them.
A lease is at most half a second's worth, and the next one may be taken when a quarter of it is left, so that each
process forfeits at most a sixteenth of the limit.
"""

import math
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.errors import DomainError
from tallystick.identity import store

__all__ = [
    "LEASE_SECONDS",
    "Lease",
    "RateLimitedError",
    "capacity_of",
    "lease_size",
    "low_mark",
    "retry_after",
    "take_lease",
]

LEASE_SECONDS: Final = 10.0
_CAPACITY_MIN: Final = 10
# Smaller leases are taken when they are needed: by fewer than two hundred calls a second, of which few then wait.
_LEASE_AHEAD_MIN: Final = 100
_MICROSECONDS_A_MINUTE: Final = 60_000_000
# A bucket that is full again later than its capacity explains was written by a clock that was ahead. Nothing flows in
# until that moment; by more than this the clock was wrong, and the bucket begins anew rather than lock somebody out.
_CLOCKS_DIFFER_MAX: Final = timedelta(minutes=1)


class RateLimitedError(DomainError):
    """Too many calls, or too many failed attempts from one address; `Retry-After` says when to come again."""

    code = "rate_limited"
    status = 429
    title = "Too many requests"

    def __init__(self, detail: str | None = None, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class Lease(NamedTuple):
    """Calls that were taken out of the bucket; with none, after how many seconds there may be one."""

    calls: int
    wait_seconds: float


def capacity_of(calls_per_minute_max: int) -> int:
    """Return how many calls a full bucket holds: ten seconds' worth, and never fewer than ten."""
    return max(_CAPACITY_MIN, calls_per_minute_max // 6)


def lease_size(calls_per_minute_max: int) -> int:
    """Return how many calls a process takes in advance: half a second's worth, at least one."""
    return max(1, calls_per_minute_max // 120)


def low_mark(calls_per_minute_max: int) -> int:
    """Return with how many calls left the next lease is taken: a quarter, and none where few can wait for it."""
    size = lease_size(calls_per_minute_max)
    return size // 4 if size >= _LEASE_AHEAD_MIN else 0


def take_lease(
    connection: Connection, clock: Clock, issuer_id: str, principal_id: str, calls_per_minute_max: int
) -> Lease:
    """Take a lease out of a principal's bucket; processes take turns at its row."""
    now: datetime = clock.now()
    spacing = timedelta(microseconds=math.ceil(_MICROSECONDS_A_MINUTE / calls_per_minute_max))
    capacity = capacity_of(calls_per_minute_max)
    count, full_at = store.take_from_bucket(
        connection,
        issuer_id,
        principal_id,
        now=now,
        capacity=capacity,
        spacing=spacing,
        wanted=lease_size(calls_per_minute_max),
        latest=now + capacity * spacing + _CLOCKS_DIFFER_MAX,
    )
    free_in = full_at - (capacity - 1) * spacing - now
    return Lease(count, 0.0 if count else max(0.0, free_in.total_seconds()))


def retry_after(wait_seconds: float) -> int:
    """Return whole seconds for `Retry-After` (RFC 9110, 10.2.3), at least one."""
    return max(1, math.ceil(wait_seconds))
