"""The threads that follow the log while a process serves: one that integrates, one for each witness.

They are followers: the write path knows nothing of them and never waits. Any number of processes may run them; the
tree's row lock lets one integrate at a time.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import httpx

from tallystick import participants
from tallystick.core.database import Database
from tallystick.core.errors import DomainError, InvariantError
from tallystick.transparency.integrating import STEP_SIZE_MAX, Log, integrate
from tallystick.transparency.witness_policy import Witness, WitnessPolicy
from tallystick.transparency.witnessing import Asked, ask_witness, witness_client

__all__ = ["LogFollower"]

_log: Final = logging.getLogger(__name__)
_STEPS_MAX: Final = 64
_CLOSE_SECONDS_MAX: Final = 20.0


class LogFollower:
    """Integrates every issuer's events each `interval_seconds`, and has its witnesses cosign; until it is closed.

    An issuer whose log is not the one that was signed is left alone from then on, which is logged as critical.
    """

    def __init__(
        self, database: Database, log: Log, policy: WitnessPolicy, *, interval_seconds: float
    ) -> None:
        self._database = database
        self._integration = log
        self._policy = policy
        self._interval_seconds = interval_seconds
        self._closing = threading.Event()
        self._told: dict[tuple[str, str], str] = {}
        self._halted: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._clients: list[httpx.Client] = []

    def start(self) -> None:
        """Start the threads: in the process that serves, not in one that forks."""
        self._start("log integration", self._integrate)
        for witness in self._policy.witnesses:
            client = witness_client()
            self._clients.append(client)
            self._start(f"witness {witness.key.name}", partial(self._ask, witness, client))

    def close(self) -> None:
        """Let every thread end what it is at, and wait for it as long as a slow witness may take."""
        self._closing.set()
        for thread in self._threads:
            thread.join(_CLOSE_SECONDS_MAX)
        for client in self._clients:
            client.close()

    def _start(self, name: str, work: Callable[[str], bool]) -> None:
        thread = threading.Thread(target=self._follow, args=(name, work), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _follow(self, name: str, work: Callable[[str], bool]) -> None:
        while not self._closing.wait(self._interval_seconds):
            for issuer_id in self._issuer_ids(name):
                if issuer_id not in self._halted and not self._closing.is_set():
                    self._attempt(name, work, issuer_id)

    def _attempt(self, name: str, work: Callable[[str], bool], issuer_id: str) -> None:
        try:
            for _ in range(_STEPS_MAX):
                if not work(issuer_id) or self._closing.is_set():
                    break
        except DomainError as refusal:
            self._tell(name, issuer_id, f"{refusal.code}: {refusal.detail}")
        except InvariantError:
            self._halted.add(issuer_id)
            _log.critical("the log of %s is not the one that was signed", issuer_id, exc_info=True)
        except Exception:  # noqa: BLE001 A thread that nobody waits for must not end in silence.
            _log.error("%s failed for %s", name, issuer_id, exc_info=True)

    def _issuer_ids(self, name: str) -> list[str]:
        try:
            with self._database.read() as connection:
                return participants.issuer_ids(connection)
        except DomainError as refusal:
            self._tell(name, "", f"{refusal.code}: {refusal.detail}")
            return []

    def _integrate(self, issuer_id: str) -> bool:
        """Take a step; tell whether there may be more at once."""
        known = self._integration.signed.get(issuer_id)
        size = integrate(self._database, self._integration, issuer_id)
        self._tell("log integration", issuer_id, "")
        return known is not None and size - known.size == STEP_SIZE_MAX

    def _ask(self, witness: Witness, client: httpx.Client, issuer_id: str) -> bool:
        name = f"witness {witness.key.name}"
        asked = ask_witness(self._database, self._integration.tiles, issuer_id, witness, client)
        if asked == Asked.AHEAD:
            self._tell(name, issuer_id, "it has seen more of this log than is here", logging.CRITICAL)
        else:
            self._tell(name, issuer_id, asked if asked in {Asked.REFUSED, Asked.UNREACHABLE} else "")
        return False

    def _tell(self, name: str, issuer_id: str, what: str, level: int = logging.WARNING) -> None:
        # Once, not twice a second for as long as it lasts.
        if self._told.get((name, issuer_id), "") != what:
            self._told[name, issuer_id] = what
            if what:
                _log.log(level, "%s of %s: %s", name, issuer_id, what)
