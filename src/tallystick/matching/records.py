"""What is matched, and what a match is. Amounts are minor units of the token class, positive for what came in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from tallystick.core.errors import NotFoundError

__all__ = [
    "DEFAULT_TERMS",
    "Confidence",
    "Decision",
    "Draft",
    "Item",
    "ItemKind",
    "Match",
    "MatchNotFoundError",
    "MatchState",
    "Rule",
    "Side",
    "Terms",
    "signature",
]


class MatchNotFoundError(NotFoundError):
    """No such match of this issuer."""

    code = "match_not_found"
    title = "No such match"


class Side(StrEnum):
    """Who knows of an item."""

    BANK = "bank"
    BOOKS = "books"


class ItemKind(StrEnum):
    """What an item is.

    `entry`: a booked entry of a statement. `hold`: by how much a hold on a customer's own account changed. The others
    are of the books. A `redemption` moves nothing on the control account: a debit that bears its reference is one that
    the bank has paid before the deposit was released.
    """

    ENTRY = "entry"
    HOLD = "hold"
    DEPOSIT = "deposit"
    DEPOSIT_RELEASE = "deposit_release"
    REDEMPTION = "redemption"
    PAYOUT = "payout"
    FEE = "fee"
    OTHER = "other"


class Rule(StrEnum):
    """Why items belong together."""

    EVIDENCE = "evidence"
    UETR = "uetr"
    OUR_REFERENCE = "our_reference"
    END_TO_END_ID = "end_to_end_id"
    REVERSAL = "reversal"
    AMOUNT_AND_COUNTERPARTY = "amount_and_counterparty"
    AMOUNT_AND_DAY = "amount_and_day"
    SUM_AND_COUNTERPARTY = "sum_and_counterparty"
    SUM_AND_DAY = "sum_and_day"
    WITHIN_TOLERANCE = "within_tolerance"
    PERSON = "person"


class Confidence(StrEnum):
    """How sure a rule is. What is `exact` stands by itself, what is `strong` unless the class's terms say otherwise."""

    EXACT = "exact"
    STRONG = "strong"
    FAIR = "fair"
    WEAK = "weak"
    PERSON = "person"


class MatchState(StrEnum):
    """What became of a match.

    `pending_approval`: one person has accepted it, and it takes another. `superseded`: it holds no more, or a surer one
    took its place.
    """

    PROPOSED = "proposed"
    PENDING_APPROVAL = "pending_approval"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDONE = "undone"
    SUPERSEDED = "superseded"


class Item(NamedTuple):
    """One thing that a side knows of.

    `place` puts items of one day in an order that does not hang on when they came. `known_at` is when the bank told of
    it, `event_index` where the log has it; of the books it is None for what is expected and not booked yet.
    """

    id: str
    token_class_id: str
    side: str
    kind: str
    amount_minor: int
    day: date | None
    place: str
    counterparty: str | None = None
    account_id: str | None = None
    reversal: bool = False
    known_at: datetime | None = None
    event_index: int | None = None
    match_id: str | None = None


class Terms(NamedTuple):
    """How a class is matched.

    `tolerance_minor` is the largest difference that people may accept, `days_max` how far apart the bank's day and the
    books' may lie, and `automatic_from` the least confidence that stands without a person.
    """

    tolerance_minor: int
    days_max: int
    automatic_from: Confidence


DEFAULT_TERMS: Final = Terms(tolerance_minor=0, days_max=3, automatic_from=Confidence.STRONG)


class Draft(NamedTuple):
    """A match that a rule finds. `compared` are the values that it went by, as people read them."""

    rule: Rule
    confidence: Confidence
    bank: tuple[Item, ...]
    books: tuple[Item, ...]
    compared: dict[str, str | int | list[str]]

    @property
    def bank_minor(self) -> int:
        return sum(one.amount_minor for one in self.bank)

    @property
    def difference_minor(self) -> int:
        """The bank's sum less the books'."""
        return self.bank_minor - sum(one.amount_minor for one in self.books)

    @property
    def signature(self) -> str:
        """What it ties, whatever the rule."""
        return signature([one.id for one in self.bank], [one.id for one in self.books])


@dataclass(frozen=True, slots=True)
class Match:
    """A match as it is kept.

    `kind` is that of the books' items, `mixed` if they are of several, and `reversal` if the bank's items cancel each
    other. `made_by` is None for what the service found. `difference_minor` is the bank's sum less the books'.
    """

    issuer_id: str
    id: str
    token_class_id: str
    kind: str
    rule: str
    confidence: str
    state: str
    bank_item_ids: Sequence[str]
    book_item_ids: Sequence[str]
    bank_minor: int
    difference_minor: int
    statement_id: str | None
    event_index: int | None
    compared: str | None
    made_by: str | None
    made_at: datetime

    @property
    def stands_by_itself(self) -> bool:
        """Whether the service matched it by a rule, so that it may give it up again."""
        return self.rule != Rule.EVIDENCE and self.confidence in (Confidence.EXACT, Confidence.STRONG)

    @property
    def signature(self) -> str:
        return signature(self.bank_item_ids, self.book_item_ids)


class Decision(NamedTuple):
    """What somebody decided about a match: `decided_by` is None for the service."""

    match_id: str
    decision_number: int
    decision: str
    decided_by: str | None
    person: str | None
    reason: str | None
    decided_at: datetime


def signature(bank_item_ids: Sequence[str], book_item_ids: Sequence[str]) -> str:
    """Return what two matches of the same items have in common."""
    return f"{' '.join(sorted(bank_item_ids))}|{' '.join(sorted(book_item_ids))}"
