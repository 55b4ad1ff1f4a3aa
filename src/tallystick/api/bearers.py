"""Who bore which key lately: what is asked for every request, and therefore kept in memory for two seconds.

A known bearer costs one look-up: who it is, from where it may call, and how many calls are left of its lease. The
database, and the identity provider, are asked on worker threads: for all callers of one bearer at once, and ahead of
time where calls keep coming. Otherwise a busy platform's requests would all stand still whenever either runs out,
more than one in a hundred of them.
"""

import asyncio
import hashlib
import logging
import threading
import time
from datetime import datetime
from functools import partial
from typing import Any, Final

import orjson
from sqlalchemy import Connection
from starlette.requests import HTTPConnection

from tallystick import identity, participants
from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.core.errors import UnavailableError
from tallystick.core.settings import Settings
from tallystick.identity import FailedAttempts, KeySet, Lease, RateLimitedError, StaffRules, StaffTokens
from tallystick.participants import Address, ApiKeyInvalidError, Bearer, Network, Principal, Role

__all__ = ["Bearers"]

_log: Final = logging.getLogger(__name__)
# A revoked key or a suspended principal is refused at the latest after this long.
_KNOWN_SECONDS: Final = 2.0
# Whoever calls after this long has it asked again and waits for nothing.
_RENEWED_AFTER_SECONDS: Final = 1.0
_KNOWN_MAX: Final = 10_000
_LEASES_MAX: Final = 10_000
_USES_PAUSE_SECONDS: Final = 60.0


class _Allowance:
    """What one principal may still call in this process; only the event loop changes it.

    Below `low_mark` the next lease is taken while calls are left of this one, and lies in `further` until then.
    """

    __slots__ = (
        "calls_left",
        "further",
        "low_mark",
        "per_minute",
        "principal",
        "refilling",
        "refused_until",
        "until",
    )

    def __init__(self, principal: Principal, per_minute: int) -> None:
        self.principal = principal
        self.per_minute = per_minute
        self.low_mark = identity.low_mark(per_minute)
        self.calls_left = 0
        self.until = 0.0
        self.further: tuple[int, float] | None = None
        self.refused_until = 0.0
        self.refilling: asyncio.Task[None] | None = None

    def spend(self, now_seconds: float) -> bool:
        """Take one call out of the lease; False if there is none left."""
        while self.calls_left <= 0 or self.until <= now_seconds:
            if self.further is None:
                return False
            (self.calls_left, self.until), self.further = self.further, None
        self.calls_left -= 1
        return True

    def add(self, calls: int, until: float) -> None:
        """Add a lease: to be spent behind what is left of the one before."""
        self.further = (calls, until)

    def runs_low(self, now_seconds: float) -> bool:
        """Tell whether the next lease is to be taken now, though there are calls left."""
        return (
            self.calls_left < self.low_mark
            and self.further is None
            and self.refilling is None
            and self.refused_until <= now_seconds
        )


class _Known:
    """A bearer that was asked for at `asked_at`, a moment ago, and is good until `until`."""

    __slots__ = ("allowance", "asked_at", "networks", "principal", "until")

    def __init__(
        self, bearer: Bearer, asked_at: float, lifetime: float, allowance: _Allowance | None
    ) -> None:
        self.principal = bearer.principal
        self.networks = bearer.networks
        self.asked_at = asked_at
        self.until = asked_at + lifetime
        self.allowance = allowance


class Bearers:
    """One process's knowledge of who calls. `close` writes down what keys were used.

    `trusts_proxies` says that a caller's address may be another one than the connection's.
    """

    def __init__(self, settings: Settings, clock: Clock, database: Database) -> None:
        self._settings = settings
        self._clock = clock
        self._database = database
        self._proxies = _proxies(settings)
        self.trusts_proxies = bool(self._proxies)
        self._staff_tokens = _staff_tokens(settings)
        self._failures = FailedAttempts(settings.failed_attempts_per_minute_max)
        self._known: dict[bytes, _Known] = {}
        self._learning: dict[bytes, asyncio.Task[_Known]] = {}
        self._allowances: dict[tuple[str, str], _Allowance] = {}
        self._uses: dict[tuple[str, str], datetime] = {}
        self._uses_lock = threading.Lock()
        self._writing = threading.Lock()
        self._next_uses_seconds = time.monotonic() + _USES_PAUSE_SECONDS

    def close(self) -> None:
        """Note the last uses of keys, once whoever is doing so has ended."""
        self._write_uses()

    async def admit(self, request: HTTPConnection, presented: str) -> Principal:
        """Return who bears what was presented, and count the call.

        Raises ApiKeyInvalidError, AccessEndedError, RateLimitedError, IdentityProviderUnavailableError.
        """
        digest = hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest()
        now_seconds = time.monotonic()
        known = self._known.get(digest)
        if known is None or known.until <= now_seconds:
            known = await self._learn(request, presented, digest, was_known=known is not None)
        elif known.asked_at + _RENEWED_AFTER_SECONDS <= now_seconds:
            self._asking(presented, digest)
        if known.networks and not participants.let_in(known.networks, self.address(request)):
            raise ApiKeyInvalidError
        if known.allowance is not None:
            await self._count(known.allowance, now_seconds)
        return known.principal

    async def count_call(self, principal: Principal) -> None:
        """Count a call that was authenticated by other means; raises RateLimitedError."""
        allowance = self._allowance(principal)
        if allowance is not None:
            await self._count(allowance, time.monotonic())

    def address(self, request: HTTPConnection) -> Address | None:
        """Return the caller's address, as far as it can be known."""
        peer = request.client.host if request.client is not None else None
        forwarded = request.headers.getlist("x-forwarded-for") if self._proxies else ()
        return identity.client_address(peer, forwarded, self._proxies)

    def check_failures(self, request: HTTPConnection) -> None:
        """Raise RateLimitedError for an address that failed too often within a minute."""
        wait = self._failures.wait_seconds(str(self.address(request)), time.monotonic())
        if wait:
            raise RateLimitedError(
                "Too many failed attempts from this address.", retry_after_seconds=identity.retry_after(wait)
            )

    def note_failure(self, request: HTTPConnection) -> None:
        """Count a failed attempt of the caller's address."""
        self._failures.note(str(self.address(request)), time.monotonic())

    async def _learn(
        self, request: HTTPConnection, presented: str, digest: bytes, *, was_known: bool
    ) -> _Known:
        # What was good a moment ago isn't held up by what others behind the same address get wrong.
        if not was_known:
            self.check_failures(request)
        arrived_at = time.monotonic()
        try:
            while True:
                # A caller that goes away takes nobody's answer with it.
                known = await asyncio.shield(self._asking(presented, digest))
                # The question may have been under way for long, and its answer be older than what is remembered.
                if known.asked_at + _KNOWN_SECONDS > arrived_at:
                    return known
        except ApiKeyInvalidError:
            self.note_failure(request)
            raise

    def _asking(self, presented: str, digest: bytes) -> "asyncio.Task[_Known]":
        """Return the one question under way for a bearer, and begin it if there is none."""
        task = self._learning.get(digest)
        if task is None:
            task = self._learning[digest] = asyncio.create_task(self._ask(presented, digest))
            task.add_done_callback(_look_at)
        return task

    async def _ask(self, presented: str, digest: bytes) -> _Known:
        asked_at = time.monotonic()
        try:
            bearer = await asyncio.to_thread(self._find, presented)
        except ApiKeyInvalidError:
            self._known.pop(digest, None)
            raise
        finally:
            del self._learning[digest]
        lifetime = _KNOWN_SECONDS
        if bearer.expires_at is not None:
            lifetime = min(lifetime, (bearer.expires_at - self._clock.now()).total_seconds())
        known = _Known(bearer, asked_at, lifetime, self._allowance(bearer.principal))
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        self._known[digest] = known
        self._note_use(bearer)
        return known

    def _find(self, presented: str) -> Bearer:
        if self._staff_tokens is not None and identity.looks_like_jwt(presented):
            # The identity provider may be asked for its keys here: before any transaction.
            claims = self._staff_tokens.verified(self._clock, presented)
            with self._database.read() as connection:
                return identity.find_staff_bearer(
                    connection, self._clock, self._settings.oidc_issuer_id, claims
                )
        with self._database.read() as connection:
            return identity.find_bearer(connection, self._clock, presented)

    def _allowance(self, principal: Principal) -> _Allowance | None:
        own = principal.calls_per_minute_max
        per_minute = self._settings.calls_per_minute_max if own is None else own
        if not per_minute:
            return None
        name = (principal.issuer_id, principal.id)
        found = self._allowances.get(name)
        if found is None or found.per_minute != per_minute:
            if len(self._allowances) >= _LEASES_MAX:
                self._allowances.clear()
            found = self._allowances[name] = _Allowance(principal, per_minute)
        return found

    async def _count(self, allowance: _Allowance, now_seconds: float) -> None:
        if not allowance.spend(now_seconds):
            await self._refill(allowance)
        elif allowance.runs_low(now_seconds):
            allowance.refilling = asyncio.create_task(self._take(allowance))
            allowance.refilling.add_done_callback(_look_at)

    async def _refill(self, allowance: _Allowance) -> None:
        # Callers that find the lease spent wait for one refill together.
        while True:
            now_seconds = time.monotonic()
            if allowance.spend(now_seconds):
                return
            if now_seconds < allowance.refused_until:
                wait = allowance.refused_until - now_seconds
                raise RateLimitedError(retry_after_seconds=identity.retry_after(wait))
            if allowance.refilling is None:
                allowance.refilling = asyncio.create_task(self._take(allowance))
            # A caller that goes away takes nobody's refill with it.
            await asyncio.shield(allowance.refilling)

    async def _take(self, allowance: _Allowance) -> None:
        asked_at = time.monotonic()
        try:
            lease = await asyncio.to_thread(self._take_lease, allowance)
            if lease.calls:
                allowance.add(lease.calls, asked_at + identity.LEASE_SECONDS)
            else:
                allowance.refused_until = asked_at + lease.wait_seconds
        finally:
            allowance.refilling = None

    def _take_lease(self, allowance: _Allowance) -> Lease:
        principal, per_minute = allowance.principal, allowance.per_minute
        return self._database.run(
            lambda connection: identity.take_lease(
                connection, self._clock, principal.issuer_id, principal.id, per_minute
            )
        )

    def _note_use(self, bearer: Bearer) -> None:
        if bearer.api_key_id is None:
            return
        with self._uses_lock:
            self._uses[(bearer.principal.issuer_id, bearer.api_key_id)] = self._clock.now()
        if time.monotonic() >= self._next_uses_seconds:
            self._next_uses_seconds = time.monotonic() + _USES_PAUSE_SECONDS
            # Nobody waits for it.
            asyncio.get_running_loop().run_in_executor(None, self._write_uses)

    def _write_uses(self) -> None:
        with self._writing:
            self._write_uses_in_turn()

    def _write_uses_in_turn(self) -> None:
        with self._uses_lock:
            uses, self._uses = self._uses, {}
        by_issuer: dict[str, dict[str, datetime]] = {}
        for (issuer_id, key_id), at in sorted(uses.items()):
            by_issuer.setdefault(issuer_id, {})[key_id] = at
        for issuer_id, of_issuer in by_issuer.items():
            try:
                self._database.run(partial(_record_uses, issuer_id=issuer_id, uses=of_issuer))
            except UnavailableError as error:
                _log.warning("the last uses of %d keys are not noted: %s", len(of_issuer), error.code)


def _look_at(task: "asyncio.Task[Any]") -> None:
    # Who waits for it is told. Where nobody does, the next caller asks again, and waits.
    if not task.cancelled():
        task.exception()


def _record_uses(connection: Connection, issuer_id: str, uses: dict[str, datetime]) -> None:
    participants.record_uses(connection, issuer_id, uses)


def _proxies(settings: Settings) -> tuple[Network, ...]:
    if settings.trusted_proxies is None:
        return ()
    return participants.parsed_networks(one.strip() for one in settings.trusted_proxies.split(","))


def _staff_tokens(settings: Settings) -> StaffTokens | None:
    if settings.oidc_key_set is None:
        return None
    assert settings.oidc_issuer is not None
    assert settings.oidc_audience is not None
    algorithms = frozenset(settings.oidc_algorithms.split(","))
    roles = None
    if settings.oidc_roles is not None:
        roles = {group: Role(role) for group, role in orjson.loads(settings.oidc_roles).items()}
    rules = StaffRules(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        algorithms=algorithms,
        person_claim=settings.oidc_person_claim,
        groups_claim=settings.oidc_groups_claim,
        roles=roles,
    )
    return StaffTokens(rules, KeySet(settings.oidc_key_set, algorithms))
