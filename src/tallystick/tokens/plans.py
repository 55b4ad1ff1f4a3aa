"""What a decision is made on, and what it leads to."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from tallystick.approvals import Approval, Vote
from tallystick.ledger import Book, Posting
from tallystick.participants import AccountFacts, AccountStatus, TokenClass
from tallystick.tokens.instructions import Instruction

__all__ = ["Facts", "Plan"]


@dataclass(slots=True)
class Facts:
    """What a batch decides on, read under lock: accounts, earlier instructions, approvals, balances.

    `next_index` is the place in the log of the next instruction that settles, at `booked_at`.
    """

    book: Book
    accounts: dict[str, AccountFacts]
    now: datetime
    today: date
    approval_lifetime: timedelta
    booked_at: datetime
    next_index: int
    classes: dict[str, TokenClass] = field(default_factory=dict)
    instructions: dict[str, Instruction] = field(default_factory=dict)
    approvals: dict[str, tuple[Approval, list[Vote]]] = field(default_factory=dict)


class Plan(NamedTuple):
    """What a request will do. `settled` is the instruction whose event is recorded (None: nothing is settled yet).

    `added` is new, `changed` were there before.
    """

    answers_with: Instruction
    currency: str
    scale: int
    postings: tuple[Posting, ...] = ()
    settled: Instruction | None = None
    added: Instruction | None = None
    changed: tuple[Instruction, ...] = ()
    vote: tuple[Approval, Vote, str] | None = None
    approval_hashes: tuple[bytes, ...] = ()
    account_status: tuple[str, AccountStatus, str] | None = None
