"""What one API process works with: its database, keys, queue to the write path, and who bore which key lately."""

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tallystick import participants, signing, transparency
from tallystick.core.clock import Clock, SystemClock
from tallystick.core.database import Database, OutcomeUnknownError
from tallystick.core.errors import ConflictError
from tallystick.core.settings import Settings
from tallystick.participants import Principal
from tallystick.signing import KeyDirectory
from tallystick.tokens import GroupCommit, Made, Outcome, Settler, Submission, SubmissionOutcome, answer_once
from tallystick.transparency import LogFollower

__all__ = ["Service"]

# A revoked key or a suspended principal is refused at the latest after this long.
_PRINCIPAL_LIFETIME_SECONDS: Final = 2.0
_PRINCIPALS_KEPT_MAX: Final = 10_000
# The queue drops what is not begun in time; what was begun is given this long to end.
_COMMIT_GRACE_SECONDS: Final = 20.0


class Service:
    """The wiring of one process. `close` drains the queue and closes the database."""

    def __init__(self, settings: Settings, database_url: str, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.database = Database(database_url, pool_size=settings.database_pool_size)
        self.key_directory = KeyDirectory(settings.key_directory, settings.key_passphrase)
        self.settler = Settler(
            clock=self.clock,
            ask_signer=lambda pipeline, issuer_id: signing.ask_signer(
                pipeline, issuer_id, self.key_directory
            ),
            approval_lifetime=timedelta(hours=settings.approval_lifetime_hours),
        )
        self.log = transparency.Log(
            self.clock,
            self.key_directory,
            settings.log_origin_prefix,
            transparency.tile_store(settings.log_tile_directory),
        )
        self.witness_policy = transparency.parse_witness_policy(settings.log_witnesses, settings.log_quorum)
        self.closing = False
        self._group_commit: GroupCommit | None = None
        self._follower: LogFollower | None = None
        self._started = threading.Lock()
        self._principals: dict[bytes, tuple[float, Principal]] = {}
        self._delivered: list[tuple[asyncio.Future[SubmissionOutcome], SubmissionOutcome]] = []

    def follow_log(self) -> None:
        """Let this process integrate events into the log's tree, and gather cosignatures, until it is closed."""
        interval_seconds = self.settings.log_interval_seconds
        if interval_seconds > 0:
            self._follower = LogFollower(
                self.database, self.log, self.witness_policy, interval_seconds=interval_seconds
            )
            self._follower.start()

    def close(self) -> None:
        """Settle what is queued, then close every connection."""
        self.closing = True
        if self._follower is not None:
            self._follower.close()
        if self._group_commit is not None:
            self._group_commit.close()
        self.database.close()

    async def principal(self, presented_key: str) -> Principal:
        """Return who bears this key, from memory if that was asked a moment ago; raises ApiKeyInvalidError."""
        digest = hashlib.sha256(presented_key.encode("utf-8", "surrogateescape")).digest()
        found = self._principals.get(digest)
        now_seconds = time.monotonic()
        if found is not None and found[0] > now_seconds:
            return found[1]
        bearer = await asyncio.to_thread(self._authenticate, presented_key)
        if len(self._principals) >= _PRINCIPALS_KEPT_MAX:
            self._principals.clear()
        self._principals[digest] = (now_seconds + _PRINCIPAL_LIFETIME_SECONDS, bearer)
        return bearer

    async def settle(self, issuer_id: str, submission: Submission) -> SubmissionOutcome:
        """Put a submission through the write path and wait until its outcome is durable.

        A caller that stops waiting cancels nothing. Raises QueueFullError, ShuttingDownError, and OutcomeUnknownError
        when a commit that was begun doesn't end in time.
        """
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[SubmissionOutcome] = loop.create_future()
        deadline_seconds = self.settings.request_deadline_seconds
        self._queue(loop).submit(
            issuer_id,
            submission,
            time.monotonic() + deadline_seconds,
            lambda outcome: self._delivered.append((settled, outcome)),
        )
        timeout = loop.call_later(deadline_seconds + _COMMIT_GRACE_SECONDS, _give_up, settled)
        try:
            return await settled
        finally:
            timeout.cancel()

    def once(
        self,
        principal: Principal,
        *,
        key_digest: bytes,
        request_hash: bytes,
        make: Callable[[Connection], Made],
    ) -> Outcome:
        """Do a write that isn't an instruction in one transaction and keep its answer under the key."""

        def work(connection: Connection) -> Outcome:
            return answer_once(
                connection,
                self.clock,
                principal.issuer_id,
                key_digest=key_digest,
                request_hash=request_hash,
                make=make,
            )

        try:
            return self.database.run(work)
        except (IntegrityError, ConflictError):
            # The same key may have been answered meanwhile, and what it made be what is in the way: if so, its answer
            # is there to return now.
            return self.database.run(work)

    def _authenticate(self, presented_key: str) -> Principal:
        with self.database.read() as connection:
            return participants.authenticate(connection, self.clock, presented_key)

    def _queue(self, loop: asyncio.AbstractEventLoop) -> GroupCommit:
        # Made with the first instruction: its thread must belong to the process that serves, not to one that forks.
        if self._group_commit is None:
            with self._started:
                if self._group_commit is None:
                    self._group_commit = GroupCommit(
                        self.database,
                        self.settler,
                        batch_size_max=self.settings.batch_size_max,
                        queue_length_max=self.settings.queue_length_max,
                        announce=lambda: self._announce(loop),
                    )
        return self._group_commit

    def _announce(self, loop: asyncio.AbstractEventLoop) -> None:
        # Once for a whole batch: waking the loop for each request costs more than settling it.
        delivered, self._delivered = self._delivered, []
        if delivered and not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, delivered)


def _deliver(delivered: list[tuple[asyncio.Future[SubmissionOutcome], SubmissionOutcome]]) -> None:
    for settled, outcome in delivered:
        if not settled.done():
            settled.set_result(outcome)


def _give_up(settled: asyncio.Future[SubmissionOutcome]) -> None:
    if not settled.done():
        settled.set_exception(OutcomeUnknownError())
