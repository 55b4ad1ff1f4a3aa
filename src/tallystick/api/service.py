"""What one API process works with: its database, keys, queue to the write path, and who calls."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tallystick import audit, integrity, participants, payout_replies, transparency
from tallystick.api.bearers import Bearers
from tallystick.api.housekeeping import Housekeeping
from tallystick.api.pack_runs import read_runs
from tallystick.api.patience import Patience
from tallystick.audit import AuditTrail, AuditUnavailableError, Draft
from tallystick.core.clock import Clock, SystemClock
from tallystick.core.database import Database, OutcomeUnknownError
from tallystick.core.errors import ConflictError
from tallystick.core.settings import Settings
from tallystick.exports import ExportWorker, Vouching, Workshop
from tallystick.integrity import Sealer
from tallystick.participants import Principal
from tallystick.schedules import Scheduler
from tallystick.signing import KeyDirectory
from tallystick.tokens import (
    GroupCommit,
    Made,
    Outcome,
    Request,
    Settler,
    SettlingProcess,
    SettlingTerms,
    Submission,
    SubmissionOutcome,
    answer_once,
)
from tallystick.transparency import LogFollower

__all__ = ["Service"]

# How often an unknown issuer is looked for among those that were taken up meanwhile.
_ISSUERS_LIFETIME_SECONDS: Final = 1.0
_AUDIT_QUEUE_LENGTH_MAX: Final = 10_000
_AUDIT_SECONDS_MAX: Final = 10.0
# The queue drops what is not begun in time; what was begun is given this long to end.
_COMMIT_GRACE_SECONDS: Final = 20.0


class Service:
    """The wiring of one process. `close` drains the queue and closes the database."""

    def __init__(self, settings: Settings, database_url: str, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.database = Database(database_url, pool_size=settings.database_pool_size)
        self.key_directory = KeyDirectory(settings.key_directory, settings.key_passphrase)
        self.settler = Settler.of(
            self.clock, self.key_directory, timedelta(hours=settings.approval_lifetime_hours)
        )
        self.bearers = Bearers(settings, self.clock, self.database)
        self.log = transparency.Log(
            self.clock,
            self.key_directory,
            settings.log_origin_or_unnamed,
            transparency.tile_store(settings.log_tile_directory),
        )
        self.witness_policy = transparency.parse_witness_policy(settings.log_witnesses, settings.log_quorum)
        #: what exports are made with, wherever they are made
        self.workshop = Workshop(
            self.database,
            self.clock,
            self.settler,
            Vouching(self.key_directory, self.log.tiles, self.witness_policy),
            settings.export_directory,
            read_runs,
        )
        self.closing = False
        self._housekeeping = Housekeeping(
            self.database, self.clock, settings.expiry_check_seconds, self._close_expired, self.follow_payouts
        )
        #: how late a scheduled run may be before it is an alert
        self.schedule_grace = timedelta(minutes=settings.schedule_grace_minutes)
        self._scheduler = Scheduler(
            self.database,
            self.settler,
            every_seconds=settings.schedule_check_seconds,
            grace=self.schedule_grace,
        )
        #: how old a seal may be before the next one is due
        self.seal_every = timedelta(hours=settings.seal_every_hours)
        self._sealer = Sealer(
            self.database,
            self.clock,
            lambda issuer_id: integrity.seal_records(self.database, self.log.tiles, self.settler, issuer_id),
            every=self.seal_every,
            grace=self.schedule_grace,
        )
        self._group_commit: GroupCommit | None = None
        self._settling: SettlingProcess | None = None
        self._follower: LogFollower | None = None
        self._database_url = database_url
        self._export_worker: ExportWorker | None = None
        self._started = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._delivered: list[tuple[asyncio.Future[SubmissionOutcome], SubmissionOutcome]] = []
        self._until_settled = Patience(
            settings.request_deadline_seconds + _COMMIT_GRACE_SECONDS, OutcomeUnknownError
        )
        self._trail: AuditTrail | None = None
        self._recorded: list[tuple[asyncio.Future[None], AuditUnavailableError | None]] = []
        self._until_recorded = Patience(_AUDIT_SECONDS_MAX, AuditUnavailableError)
        self._issuers: tuple[float, frozenset[str]] = (0.0, frozenset())

    def start(self) -> None:
        """Begin what the service does by itself: for a worker, beside the processes that serve."""
        self._housekeeping.start()
        self._scheduler.start()
        self._sealer.start()
        # Events go into the log's tree, and cosignatures are gathered.
        interval_seconds = self.settings.log_interval_seconds
        if interval_seconds > 0:
            self._follower = LogFollower(
                self.database, self.log, self.witness_policy, interval_seconds=interval_seconds
            )
            self._follower.start()
        self._export_worker = ExportWorker(self.workshop, self._database_url)
        self._export_worker.start()

    def follow_payouts(self, issuer_id: str, class_id: str) -> None:
        """Settle the payouts that the bank's statements have paid, and give those back that it returned."""
        self.database.run(
            lambda connection: payout_replies.follow(connection, self.settler, issuer_id, class_id)
        )

    def close(self) -> None:
        """Settle what is queued, put on record what waits for it, then close every connection."""
        self.closing = True
        self._housekeeping.stop()
        self._scheduler.stop()
        self._sealer.stop()
        if self._export_worker is not None:
            self._export_worker.stop()
        if self._follower is not None:
            self._follower.close()
        if self._group_commit is not None:
            self._group_commit.close()
        if self._trail is not None:
            self._trail.close()
        self.bearers.close()
        self.database.close()

    async def settle_beside(self) -> None:
        """Let what callers ask be settled in a process beside this one, and wait until it takes instructions.

        Raises TimeoutError or OSError when it can't be started.
        """
        self._settling = SettlingProcess(
            SettlingTerms(
                self._database_url,
                self.settings.key_directory,
                self.settings.key_passphrase,
                timedelta(hours=self.settings.approval_lifetime_hours),
                self.settings.batch_size_max,
                self.settings.queue_length_max,
            ),
            announce=self._announce,
        )
        await self._settling.start()

    async def end_settling(self) -> None:
        """Let the process beside this one, if there is one, settle what it has, and see it end."""
        if self._settling is not None:
            await self._settling.close()

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
        self._until_settled.watch(loop, settled)
        return await settled

    def once(
        self,
        principal: Principal,
        *,
        key_digest: bytes,
        request_hash: bytes,
        make: Callable[[Connection], Made],
        draft: Callable[[Outcome], Draft] | None = None,
    ) -> Outcome:
        """Do a write that isn't an instruction in one transaction and keep its answer under the key.

        With `draft` the attempt is put on record in the same transaction: there is no such write without its entry.
        """

        def work(connection: Connection) -> Outcome:
            outcome = answer_once(
                connection,
                self.clock,
                principal.issuer_id,
                key_digest=key_digest,
                request_hash=request_hash,
                make=make,
            )
            if draft is not None:
                audit.append(connection, self.clock, principal.issuer_id, [draft(outcome)])
            return outcome

        try:
            return self.database.run(work)
        except (IntegrityError, ConflictError):
            # The same key may have been answered meanwhile, and what it made be what is in the way: if so, its answer
            # is there to return now.
            return self.database.run(work)

    @property
    def queued_requests(self) -> int:
        """How many instructions wait in this process."""
        queue = self._settling or self._group_commit
        return 0 if queue is None else queue.queued_requests

    def _close_expired(self, issuer_id: str, request: Request) -> None:
        deadline_seconds = time.monotonic() + self.settings.request_deadline_seconds
        self._queue(None).submit(issuer_id, Submission((request,)), deadline_seconds, _nobody_waits)

    async def record(self, issuer_id: str, draft: Draft) -> None:
        """Put an attempt on record and wait until it is durable; raises AuditUnavailableError."""
        loop = asyncio.get_running_loop()
        recorded: asyncio.Future[None] = loop.create_future()
        self._audit_trail(loop).record(issuer_id, draft, self._resolve(recorded))
        self._until_recorded.watch(loop, recorded)
        await recorded

    async def record_stray(self, issuer_id: str, draft: Draft) -> None:
        """Do the same for an attempt whose key opens nothing, if it names an issuer; beyond a limit only count it."""
        loop = asyncio.get_running_loop()
        now_seconds = time.monotonic()
        looked_until, known = self._issuers
        if issuer_id not in known and looked_until <= now_seconds:
            known = await asyncio.to_thread(self._issuer_ids)
            self._issuers = (now_seconds + _ISSUERS_LIFETIME_SECONDS, known)
        if issuer_id in known:
            recorded: asyncio.Future[None] = loop.create_future()
            if self._audit_trail(loop).record_stray(issuer_id, draft, self._resolve(recorded)):
                self._until_recorded.watch(loop, recorded)
                await recorded

    def record_soon(self, issuer_id: str, draft: Draft) -> None:
        """Put an attempt on record if that can be done: for failures, whose answer must not wait for another one."""
        try:
            self._audit_trail(asyncio.get_running_loop()).record(issuer_id, draft, lambda _: None)
        except AuditUnavailableError:
            return

    def _resolve(self, recorded: "asyncio.Future[None]") -> Callable[[AuditUnavailableError | None], None]:
        return lambda refusal: self._recorded.append((recorded, refusal))

    def _issuer_ids(self) -> frozenset[str]:
        with self.database.read() as connection:
            return frozenset(participants.issuer_ids(connection))

    def _audit_trail(self, loop: asyncio.AbstractEventLoop) -> AuditTrail:
        # As below: its thread must belong to the process that serves.
        if self._trail is None:
            with self._started:
                if self._trail is None:
                    self._trail = AuditTrail(
                        self.database,
                        self.clock,
                        queue_length_max=_AUDIT_QUEUE_LENGTH_MAX,
                        strays_per_minute_max=self.settings.audit_strays_per_minute_max,
                        announce=lambda: self._announce_recorded(loop),
                    )
        return self._trail

    def _announce_recorded(self, loop: asyncio.AbstractEventLoop) -> None:
        recorded, self._recorded = self._recorded, []
        if recorded and not loop.is_closed():
            loop.call_soon_threadsafe(_tell_recorded, recorded)

    def _queue(self, loop: asyncio.AbstractEventLoop | None) -> GroupCommit | SettlingProcess:
        if loop is not None:
            self._loop = loop
            if self._settling is not None:
                return self._settling
        # Made with the first instruction: its thread must belong to the process that serves, not to one that forks.
        if self._group_commit is None:
            with self._started:
                if self._group_commit is None:
                    self._group_commit = GroupCommit(
                        self.database,
                        self.settler,
                        batch_size_max=self.settings.batch_size_max,
                        queue_length_max=self.settings.queue_length_max,
                        announce=self._announce,
                    )
        return self._group_commit

    def _announce(self) -> None:
        # Once for a whole batch: waking the loop for each request costs more than settling it.
        delivered, self._delivered = self._delivered, []
        loop = self._loop
        if delivered and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, delivered)


def _nobody_waits(_outcome: SubmissionOutcome) -> None:
    """Take an outcome that is only asked for its effect: what failed is found again by the next look."""


def _deliver(delivered: list[tuple[asyncio.Future[SubmissionOutcome], SubmissionOutcome]]) -> None:
    for settled, outcome in delivered:
        if not settled.done():
            settled.set_result(outcome)


def _tell_recorded(recorded: list[tuple["asyncio.Future[None]", AuditUnavailableError | None]]) -> None:
    for waiting, refusal in recorded:
        if waiting.done():
            continue
        if refusal is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(refusal)
