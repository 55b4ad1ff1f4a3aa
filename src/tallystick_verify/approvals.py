"""Four eyes, checked again: enough different people, none of them the maker, each bound to exactly this request.

Every vote is an event of its own. What it let through names the vote's hash, and `approvals.jsonl` tells, in the order
of the log, what that hash binds. So a vote that was changed, used twice, or cast after the end is seen.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tallystick_verify.canonical import JsonRefusedError, canonical, parse
from tallystick_verify.chart import CHANGES
from tallystick_verify.events import Event, minor_units
from tallystick_verify.facts import BATCH_TYPE, Fact
from tallystick_verify.failures import ExitCode, Failure
from tallystick_verify.instructions import Instructions
from tallystick_verify.policy_file import Policy

__all__ = ["Approvals"]

_MEMBERS: Final = frozenset(
    {
        "amount",
        "created_at",
        "currency",
        "expires_at",
        "id",
        "issuer_id",
        "maker",
        "maker_principal_id",
        "operation",
        "quorum",
        "request_hash",
        "subject_id",
        "votes",
    }
)
_VOTE_MEMBERS: Final = frozenset({"decided_at", "decision", "hash", "person", "principal_id"})
_TEXTS: Final = _MEMBERS - {"amount", "currency", "quorum", "votes"}


@dataclass(slots=True)
class _Open:
    """What has been voted for so far, in order: each vote's hash and who cast it.

    Of a batch also what was booked of it: how much, and in whose name and which class.
    """

    operation: str
    request_hash: str
    votes: list[tuple[str, str]] = field(default_factory=list)
    booked_count: int = 0
    booked_minor: int = 0
    booked_for: set[tuple[str, str, str, int]] = field(default_factory=set)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hashes of the votes, as events name them."""
        return tuple(digest for digest, _ in self.votes)


class Approvals:
    """Reads `approvals.jsonl` beside the log and checks each vote and each approval against its event."""

    def __init__(self, rows: Iterator[bytes], policy: Policy, instructions: Instructions) -> None:
        self._rows = rows
        self._policy = policy
        self._instructions = instructions
        self._open: dict[str, _Open] = {}
        self._lost = False
        self.checked_count = 0
        self.vote_count = 0

    def check(self, event: Event | Fact) -> None:
        """Take up a vote or the end of an approval; of others, check the approvals. Raises Failure (approval)."""
        if isinstance(event, Fact) and "approval_id" in event.members:
            self._take_up(event)
            return
        if isinstance(event, Event) and event.kind.operation == "transfer" and event.related is not None:
            self._take_item(event, event.related)
            return
        if not event.approvals:
            if self._needed(event):
                raise _refused("The event needs another person's approval and names none.")
            return
        if not _possible(event):
            raise _refused("The event names approvals that its type does not have.")
        approved = self._settled(event)
        if isinstance(event, Fact) and event.type == BATCH_TYPE:
            _check_items(event, approved)
        if self._lost:
            return
        row = self._next()
        self._check_binding(row, event, approved)
        self._check_votes(row, event, approved)
        self.checked_count += 1

    def finish(self) -> str:
        """Return what was checked; raises Failure (approval) if the file tells of more than the log names."""
        if not self._lost and next(self._rows, None) is not None:
            raise _refused("approvals.jsonl tells of approvals that no event names.")
        return f"{self.checked_count:,} approvals by {self.vote_count:,} votes"

    def _take_up(self, fact: Fact) -> None:
        suffix = fact.members["instruction_id"][-26:]
        if self._instructions.is_closed(suffix):
            raise _refused("What was decided, settled or expired before is decided again.")
        if not fact.is_vote or fact.type == "approval.rejected":
            self._open.pop(suffix, None)
            self._instructions.end_waiting(suffix)
            return
        found = self._open.setdefault(suffix, _Open(fact.members["operation"], fact.members["request_hash"]))
        if (found.operation, found.request_hash) != (
            fact.members["operation"],
            fact.members["request_hash"],
        ):
            raise _refused("A vote is for another request than the one before it.")
        found.votes.append((fact.members["vote_hash"], fact.members["principal_id"]))

    def _take_item(self, event: Event, batch_id: str) -> None:
        """Take up a transfer of a batch that people approved as a whole, between the last vote and the batch's end."""
        batch = self._open.get(batch_id[-26:])
        if batch is None or batch.operation != "transfer_batch" or not batch_id.startswith("batch_"):
            raise _refused("The event belongs to a batch that nobody voted for, or that had ended.")
        if batch.hashes != event.approvals:
            raise _refused("The event does not name the votes for its batch.")
        batch.booked_count += 1
        batch.booked_minor += event.amount_minor
        batch.booked_for.add((event.principal_id, event.token_class_id, event.currency, event.scale))

    def _settled(self, event: Event | Fact) -> _Open:
        """Return what was voted for an event; the approval is closed by that."""
        suffix = _instruction_id(event)[-26:]
        approved = self._open.pop(suffix, None)
        if approved is None:
            raise _refused("The event names approvals that nobody voted for in this log.")
        self._instructions.end_waiting(suffix)
        if approved.hashes != event.approvals:
            raise _refused("The votes in the log are not those that the event names.")
        return approved

    def _needed(self, event: Event | Fact) -> bool:
        if isinstance(event, Event):
            by_hand = event.kind.approved == "by_hand" and event.related is None
            return event.kind.approved == "always" or by_hand
        if event.type == BATCH_TYPE:
            return True
        if event.is_change:
            return CHANGES[event.type][1] == "always"
        return False

    def _next(self) -> dict[str, Any]:
        line = next(self._rows, None)
        if line is None:
            raise _refused("approvals.jsonl does not tell who approved this event.")
        try:
            row = parse(line)
        except JsonRefusedError as error:
            raise _refused(f"A row of approvals.jsonl is malformed: {error}.") from None
        if not isinstance(row, dict) or row.keys() != _MEMBERS:
            raise _refused("A row of approvals.jsonl has other members than expected.")
        if not all(isinstance(row[name], str) for name in _TEXTS) or type(row["quorum"]) is not int:
            raise _refused("A row of approvals.jsonl has a member of another type than expected.")
        return row

    def _check_binding(self, row: dict[str, Any], event: Event | Fact, approved: _Open) -> None:
        # One row too few or too many, and all that follow would seem to be wrong as well.
        instruction_id = _instruction_id(event)
        self._lost = row["subject_id"] != instruction_id
        amount: tuple[str | None, str | None] = (None, None)
        if isinstance(event, Event):
            # Whoever approves a change that posts an entry types its amount, as of any other that does.
            operation, request_hash, principal_id = (
                "change" if event.type in CHANGES else event.kind.operation,
                event.request_hash,
                event.principal_id,
            )
            amount = (event.amount, event.currency) if event.lines else amount
        else:
            operation = "change" if event.is_change else event.operation
            request_hash, principal_id = event.members["request_hash"], event.members["principal_id"]
            # Who approves a change types no amount, whatever the change's event tells of one.
            amount = (
                (None, None)
                if event.is_change
                else (event.members.get("amount"), event.members.get("currency"))
            )
        told = (
            row["subject_id"],
            row["id"],
            row["issuer_id"],
            row["operation"],
            row["request_hash"],
            row["maker_principal_id"],
            (row["amount"], row["currency"]),
            (approved.operation, approved.request_hash),
        )
        signed = (
            instruction_id,
            f"approval_{instruction_id[-26:]}",
            event.issuer_id,
            operation,
            request_hash,
            principal_id,
            amount,
            (operation, request_hash),
        )
        if told != signed:
            raise _refused("The approval is of another request than the event.")

    def _check_votes(self, row: dict[str, Any], event: Event | Fact, approved: _Open) -> None:
        votes = row["votes"]
        if not isinstance(votes, list) or not all(
            isinstance(one, dict)
            and one.keys() == _VOTE_MEMBERS
            and all(isinstance(value, str) for value in one.values())
            for one in votes
        ):
            raise _refused("A vote has other members than expected.")
        if sorted((one["hash"], one["principal_id"]) for one in votes) != sorted(approved.votes):
            raise _refused("The votes are not those that the event names.")
        for one in votes:
            self._check_vote(one, row, event)
        people = {one["person"] for one in votes}
        if len(people) != len(votes) or len(event.approvals) != len(set(event.approvals)):
            raise _refused("One person is counted twice.")
        wanted = max(row["quorum"], self._policy.quorum_of(_operation(event)))
        if len(people) < wanted:
            raise _refused(f"{len(people)} other people approved it, and {wanted} are needed.")
        self.vote_count += len(votes)

    def _check_vote(self, vote: dict[str, Any], row: dict[str, Any], event: Event | Fact) -> None:
        if vote["decision"] != "approve":
            raise _refused("A vote that the event names does not approve it.")
        if not vote["person"] or vote["person"] == row["maker"]:
            raise _refused("Maker and checker are the same person.")
        if vote["principal_id"] == row["maker_principal_id"]:
            raise _refused("Maker and checker used the same login.")
        if _hash(vote, row) != vote["hash"]:
            raise _refused("A vote's hash is not that of what it says.")
        # Moments have one form of fixed length, so they sort as texts.
        if vote["decided_at"] > event.booked_at or vote["decided_at"] >= row["expires_at"]:
            raise _refused("A vote was cast after the event was booked, or after it expired.")


def _check_items(fact: Fact, approved: _Open) -> None:
    """Hold what was booked of a batch against what people approved and what its end says."""
    told = fact.members
    scale = told["scale"]
    maker = (told["principal_id"], told["token_class_id"], told["currency"], scale)
    if approved.booked_for - {maker}:
        raise _refused("What was booked of the batch is somebody else's, or of another token class.")
    booked = (approved.booked_count, approved.booked_minor)
    if booked != (told["booked_count"], minor_units(told["booked_amount"], scale)):
        raise _refused("What was booked of the batch is not what its end says.")
    if approved.booked_minor > minor_units(told["amount"], scale):
        raise _refused("More was booked of the batch than people approved.")


def _operation(event: Event | Fact) -> str:
    return event.operation if isinstance(event, Fact) else event.kind.operation


def _instruction_id(event: Event | Fact) -> str:
    return event.instruction_id if isinstance(event, Event) else str(event.members["instruction_id"])


def _possible(event: Event | Fact) -> bool:
    return not isinstance(event, Event) or event.kind.approved != "never"


def _hash(vote: dict[str, Any], row: dict[str, Any]) -> str:
    statement = {
        "approval_id": row["id"],
        "issuer_id": row["issuer_id"],
        "operation": row["operation"],
        "subject_id": row["subject_id"],
        "request_hash": row["request_hash"],
        "maker": row["maker"],
        "checker": vote["person"],
        "principal_id": vote["principal_id"],
        "decision": vote["decision"],
        "decided_at": vote["decided_at"],
    }
    if row["amount"] is not None:
        statement |= {"amount": row["amount"], "currency": row["currency"]}
    return hashlib.sha256(canonical(statement)).hexdigest()


def _refused(message: str) -> Failure:
    return Failure(ExitCode.APPROVAL, message)
