"""Taking in what is new on either side: statements that became whole, holds that were pushed, and the log's movements.

A credit and the deposit that it became are tied on the way in: the import has found them, and the deposit's signed
event names the entry. A crash leaves what was committed, and the next run goes on behind it.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection

from tallystick import events, ledger, participants, statements, tokens
from tallystick.core.ids import id_made_before, with_prefix
from tallystick.ledger import Code, ledger_account_id
from tallystick.matching import store
from tallystick.matching.items import (
    deposit_reference,
    item_of_entry,
    item_of_hold,
    item_of_instruction,
    references_of_entry,
    references_of_instruction,
)
from tallystick.matching.keeping import give_up, give_up_sharing, keep, match_of
from tallystick.matching.records import Confidence, Draft, Item, ItemKind, Match, MatchState, Rule
from tallystick.statements import Statement, StatementEntry
from tallystick.tokens import Instruction

__all__ = ["take_in_holds", "take_in_movements", "take_in_statement", "waiting_statements"]

_ENTRIES_AT_ONCE: Final = 5_000
#: Figures are looked at again that were told so short before the last one: an id is given before its commit.
_HOLDS_OVERLAP_SECONDS: Final = 3_600
#: What the log moves in one transaction while a decision on this class waits.
MOVEMENTS_AT_ONCE: Final = 20_000


def waiting_statements(connection: Connection, issuer_id: str, class_id: str) -> list[Statement]:
    """Return the end-of-day statements that are whole and were not taken in yet, in the order of their days."""
    every = statements.statements_in_order(connection, issuer_id, class_id)
    taken_in = store.read_taken_in(connection, issuer_id, [one.id for one in every])
    return [one for one in every if one.id not in taken_in]


def take_in_statement(connection: Connection, of: Statement, at: datetime) -> None:
    """Tie a statement's credits to the deposits that they became, and keep every other booked entry as an item."""
    assert of.completed_at is not None, "only what is whole is taken in"
    parted = {one.statement_entry_id for one in statements.links_of_parts(connection, of.issuer_id, of.id)}
    entries_in_parts: list[StatementEntry] = []
    after = 0
    while page := statements.entries(connection, of.issuer_id, of.id, after=after, limit=_ENTRIES_AT_ONCE):
        after = page[-1].entry_number
        booked = [entry for entry in page if entry.booked and entry.amount_minor]
        entries_in_parts += [entry for entry in booked if entry.id in parted]
        _take_in_entries(connection, of, [entry for entry in booked if entry.id not in parted], at)
    _take_in_parts(connection, of, entries_in_parts, at)
    store.add_taken_in(connection, of.issuer_id, of.id, at)


def _take_in_entries(
    connection: Connection, of: Statement, entries: Sequence[StatementEntry], at: datetime
) -> None:
    settled = tokens.settled_deposits(
        connection, of.issuer_id, [entry.deposit_id for entry in entries if entry.deposit_id]
    )
    known = _free_for_evidence(connection, of.issuer_id, list(settled), at)
    ties, items = [], []
    for entry in entries:
        event_index, amount_minor = settled.get(entry.deposit_id or "", (None, None))
        free = known.get(entry.deposit_id or "", True)
        if entry.deposit_id is None or amount_minor != entry.signed_minor or not free:
            items.append((item_of_entry(of, entry, of.completed_at or at), references_of_entry(entry)))
            continue
        ties.append(_evidence(of, entry, entry.deposit_id, event_index, at))
    store.add_matches(connection, ties)
    if known:
        store.tie_items(
            connection,
            of.issuer_id,
            [(one.book_item_ids[0], one.id) for one in ties if one.book_item_ids[0] in known],
        )
    _add(connection, of.issuer_id, of.token_class_id, items, at)


def _evidence(
    of: Statement, entry: StatementEntry, deposit_id: str, event_index: int | None, at: datetime
) -> Match:
    # A match wears the suffix of the deposit: it can be tied to one credit only, whatever the code does.
    return Match(
        issuer_id=of.issuer_id,
        id=with_prefix("match", deposit_id),
        token_class_id=of.token_class_id,
        kind=ItemKind.DEPOSIT.value,
        rule=Rule.EVIDENCE.value,
        confidence=Confidence.EXACT.value,
        state=MatchState.ACCEPTED.value,
        bank_item_ids=[entry.id],
        book_item_ids=[deposit_id],
        bank_minor=entry.signed_minor,
        difference_minor=0,
        statement_id=of.id,
        event_index=event_index,
        compared=None,
        made_by=None,
        made_at=at,
    )


def _free_for_evidence(
    connection: Connection, issuer_id: str, deposit_ids: Sequence[str], at: datetime
) -> dict[str, bool]:
    """Return, of the deposits that are items already, which ones evidence may tie: not what people tied otherwise."""
    found = store.read_items(connection, issuer_id, deposit_ids)
    matches = {
        one.id: one
        for one in store.read_matches_by_id(
            connection, issuer_id, [item.match_id for item in found.values() if item.match_id]
        )
    }
    own = [one for one in matches.values() if one.stands_by_itself]
    give_up(connection, own, at, "The deposit names its entry.")
    given_up = {one.id for one in own}
    return {
        deposit_id: item.match_id is None or item.match_id in given_up for deposit_id, item in found.items()
    }


def _add(
    connection: Connection,
    issuer_id: str,
    class_id: str,
    items: Sequence[tuple[Item, set[str]]],
    at: datetime,
) -> None:
    if items:
        store.add_items(connection, issuer_id, items, class_id)
        give_up_sharing(connection, issuer_id, class_id, [one.id for one, _ in items if not one.match_id], at)


def _take_in_parts(
    connection: Connection, of: Statement, entries: Sequence[StatementEntry], at: datetime
) -> None:
    """Tie entries that stand for several deposits, and those that share one."""
    if not entries:
        return
    items = {entry.id: item_of_entry(of, entry, of.completed_at or at) for entry in entries}
    links = [
        one
        for one in statements.links_of_parts(connection, of.issuer_id, of.id)
        if one.statement_entry_id in items
    ]
    deposit_ids = sorted({one.deposit_id for one in links})
    deposits = tokens.instructions_by_id(connection, of.issuer_id, deposit_ids)
    known = _free_for_evidence(connection, of.issuer_id, deposit_ids, at)
    _add(
        connection,
        of.issuer_id,
        of.token_class_id,
        [(items[entry.id], references_of_entry(entry)) for entry in entries],
        at,
    )
    missing = [
        deposit
        for deposit in deposits.values()
        if deposit.id not in known and deposit.event_index is not None
    ]
    _add_instructions(
        connection,
        of.issuer_id,
        of.token_class_id,
        [(deposit, deposit.amount_minor, deposit.event_index or 0) for deposit in missing],
        at,
    )
    books = store.read_items(connection, of.issuer_id, deposit_ids)
    drafts = [
        Draft(Rule.EVIDENCE, Confidence.EXACT, tuple(bank), tuple(own), {"parts": len(bank) + len(own) - 1})
        for bank, own in _groups([(items[one.statement_entry_id], one.deposit_id) for one in links], books)
    ]
    keep(
        connection,
        [
            match_of(of.issuer_id, of.token_class_id, draft, MatchState.ACCEPTED, at)
            for draft in drafts
            if draft.difference_minor == 0 and all(one.match_id is None for one in draft.books)
        ],
    )


def _groups(links: Sequence[tuple[Item, str]], books: dict[str, Item]) -> list[tuple[list[Item], list[Item]]]:
    """Return entries and deposits that hang together: one of either side, and several of the other."""
    by_entry: defaultdict[str, list[str]] = defaultdict(list)
    by_deposit: defaultdict[str, list[Item]] = defaultdict(list)
    entries = {entry.id: entry for entry, _ in links}
    for entry, deposit_id in links:
        by_entry[entry.id].append(deposit_id)
        by_deposit[deposit_id].append(entry)
    groups = []
    for entry_id, deposit_ids in by_entry.items():
        if len(deposit_ids) > 1 and all(one in books for one in deposit_ids):
            groups.append(([entries[entry_id]], [books[one] for one in deposit_ids]))
    for deposit_id, of_deposit in by_deposit.items():
        if len(of_deposit) > 1 and deposit_id in books:
            groups.append((of_deposit, [books[deposit_id]]))
    return groups


def take_in_movements(
    connection: Connection, issuer_id: str, class_id: str, next_index: int, last_index: int, at: datetime
) -> int:
    """Keep what the log moved on the control account as items, unless a credit is tied to it; return where to go on.

    No more than `MOVEMENTS_AT_ONCE` at once.
    """
    control_id = ledger_account_id(Code.DEPOSITS_AT_CORE, class_id)
    count = 0
    for page in ledger.stream_movements(connection, issuer_id, control_id, next_index, last_index):
        tied = store.read_tied_indexes(connection, issuer_id, class_id, page[0][0], page[-1][0])
        _take_in_lines(connection, issuer_id, class_id, [one for one in page if one[0] not in tied], at)
        count += len(page)
        if count >= MOVEMENTS_AT_ONCE:
            next_index = page[-1][0] + 1
            break
    else:
        next_index = last_index + 1
    store.move_progress(connection, issuer_id, class_id, next_event_index=next_index)
    return next_index


def _take_in_lines(
    connection: Connection,
    issuer_id: str,
    class_id: str,
    lines: Sequence[tuple[int, int, date]],
    at: datetime,
) -> None:
    if not lines:
        return
    subjects = events.subjects_at(connection, issuer_id, [index for index, _, _ in lines])
    instructions = tokens.instructions_by_id(connection, issuer_id, list(subjects.values()))
    known = store.read_items(connection, issuer_id, list(subjects.values()))
    waiting = store.read_open_by_reference(
        connection, issuer_id, class_id, [deposit_reference(one) for one in subjects.values()]
    )
    fresh: list[tuple[Instruction, int, int]] = []
    for index, amount_minor, _ in lines:
        instruction = instructions.get(subjects.get(index, ""))
        # A movement without an instruction is reconciliation's to find: there is nothing to match it by.
        if instruction is None or amount_minor == 0:
            continue
        if instruction.id in known:
            if known[instruction.id].event_index is None:
                store.set_booked(connection, issuer_id, instruction.id, index)
            continue
        entry = waiting.get(deposit_reference(instruction.id))
        if entry is not None and _tie_late(connection, issuer_id, entry, instruction, index, at):
            continue
        fresh.append((instruction, amount_minor, index))
    _add_instructions(connection, issuer_id, class_id, fresh, at)


def _tie_late(
    connection: Connection, issuer_id: str, entry: Item, deposit: Instruction, event_index: int, at: datetime
) -> bool:
    """Tie a credit whose deposit waited for a person to it; say if that could be done."""
    if entry.amount_minor != deposit.amount_minor:
        return False
    # Nobody but a person keeps the entry from the deposit that names it.
    if not _free_for_evidence(connection, issuer_id, [entry.id], at).get(entry.id, False):
        return False
    of = statements.statement(connection, issuer_id, entry.id.rpartition(".")[0])
    [told] = statements.entries(
        connection, issuer_id, of.id, after=int(entry.id.rpartition(".")[2]) - 1, limit=1
    )
    match = _evidence(of, told, deposit.id, event_index, at)
    store.add_matches(connection, [match])
    store.tie_items(connection, issuer_id, [(entry.id, match.id)])
    return True


def _add_instructions(
    connection: Connection,
    issuer_id: str,
    class_id: str,
    moved: Sequence[tuple[Instruction, int, int]],
    at: datetime,
) -> None:
    account_ids = {
        one for of, _, _ in moved for one in (of.payee_account_id, of.payer_account_id) if one is not None
    }
    accounts = participants.deposit_accounts(connection, issuer_id, sorted(account_ids))
    _add(
        connection,
        issuer_id,
        class_id,
        [
            (
                # A change names no class, also where it posts an entry.
                item_of_instruction(of, amount_minor, index, accounts)._replace(token_class_id=class_id),
                references_of_instruction(of),
            )
            for of, amount_minor, index in moved
        ],
        at,
    )


def take_in_holds(
    connection: Connection, issuer_id: str, class_id: str, last_hold_id: str | None, at: datetime
) -> None:
    """Keep by how much each pushed hold changed as an item; a figure that comes late changes the one behind it."""
    after = "" if last_hold_id is None else id_made_before(last_hold_id, _HOLDS_OVERLAP_SECONDS)
    newest = last_hold_id
    while page := statements.holds(connection, issuer_id, class_id, after=after):
        known = store.read_items(connection, issuer_id, [one.id for one in page])
        account_ids = sorted({one.account_id or "" for one in page if one.id not in known})
        numbers = participants.deposit_accounts(connection, issuer_id, account_ids)
        for account_id in account_ids:
            _take_in_account(connection, issuer_id, class_id, account_id, numbers.get(account_id), at)
        after = page[-1].id
        newest = max(newest or "", after)
    if newest is not None and newest != last_hold_id:
        store.move_progress(connection, issuer_id, class_id, last_hold_id=newest)


def _take_in_account(
    connection: Connection, issuer_id: str, class_id: str, account_id: str, number: str | None, at: datetime
) -> None:
    figures = statements.holds_of_account(connection, issuer_id, class_id, account_id)
    known = store.read_items(connection, issuer_id, [one.id for one in figures])
    fresh = []
    held_minor = 0
    for figure in figures:
        item = item_of_hold(figure, figure.amount_minor - held_minor, number)
        held_minor = figure.amount_minor
        before = known.get(figure.id)
        if before is None:
            fresh.append((item, {f"e2e:{figure.source_reference}"}))
        elif before.amount_minor != item.amount_minor:
            if before.match_id is not None:
                [match] = store.read_matches_by_id(connection, issuer_id, [before.match_id])
                give_up(
                    connection, [match], at, "A figure came late, and this hold changed by another amount."
                )
            store.set_amount(connection, issuer_id, figure.id, item.amount_minor)
    _add(connection, issuer_id, class_id, fresh, at)
