"""One pass over the log: each event's bytes, signature, key, place, people, and what it does to the books.

A signature, key or approval that does not hold is noted and the pass goes on; an event that can't be understood, or is
not at its place, ends it; one that can't be posted ends the replay, for the books are unknown from there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from tallystick_verify.approvals import Approvals
from tallystick_verify.canonical import JsonRefusedError, parse
from tallystick_verify.events import Event
from tallystick_verify.facts import ATTESTATION_TYPE, ATTESTED_TYPE, Fact
from tallystick_verify.failures import ExitCode, Failure, PackFailure
from tallystick_verify.figures import Journal, Movements
from tallystick_verify.keys import KeyBook
from tallystick_verify.leaves import Leaf, Leaves
from tallystick_verify.log import LogTree
from tallystick_verify.manifest import Manifest
from tallystick_verify.replay import Replay
from tallystick_verify.report import Report
from tallystick_verify.told import RulesNamed

__all__ = ["Progress", "Walk"]

#: Told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]

_PROGRESS_EVENTS: Final = 1_000
_GO_ON: Final = frozenset({ExitCode.SIGNATURE, ExitCode.KEY, ExitCode.APPROVAL, ExitCode.FIGURES})
_CHECKS: Final = {
    ExitCode.PACK: "files",
    ExitCode.KEY: "keys",
    ExitCode.LOG: "log",
    ExitCode.APPROVAL: "approvals",
    ExitCode.BOOKS: "books",
    ExitCode.FIGURES: "journal",
}


@dataclass(slots=True)
class Walk:
    """The pass and what it fills. `replayed` tells at its end whether the books were rebuilt.

    `helpers` are the processes that take leaves apart beside it.
    """

    manifest: Manifest
    report: Report
    keys: KeyBook
    tree: LogTree
    replay: Replay
    movements: Movements
    approvals: Approvals
    journal: Journal
    helpers: int = 0
    rules: RulesNamed = field(default_factory=RulesNamed)
    replayed: bool = True
    previous_booked_at: str = ""
    attestation_count: int = 0
    vouching_count: int = 0
    # Indexes of what is recorded beside instructions (votes, expiries): no idempotency key settled those alone.
    unasked: set[int] = field(default_factory=set)

    def go(self, rows: Iterator[bytes], progress: Progress) -> bool:
        """Go through the rows of `events.jsonl`; tell whether the log is there to its end."""
        size = self.manifest.tree_size
        with Leaves(self.keys.octets(), self.helpers, size) as leaves:
            whole = self._walk(leaves.each(_leaves(rows)), progress)
        if whole:
            self.report.passed("events", f"{size:,} events: bytes, form, signature, and key at its index")
        return whole

    def attested(self) -> str:
        """Return what was checked of attestations."""
        return (
            f"{self.attestation_count:,} attested totals of liabilities are supply; "
            f"{self.vouching_count:,} roots that reconciliations vouch for are the log's"
        )

    def _walk(self, leaves: Iterator[Leaf], progress: Progress) -> bool:
        size, report = self.manifest.tree_size, self.report
        for index, leaf in enumerate(leaves):
            if index >= size:
                report.failed("log", Failure(ExitCode.LOG, "The log is longer than the manifest says."))
                return False
            if not self._take(index, leaf) or report.full:
                self.replayed = False
                return False
            if index % _PROGRESS_EVENTS == 0:
                progress("verifying", index, size)
        progress("verifying", size, size)
        if self.tree.size < size:
            report.failed("log", Failure(ExitCode.LOG, "The log ends before the manifest says."))
            return False
        if self.manifest.first_index == size:
            self.replay.begin_period()
        return True

    def _take(self, index: int, leaf: Leaf) -> bool:
        """Take up the event at `index`; tell whether what follows can still be looked at."""
        if index == self.manifest.first_index:
            self.replay.begin_period()
        self.tree.add(leaf.hash)
        signed = leaf.kid is not None and self._signed(index, leaf.kid, leaf.holds)
        try:
            event = leaf.required()
            self._check_place(event, index)
        except Failure as failure:
            self._found(index, failure)
            return False
        # Of a signature that does not hold nothing follows, for keys either.
        if signed and leaf.kid is not None:
            self._note(index, partial(self.keys.take, event, leaf.kid))
        if self.replayed:
            self._note(index, partial(self.approvals.check, event))
            self.replayed = self._note(index, partial(self._post, event))
        return True

    def _signed(self, index: int, kid: str, holds: bool) -> bool:
        """Tell whether the signature is a named key's; note what is wrong with it."""
        try:
            self.keys.check_named(kid)
        except Failure as failure:
            self._found(index, failure)
            return False
        if not holds:
            self._found(index, Failure(ExitCode.SIGNATURE, "The signature does not verify."))
        return holds

    def _check_place(self, event: Event | Fact, index: int) -> None:
        if event.index != index:
            raise Failure(ExitCode.LOG, f"The event was signed for index {event.index}.")
        if event.issuer_id != self.manifest.issuer_id:
            raise Failure(ExitCode.LOG, "The event is another issuer's.")
        # Moments have one form of fixed length, so they sort as texts.
        if event.booked_at < self.previous_booked_at:
            raise Failure(ExitCode.LOG, "The event was booked before the one in front of it.")
        self.previous_booked_at = event.booked_at

    def _post(self, event: Event | Fact) -> None:
        self.rules.take(event)
        if isinstance(event, Fact):
            self.replay.instructions.add_fact(event)
            self.replay.take(event)
            if not event.is_change:
                self.unasked.add(event.index)
            if event.type == ATTESTATION_TYPE:
                self._check_attestation(event)
            if event.type == ATTESTED_TYPE:
                self._check_verified(event)
            return
        posted = self.replay.post(event)
        if event.index >= self.manifest.first_index:
            self.movements.add(event)
        self.journal.check(event, posted)

    def _check_attestation(self, fact: Fact) -> None:
        self.attestation_count += 1
        try:
            self.replay.check_attestation(fact)
        except Failure as failure:
            self.report.failed("attestations", failure.at(f"event {fact.index}"))

    def _check_verified(self, fact: Fact) -> None:
        """Hold what a reconciliation says that it verified of the log against the log; older ones say nothing."""
        found = fact.members["attestation"]
        if found.get("verified_size") is None:
            return
        self.vouching_count += 1
        if self.tree.root_at(int(found["verified_size"])).hex() != found["log_root_hash"]:
            failure = Failure(
                ExitCode.FIGURES,
                f"A reconciliation vouches for another log than this: in its first {found['verified_size']} events.",
                place=f"event {fact.index}",
            )
            self.report.failed("attestations", failure)

    def _note(self, index: int, check: Callable[[], None]) -> bool:
        """Make a check; note a failure, and tell whether the books are still known behind it."""
        try:
            check()
        except Failure as failure:
            self._found(index, failure)
            return failure.exit_code in _GO_ON
        return True

    def _found(self, index: int, failure: Failure) -> None:
        self.report.failed(_CHECKS.get(failure.exit_code, "events"), failure.at(f"event {index}"))


def _leaves(rows: Iterator[bytes]) -> Iterator[bytes]:
    for index, line in enumerate(rows):
        prefix = b'{"index":%d,"jws":"' % index
        if not line.startswith(prefix) or not line.endswith(b'"}'):
            raise _odd_row(line, index)
        yield line[len(prefix) : -2]


def _odd_row(line: bytes, index: int) -> Failure:
    try:
        row = parse(line)
    except JsonRefusedError as error:
        return PackFailure(f"Row {index} is malformed: {error}.", place="events.jsonl")
    if isinstance(row, dict) and row.keys() == {"index", "jws"} and row["index"] != index:
        return Failure(
            ExitCode.LOG, f"Where event {index} belongs there is another one.", place="events.jsonl"
        )
    return PackFailure(f"Row {index} is not in the form that is wanted.", place="events.jsonl")
