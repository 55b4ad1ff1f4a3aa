"""Matching a class: take in what is new, then decide what stands and what is suggested.

What stands afterwards hangs on what both sides know and on what people decided, and on nothing else: what the service
itself had matched is given up where a new item could have changed it, and decided anew. Runs of one class stand in line
behind its progress; they take none of the write path's locks.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import events, participants, tokens
from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.core.ids import with_prefix
from tallystick.matching import store
from tallystick.matching.items import expected_item, references_of_instruction
from tallystick.matching.keeping import decide, give_up, keep, match_of
from tallystick.matching.records import (
    DEFAULT_TERMS,
    Confidence,
    Draft,
    Item,
    Match,
    MatchState,
    Rule,
    Side,
    Terms,
    signature,
)
from tallystick.matching.rules import (
    Pair,
    match_by_amount,
    match_by_reference,
    match_reversals,
    rule_of_reference,
    suggest,
)
from tallystick.matching.taking_in import (
    take_in_holds,
    take_in_movements,
    take_in_statement,
    waiting_statements,
)

__all__ = ["Run", "match_class", "match_in_parts", "terms_of"]

_PAGE: Final = 5_000
#: Beyond so many open items on a side sums are coincidences and a list is no help: nothing is suggested by rules.
SUGGESTED_FROM_MAX: Final = 5_000


class Run(NamedTuple):
    """What a run left: how many matches it made that stand, how many suggestions wait, and what is open."""

    token_class_id: str
    next_event_index: int
    matched_count: int
    proposed_count: int
    open_bank_count: int
    open_books_count: int


def terms_of(connection: Connection, issuer_id: str, class_id: str) -> Terms:
    """Return on which terms a class is matched."""
    row = tokens.matching_terms(connection, issuer_id).get(class_id)
    if row is None:
        return DEFAULT_TERMS
    return Terms(row.tolerance_minor, row.days_max, Confidence(row.automatic_from))


def match_class(connection: Connection, clock: Clock, issuer_id: str, class_id: str) -> Run:
    """Match a class up to the log's end, and to the last statement that is whole, in the caller's transaction.

    The same state matched again changes nothing. Raises TokenClassNotFoundError.
    """
    participants.token_class(connection, issuer_id, class_id)
    next_index, last_hold_id, _ = store.lock_progress(connection, issuer_id, class_id)
    at = clock.now()
    for one in waiting_statements(connection, issuer_id, class_id):
        take_in_statement(connection, one, at)
    last_index = events.last_index(connection, issuer_id)
    while next_index <= last_index:
        next_index = take_in_movements(connection, issuer_id, class_id, next_index, last_index, at)
    take_in_holds(connection, issuer_id, class_id, last_hold_id, at)
    return _Decision(connection, issuer_id, class_id, at).run(next_index)


def match_in_parts(
    database: Database,
    clock: Clock,
    issuer_id: str,
    class_id: str,
    *,
    on_progress: Callable[[str], None] | None = None,
) -> Run:
    """Match a class as `match_class` does, in a transaction for each statement and for each part of the log.

    A crash leaves the parts that were committed, and the next run goes on behind them.
    """

    def tell(text: str) -> None:
        if on_progress is not None:
            on_progress(text)

    def take_in(statement_id: str, connection: Connection) -> None:
        store.lock_progress(connection, issuer_id, class_id)
        # Another run may have taken it in meanwhile.
        for one in waiting_statements(connection, issuer_id, class_id):
            if one.id == statement_id:
                take_in_statement(connection, one, clock.now())

    def move_on(last_index: int, connection: Connection) -> int:
        next_index, _, _ = store.lock_progress(connection, issuer_id, class_id)
        if next_index > last_index:
            return next_index
        return take_in_movements(connection, issuer_id, class_id, next_index, last_index, clock.now())

    with database.read() as connection:
        waiting = waiting_statements(connection, issuer_id, class_id)
        last_index = events.last_index(connection, issuer_id)
    for one in waiting:
        database.run(partial(take_in, one.id))
        tell(f"statement {one.bank_statement_id} taken in")
    while (next_index := database.run(partial(move_on, last_index))) <= last_index:
        tell(f"log taken in up to {next_index} of {last_index + 1}")
    return database.run(lambda connection: match_class(connection, clock, issuer_id, class_id))


class _Decision:
    """Decides on what is open: each step leaves to the next what it could not tie."""

    def __init__(self, connection: Connection, issuer_id: str, class_id: str, at: datetime) -> None:
        self._connection = connection
        self._issuer_id = issuer_id
        self._class_id = class_id
        self._at = at
        self._terms = terms_of(connection, issuer_id, class_id)
        self._refused = {
            one.signature
            for one in store.read_matches_in_state(connection, issuer_id, class_id, ("rejected", "undone"))
        }
        self._matched_count = 0

    def run(self, next_index: int) -> Run:
        suggestions = self._by_reference(of_redemptions=False)
        self._expect_redemptions()
        self._by_reference(of_redemptions=True)
        self._reversals()
        self._by_amount()
        bank, books = self._open(Side.BANK), self._open(Side.BOOKS)
        if max(len(bank), len(books)) <= SUGGESTED_FROM_MAX:
            taken = {item.id for draft in suggestions for item in (*draft.bank, *draft.books)}
            suggestions += suggest(
                [one for one in bank if one.id not in taken],
                [one for one in books if one.id not in taken and one.event_index is not None],
                self._terms,
                self._refused,
            )
        proposed_count = self._propose(suggestions)
        store.move_progress(self._connection, self._issuer_id, self._class_id, matched_at=self._at)
        open_books = [one for one in books if one.event_index is not None]
        return Run(
            self._class_id, next_index, self._matched_count, proposed_count, len(bank), len(open_books)
        )

    def _open(self, side: Side) -> list[Item]:
        found: list[Item] = []
        after = ""
        while page := store.read_open_items(
            self._connection, self._issuer_id, self._class_id, side, after, _PAGE
        ):
            found += page
            after = page[-1].id
        return found

    def _keep(self, drafts: Sequence[Draft]) -> None:
        self._matched_count += len(drafts)
        for start in range(0, len(drafts), _PAGE):
            keep(
                self._connection,
                [self._match(draft, MatchState.ACCEPTED) for draft in drafts[start : start + _PAGE]],
            )

    def _match(self, draft: Draft, state: MatchState) -> Match:
        return match_of(self._issuer_id, self._class_id, draft, state, self._at)

    def _by_reference(self, *, of_redemptions: bool) -> list[Draft]:
        """Tie what shares a reference, and return what is to be suggested for one.

        Two that have nobody else are tied a page at a time; whatever hangs together in other ways is looked at whole.
        """
        entangled: list[store.PairRow] = []
        for page in self._pages_of_pairs(of_redemptions=of_redemptions):
            plain = [row for row in page if self._is_plain(row)]
            entangled += [row for row in page if not self._is_plain(row)]
            items = self._items(plain)
            self._keep([_draft_of(row, items) for row in plain])
        items = self._items(entangled)
        drafts = match_by_reference(
            [Pair(items[row.bank_id], items[row.book_id], row.reference) for row in entangled], self._refused
        )
        exact = [draft for draft in drafts if draft.confidence is Confidence.EXACT]
        self._keep(exact)
        return [draft for draft in drafts if draft.confidence is not Confidence.EXACT]

    def _pages_of_pairs(self, *, of_redemptions: bool) -> Iterator[list[store.PairRow]]:
        after: str | None = ""
        while after is not None:
            page, after = store.read_pairs(
                self._connection,
                self._issuer_id,
                self._class_id,
                of_redemptions=of_redemptions,
                after=after,
                limit=_PAGE,
            )
            yield page

    def _is_plain(self, row: store.PairRow) -> bool:
        return (
            row.bank_count == row.book_count == 1
            and row.bank_minor == row.book_minor
            and signature([row.bank_id], [row.book_id]) not in self._refused
        )

    def _items(self, rows: Sequence[store.PairRow]) -> dict[str, Item]:
        ids = sorted({one for row in rows for one in (row.bank_id, row.book_id)})
        return store.read_items(self._connection, self._issuer_id, ids)

    def _expect_redemptions(self) -> None:
        """Make items of the redemptions that open debits refer to: most redemptions no bank ever hears of."""
        debits = [one for one in self._open(Side.BANK) if one.amount_minor < 0]
        for start in range(0, len(debits), _PAGE):
            ids = [one.id for one in debits[start : start + _PAGE]]
            known_by = store.read_references(self._connection, self._issuer_id, ids)
            every = sorted(frozenset().union(*known_by.values())) if known_by else []
            redemptions = [
                one
                for one in tokens.redemptions_referred_to(
                    self._connection,
                    self._issuer_id,
                    [with_prefix("redemption", one) for one in every if one.startswith("own:")],
                    [one.removeprefix("e2e:") for one in every if one.startswith("e2e:")],
                )
                if one.token_class_id == self._class_id
            ]
            self._add_redemptions(sorted(redemptions, key=lambda one: one.id))

    def _add_redemptions(self, redemptions: Sequence[tokens.Instruction]) -> None:
        known = store.read_items(self._connection, self._issuer_id, [one.id for one in redemptions])
        fresh = [one for one in redemptions if one.id not in known]
        accounts = participants.deposit_accounts(
            self._connection, self._issuer_id, [one.payer_account_id or "" for one in fresh]
        )
        store.add_items(
            self._connection,
            self._issuer_id,
            [(expected_item(one, accounts), references_of_instruction(one)) for one in fresh],
            self._class_id,
        )

    def _reversals(self) -> None:
        bank = self._open(Side.BANK)
        amounts = {-one.amount_minor for one in bank if one.reversal}
        looked_at = [one for one in bank if one.reversal or one.amount_minor in amounts]
        references = store.read_references(self._connection, self._issuer_id, [one.id for one in looked_at])
        self._keep(match_reversals(looked_at, references, self._refused))

    def _by_amount(self) -> None:
        """Tie what leaves no choice, and give up what the service tied so before and that has a choice now."""
        standing = store.read_items_of_open_amounts(
            self._connection, self._issuer_id, self._class_id, Rule.AMOUNT_AND_COUNTERPARTY.value
        )
        pool = [*self._open(Side.BANK), *self._open(Side.BOOKS), *standing]
        drafts: list[Draft] = []
        if self._terms.automatic_from is Confidence.STRONG:
            drafts = match_by_amount(
                [one for one in pool if one.side == Side.BANK],
                [one for one in pool if one.side == Side.BOOKS and one.event_index is not None],
                self._terms,
                self._refused,
            )
        wanted = {draft.signature: draft for draft in drafts}
        before = {
            one.signature: one
            for one in store.read_matches_by_id(
                self._connection,
                self._issuer_id,
                sorted({item.match_id for item in standing if item.match_id}),
            )
        }
        given_up = [one for key, one in before.items() if key not in wanted]
        give_up(self._connection, given_up, self._at, "Another item could be meant as well.")
        self._keep([draft for key, draft in wanted.items() if key not in before])

    def _propose(self, drafts: Sequence[Draft]) -> int:
        """Keep suggestions, let those go that hold no more, and return how many wait for people."""
        present = list(
            store.read_matches_in_state(
                self._connection, self._issuer_id, self._class_id, ("proposed", "pending_approval")
            )
        )
        wanted = {draft.signature: draft for draft in drafts}
        ids = sorted({item for one in present for item in (*one.bank_item_ids, *one.book_item_ids)})
        items = store.read_items(self._connection, self._issuer_id, ids)
        kept = set()
        for one in present:
            if self._still_holds(one, items, wanted):
                kept.add(one.signature)
            else:
                decide(
                    self._connection,
                    one,
                    MatchState.SUPERSEDED,
                    self._at,
                    decision="superseded",
                    reason="It holds no more.",
                )
        fresh = [draft for key, draft in wanted.items() if key not in kept]
        keep(self._connection, [self._match(draft, MatchState.PROPOSED) for draft in fresh])
        return len(kept) + len(fresh)

    def _still_holds(self, one: Match, items: dict[str, Item], wanted: Collection[str]) -> bool:
        own = [items[item_id] for item_id in (*one.bank_item_ids, *one.book_item_ids)]
        if any(item.match_id is not None for item in own):
            return False
        bank_minor = sum(item.amount_minor for item in own if item.side == Side.BANK)
        if bank_minor != one.bank_minor:
            return False
        # What a person proposed, or accepted already, waits for people and not for rules.
        by_people = one.made_by is not None or one.state == MatchState.PENDING_APPROVAL
        return by_people or one.signature in wanted


def _draft_of(row: store.PairRow, items: dict[str, Item]) -> Draft:
    return Draft(
        rule_of_reference(row.reference),
        Confidence.EXACT,
        (items[row.bank_id],),
        (items[row.book_id],),
        {"reference": row.reference.partition(":")[2]},
    )
