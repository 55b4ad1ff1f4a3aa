"""Four eyes, checked again: enough different people, none of them the maker, each bound to exactly this request.

`approvals.jsonl` tells, in the order of the log, what a vote's hash binds. The hashes stand in the signed events, so
whoever changes a vote afterwards is seen; whoever forges one before signing still needs a second person's name.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from tallystick_verify.canonical import JsonRefusedError, canonical, parse
from tallystick_verify.events import Event, KeyEvent
from tallystick_verify.failures import ExitCode, Failure
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


class Approvals:
    """Reads `approvals.jsonl` beside the log and checks each approval against its event."""

    def __init__(self, rows: Iterator[bytes], policy: Policy) -> None:
        self._rows = rows
        self._policy = policy
        self.checked_count = 0
        self.vote_count = 0
        self._lost = False

    def check(self, event: Event | KeyEvent) -> None:
        """Raise Failure (approval) unless the event has the approvals that it needs."""
        if not self._needed(event):
            if event.approvals:
                raise _refused("The event names approvals that its type does not have.")
            return
        if not event.approvals:
            raise _refused("The event needs another person's approval and names none.")
        if self._lost:
            return
        row = self._next()
        self._check_binding(row, event)
        self._check_votes(row, event)
        self.checked_count += 1

    def finish(self) -> str:
        """Return what was checked; raises Failure (approval) if the file tells of more than the log names."""
        if not self._lost and next(self._rows, None) is not None:
            raise _refused("approvals.jsonl tells of approvals that no event names.")
        return f"{self.checked_count:,} approvals by {self.vote_count:,} votes"

    def _needed(self, event: Event | KeyEvent) -> bool:
        if isinstance(event, KeyEvent):
            # The first key has nobody to approve it; the auditor's policy may ask for people behind all others.
            return bool(event.approvals) or event.operation in self._policy.quorums
        return event.kind.approved == "always" or (
            event.kind.approved == "sometimes" and event.related is None
        )

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

    def _check_binding(self, row: dict[str, Any], event: Event | KeyEvent) -> None:
        # One row too few or too many, and all that follow would seem to be wrong as well.
        self._lost = row["subject_id"] != event.instruction_id
        amount: tuple[str | None, str | None] = (None, None)
        if isinstance(event, Event) and event.lines:
            amount = (event.amount, event.currency)
        told = (
            row["subject_id"],
            row["id"],
            row["issuer_id"],
            row["operation"],
            row["request_hash"],
            row["maker_principal_id"],
            (row["amount"], row["currency"]),
        )
        signed = (
            event.instruction_id,
            f"approval_{event.instruction_id[-26:]}",
            event.issuer_id,
            _operation(event),
            event.request_hash,
            event.principal_id,
            amount,
        )
        if told != signed:
            raise _refused("The approval is of another request than the event.")

    def _check_votes(self, row: dict[str, Any], event: Event | KeyEvent) -> None:
        votes = row["votes"]
        if not isinstance(votes, list) or not all(
            isinstance(one, dict)
            and one.keys() == _VOTE_MEMBERS
            and all(isinstance(value, str) for value in one.values())
            for one in votes
        ):
            raise _refused("A vote has other members than expected.")
        if sorted(one["hash"] for one in votes) != sorted(event.approvals):
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

    def _check_vote(self, vote: dict[str, Any], row: dict[str, Any], event: Event | KeyEvent) -> None:
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


def _operation(event: Event | KeyEvent) -> str:
    return event.operation if isinstance(event, KeyEvent) else event.kind.operation


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
