"""Credits that a bank tells of before the day is over, in a report or notification, and once more in its statement.

Each is confirmed once. From a report or notification only what no one can doubt is confirmed: the bank has given it a
reference, it points to one account, and no statement of its day is in yet. Anything else is only recorded, since the
statement is sure to come. The statement's entry is then linked to the deposit, by the bank's references or else by
account, amount and day; what shares a reference and yet differs waits for a person.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import chain
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick.statements import notified_store, store
from tallystick.statements.drafts import NO_REFERENCE, Place, StatementDraft, day_of
from tallystick.statements.matching import MatchedBy
from tallystick.statements.notified_store import NotifiedDeposit
from tallystick.statements.parsed import ParsedEntry

__all__ = ["bounded", "confirmable_before_statement", "link_notified", "record_notified", "references_of"]

#: References but the UETR come again some day; so far apart they are not of one payment.
_REFERENCE_APART_MAX: Final = timedelta(days=10)
#: Without a common reference, account and amount tell two credits apart only by their day.
_CLUE_APART_MAX: Final = timedelta(days=3)
_REFERENCE_LENGTH_MAX: Final = 140
_UETR: Final = "uetr:"


def references_of(entry: ParsedEntry) -> frozenset[str]:
    """Return by what a bank's two tellings of one credit know each other.

    The UETRs of its transactions, the bank's own references (AcctSvcrRef) of it and of them, and its entry reference
    (NtryRef), which many banks count anew each day and which therefore counts with its day and amount only.
    """
    found = {f"{_UETR}{detail.uetr.lower()}" for detail in entry.details if detail.uetr}
    servicer = (entry.account_servicer_reference, *(one.account_servicer_reference for one in entry.details))
    found |= {f"bank:{one}" for one in servicer if one is not None and one not in NO_REFERENCE}
    if entry.entry_reference and entry.entry_reference not in NO_REFERENCE and entry.booking_date:
        found.add(f"entry:{entry.booking_date}:{entry.amount_minor}:{entry.entry_reference}")
    return frozenset(map(bounded, found))


def bounded(reference: str) -> str:
    """Return a reference short enough for an index; a longer one by its hash."""
    if len(reference) <= _REFERENCE_LENGTH_MAX:
        return reference
    return f"sha256:{hashlib.sha256(reference.encode()).hexdigest()}"


def confirmable_before_statement(
    connection: Connection, draft: StatementDraft, entries: Sequence[ParsedEntry]
) -> list[ParsedEntry]:
    """Return those of a report's or notification's credits that may be confirmed; note why others may not.

    One that repeats what was confirmed from an earlier one is linked to its deposit.
    """
    last_day = store.read_last_day(
        connection, draft.statement.issuer_id, draft.of_class.id, draft.statement.id
    )
    known = _known(connection, [draft], entries)
    told: set[str] = set()
    confirmable = []
    for entry in entries:
        references, day = references_of(entry), day_of(draft, entry)
        sharing = _sharing(known[draft.of_class.id], references, day)
        if len(sharing) == 1 and sharing[0].amount_minor == draft.rows[entry.sequence].amount_minor:
            draft.link(entry, sharing[0].deposit_id, MatchedBy.TOLD_BEFORE.value)
        elif sharing or references & told:
            draft.note("credit_told_otherwise", entry, "Shares a reference with another; not confirmed.")
        elif day is None or (last_day is not None and day <= last_day):
            draft.note("credit_behind_statement", entry, "The statement of its day is in; not confirmed.")
        elif not references:
            draft.note("credit_not_identified", entry, "Has no reference; its statement will confirm it.")
        else:
            told |= references
            confirmable.append(entry)
    return confirmable


def record_notified(connection: Connection, issuer_id: str, drafts: Sequence[StatementDraft]) -> None:
    """Keep by what the credits that reports and notifications have just confirmed will be known again."""
    deposits, references = [], []
    for draft in drafts:
        for entry in draft.entries if draft.statement.intraday else ():
            row, found = draft.rows[entry.sequence], draft.matches.get(entry.sequence)
            day = day_of(draft, entry)
            if row.deposit_id is None or found is None or found.account_id is None or day is None:
                continue
            deposits.append(
                NotifiedDeposit(
                    row.deposit_id, draft.of_class.id, found.account_id, row.amount_minor, day, row.uetr
                )
            )
            references += [(draft.of_class.id, one, row.deposit_id) for one in sorted(references_of(entry))]
    notified_store.add_notified(connection, issuer_id, deposits, references)


def link_notified(connection: Connection, issuer_id: str, drafts: Sequence[StatementDraft]) -> None:
    """Link the credits of statements to the deposits that reports and notifications had become.

    By reference first, so that none is taken by another credit of the same amount. Has to run behind the locks of the
    classes' control accounts: whoever links or confirms holds them.
    """
    of_days = [draft for draft in drafts if not draft.statement.intraday]
    taken: set[str] = set()
    _link_by_reference(connection, issuer_id, of_days, taken)
    _link_by_clue(connection, issuer_id, of_days, taken)


def _link_by_reference(
    connection: Connection, issuer_id: str, drafts: Sequence[StatementDraft], taken: set[str]
) -> None:
    known = _known(connection, drafts, chain.from_iterable(draft.credits for draft in drafts))
    every = chain.from_iterable(of_class.values() for of_class in known.values())
    linked = _linked(connection, issuer_id, chain.from_iterable(every))
    shared = [
        ((draft, entry), sharing)
        for draft in drafts
        for entry in draft.credits
        if (sharing := _sharing(known[draft.of_class.id], references_of(entry), day_of(draft, entry)))
    ]
    booked_in_parts = _booked_in_parts(shared)
    for (draft, entry), sharing in shared:
        [first, *more] = sharing
        free = not {one.deposit_id for one in sharing} & (taken | linked.ids)
        amount_minor = draft.rows[entry.sequence].amount_minor
        if free and not more and first.amount_minor == amount_minor:
            taken.add(first.deposit_id)
            draft.link(entry, first.deposit_id, linked.matched_by(first.deposit_id))
        elif free and more and sum(one.amount_minor for one in sharing) == amount_minor:
            taken |= {one.deposit_id for one in sharing}
            draft.link_parts(entry, [one.deposit_id for one in sharing])
        elif not more and first.deposit_id in booked_in_parts and first.deposit_id not in linked.ids:
            taken.add(first.deposit_id)
            draft.link_parts(entry, [first.deposit_id])
        else:
            draft.matches.pop(entry.sequence, None)
            draft.note(
                "credit_told_otherwise",
                entry,
                "A report or notification told of it otherwise, or of parts of it; it waits.",
            )


def _booked_in_parts(shared: Sequence[tuple[Place, Sequence[NotifiedDeposit]]]) -> set[str]:
    """Return the deposits that were notified as one, and that several of these credits come to and nothing else."""
    parts: defaultdict[str, list[int]] = defaultdict(list)
    amounts: dict[str, int] = {}
    for (draft, entry), sharing in shared:
        for one in sharing:
            amounts[one.deposit_id] = one.amount_minor
            # Whoever shares another deposit too is no part of this one alone.
            parts[one.deposit_id].append(draft.rows[entry.sequence].amount_minor if len(sharing) == 1 else 0)
    return {
        deposit_id
        for deposit_id, of_parts in parts.items()
        if len(of_parts) > 1 and 0 not in of_parts and sum(of_parts) == amounts[deposit_id]
    }


def _link_by_clue(
    connection: Connection, issuer_id: str, drafts: Sequence[StatementDraft], taken: set[str]
) -> None:
    """Link credits whose references the bank changed: to one account, of one amount, booked within days."""
    places = [
        (draft, entry) for draft in drafts for entry in draft.credits if entry.sequence in draft.matches
    ]
    waiting, linked = _waiting(connection, issuer_id, places, taken)
    for draft, entry in places if waiting else ():
        of_clue = waiting.get(_clue(draft, entry), [])
        deposit = next((one for one in of_clue if _may_be(draft, entry, one)), None)
        if deposit is not None:
            of_clue.remove(deposit)
            draft.link(entry, deposit.deposit_id, linked.matched_by(deposit.deposit_id))


def _clue(draft: StatementDraft, entry: ParsedEntry) -> tuple[str, str, int]:
    account_id = draft.matches[entry.sequence].account_id or ""
    return draft.of_class.id, account_id, draft.rows[entry.sequence].amount_minor


def _waiting(
    connection: Connection, issuer_id: str, places: Sequence[Place], taken: set[str]
) -> tuple[dict[tuple[str, str, int], list[NotifiedDeposit]], "_Linked"]:
    """Return the notified deposits that no statement has told of yet, by class, account and amount, oldest first."""
    days = [day for place in places if (day := day_of(*place)) is not None]
    found: list[NotifiedDeposit] = []
    for class_id in sorted({draft.of_class.id for draft, _ in places}) if days else ():
        clues = sorted({_clue(*place)[1:] for place in places if place[0].of_class.id == class_id})
        first, last = min(days), max(days)
        found += notified_store.read_notified_by_account(
            connection,
            issuer_id,
            class_id,
            clues,
            first - min(_CLUE_APART_MAX, first - date.min),
            last + min(_CLUE_APART_MAX, date.max - last),
        )
    linked = _linked(connection, issuer_id, found)
    waiting: defaultdict[tuple[str, str, int], list[NotifiedDeposit]] = defaultdict(list)
    for one in found:
        if one.deposit_id not in taken | linked.ids:
            waiting[one.token_class_id, one.account_id or "", one.amount_minor].append(one)
    return waiting, linked


def _may_be(draft: StatementDraft, entry: ParsedEntry, deposit: NotifiedDeposit) -> bool:
    """Whether a credit can be the one that was notified: two UETRs are two payments."""
    day = day_of(draft, entry)
    if day is None or abs(deposit.booked_on - day) > _CLUE_APART_MAX:
        return False
    return deposit.uetr is None or not any(detail.uetr for detail in entry.details)


def _known(
    connection: Connection, drafts: Sequence[StatementDraft], entries: Iterable[ParsedEntry]
) -> defaultdict[str, dict[str, list[NotifiedDeposit]]]:
    """Return the notified deposits by class and by the references that these entries have too."""
    references = sorted(frozenset().union(*map(references_of, entries)))
    known: defaultdict[str, dict[str, list[NotifiedDeposit]]] = defaultdict(dict)
    of_classes = {draft.of_class.id: draft.statement.issuer_id for draft in drafts}
    for class_id, issuer_id in sorted(of_classes.items()) if references else ():
        for reference, deposit in notified_store.read_notified_by_reference(
            connection, issuer_id, class_id, references
        ):
            known[class_id].setdefault(reference, []).append(deposit)
    return known


def _sharing(
    known: dict[str, list[NotifiedDeposit]], references: Iterable[str], day: date | None
) -> list[NotifiedDeposit]:
    """Return the notified deposits that share a reference, each once."""
    found = {
        one.deposit_id: one
        for reference in references
        for one in known.get(reference, ())
        if reference.startswith(_UETR) or day is None or abs(one.booked_on - day) <= _REFERENCE_APART_MAX
    }
    return list(found.values())


class _Linked(NamedTuple):
    """Deposits that a statement has told of, and those that one did which was abandoned."""

    ids: set[str]
    of_abandoned: set[str]

    def matched_by(self, deposit_id: str) -> str:
        """Return what an entry that is linked to this deposit is matched by."""
        return (MatchedBy.RETOLD if deposit_id in self.of_abandoned else MatchedBy.NOTIFIED).value


def _linked(connection: Connection, issuer_id: str, deposits: Iterable[NotifiedDeposit]) -> _Linked:
    ids = sorted({one.deposit_id for one in deposits})
    if not ids:
        return _Linked(set(), set())
    return _Linked(
        notified_store.read_linked_ids(connection, issuer_id, ids),
        notified_store.read_links_of_abandoned(connection, issuer_id, ids),
    )
