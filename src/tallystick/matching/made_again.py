"""Items made again from what they were made of, to be held against those that are kept.

Whatever an item and its references say follows from an entry, a pushed hold or an instruction, none of which change.
Only what an item is tied to does not: that is its match's to say.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import ledger, participants, statements, tokens
from tallystick.ledger import Code
from tallystick.matching import store
from tallystick.matching.expecting import Expected, item_of_expected, references_of_expected
from tallystick.matching.items import (
    item_of_entry,
    item_of_hold,
    item_of_instruction,
    references_of_entry,
    references_of_instruction,
)
from tallystick.matching.records import Item, ItemKind
from tallystick.statements import Statement
from tallystick.tokens import Kind

__all__ = ["Again", "items_again"]

#: By id: the token class, and what was expected of it.
ExpectedAgain = Callable[[Connection, str, Sequence[str]], Mapping[str, tuple[str, Expected]]]
_AT_ONCE: Final = 2_000
_COMES_IN: Final = frozenset({Kind.DEPOSIT, Kind.DEPOSIT_ASSIGNMENT, Kind.PAYOUT_RETURN})


class Again(NamedTuple):
    """An item as it is kept and as it is to be, each with its references; None where there is none.

    Without a kept one there should be one, unless evidence ties its entry.
    """

    id: str
    kept: Item | None
    kept_references: frozenset[str]
    due: Item | None
    due_references: frozenset[str]


def items_again(connection: Connection, issuer_id: str, expected_again: ExpectedAgain) -> Iterator[Again]:
    """Yield every item of the issuer's classes that is kept, or is due of a statement that was taken in.

    `expected_again` tells, of the ids that it is given, what another room had told matching to expect.
    """
    after = ""
    while page := participants.token_classes(connection, issuer_id, after=after):
        after = page[-1].id
        for of_class in page:
            for of in statements.statements_in_order(connection, issuer_id, of_class.id):
                if store.read_taken_in(connection, issuer_id, [of.id]):
                    yield from _of_statement(connection, of)
    yield from _kept(connection, issuer_id, expected_again)


def _of_statement(connection: Connection, of: Statement) -> Iterator[Again]:
    assert of.completed_at is not None, "only what is whole is taken in"
    after = 0
    while page := statements.entries(connection, of.issuer_id, of.id, after=after, limit=_AT_ONCE):
        after = page[-1].entry_number
        due = {
            one.id: (item_of_entry(of, one, of.completed_at), frozenset(references_of_entry(one)))
            for one in page
            if one.booked and one.amount_minor
        }
        yield from _pairs(connection, of.issuer_id, due)


def _kept(connection: Connection, issuer_id: str, expected_again: ExpectedAgain) -> Iterator[Again]:
    """Yield what is kept of holds and of the books, and entries of statements that nobody took in."""
    after = ""
    while page := store.read_page_of_items(connection, issuer_id, after, _AT_ONCE):
        after = page[-1].id
        due: dict[str, tuple[Item, frozenset[str]] | None] = {}
        by_books = [one for one in page if one.kind not in {ItemKind.ENTRY, ItemKind.HOLD}]
        due |= _of_instructions(connection, issuer_id, [one.id for one in by_books])
        due |= _of_expected(connection, issuer_id, by_books, expected_again)
        due |= _of_holds(connection, issuer_id, [one for one in page if one.kind == ItemKind.HOLD])
        entries = [one.id for one in page if one.kind == ItemKind.ENTRY]
        taken_in = store.read_taken_in(
            connection, issuer_id, sorted({one.rpartition(".")[0] for one in entries})
        )
        # Those of statements that were taken in are looked at with their statement.
        due |= {one: None for one in entries if one.rpartition(".")[0] not in taken_in}
        yield from _pairs(connection, issuer_id, due)


def _of_instructions(
    connection: Connection, issuer_id: str, ids: list[str]
) -> dict[str, tuple[Item, frozenset[str]] | None]:
    found = tokens.instructions_by_id(connection, issuer_id, ids)
    account_ids = {
        one for of in found.values() for one in (of.payee_account_id, of.payer_account_id) if one is not None
    }
    accounts = participants.deposit_accounts(connection, issuer_id, sorted(account_ids))
    due: dict[str, tuple[Item, frozenset[str]] | None] = dict.fromkeys(ids)
    for of in found.values():
        if of.event_index is None:
            continue
        amount_minor = of.amount_minor if of.kind in _COMES_IN else -of.amount_minor
        item = item_of_instruction(of, amount_minor, of.event_index, accounts)
        if of.kind == Kind.CHANGE:
            item = _as_posted(connection, issuer_id, item, of.event_index)
        if of.kind == Kind.REDEMPTION:
            # Of the control account it moves nothing: it is what the bank may show.
            item = item._replace(event_index=None)
        due[of.id] = (item, frozenset(references_of_instruction(of)))
    return due


def _as_posted(connection: Connection, issuer_id: str, item: Item, event_index: int) -> Item:
    """Return what a change's entry moved on the control account: its row tells neither the class nor the side."""
    for line in ledger.entry_lines(connection, issuer_id, event_index, event_index):
        code, _, class_id = line.ledger_account_id.partition(".")
        if code == Code.DEPOSITS_AT_CORE:
            moved_minor = line.debit_minor - line.credit_minor
            return item._replace(token_class_id=class_id, amount_minor=moved_minor)
    return item


def _of_expected(
    connection: Connection, issuer_id: str, kept: Sequence[Item], expected_again: ExpectedAgain
) -> dict[str, tuple[Item, frozenset[str]] | None]:
    ids = [one.id for one in kept]
    expected = expected_again(connection, issuer_id, ids)
    booked = tokens.instructions_by_id(connection, issuer_id, list(expected))
    due: dict[str, tuple[Item, frozenset[str]] | None] = {}
    for one in kept:
        if one.id not in expected:
            continue
        class_id, told = expected[one.id]
        settled = booked.get(one.id)
        event_index = None if settled is None else settled.event_index
        # What was booked since is taken in by the next run.
        progress = store.read_progress(connection, issuer_id, one.token_class_id)
        next_index = 0 if progress is None else progress[0]
        if one.event_index is None and event_index is not None and event_index >= next_index:
            event_index = None
        item = item_of_expected(class_id, told)._replace(event_index=event_index)
        due[one.id] = (item, frozenset(references_of_expected(told)))
    return due


def _of_holds(
    connection: Connection, issuer_id: str, kept: list[Item]
) -> dict[str, tuple[Item, frozenset[str]] | None]:
    due: dict[str, tuple[Item, frozenset[str]] | None] = {one.id: None for one in kept}
    of_accounts = {(one.token_class_id, one.account_id) for one in kept if one.account_id is not None}
    for class_id, account_id in sorted(of_accounts):
        number = participants.deposit_accounts(connection, issuer_id, [account_id]).get(account_id)
        held_minor = 0
        for figure in statements.holds_of_account(connection, issuer_id, class_id, account_id):
            item = item_of_hold(figure, figure.amount_minor - held_minor, number)
            held_minor = figure.amount_minor
            if figure.id in due:
                due[figure.id] = (item, frozenset({f"e2e:{figure.source_reference}"}))
    return due


def _pairs(
    connection: Connection, issuer_id: str, due: Mapping[str, tuple[Item, frozenset[str]] | None]
) -> Iterator[Again]:
    kept = store.read_items(connection, issuer_id, list(due))
    references = store.read_references(connection, issuer_id, list(due))
    for item_id, found in due.items():
        item, wanted = found or (None, frozenset())
        yield Again(
            item_id, kept.get(item_id), frozenset(references.get(item_id, ())), item, frozenset(wanted)
        )
