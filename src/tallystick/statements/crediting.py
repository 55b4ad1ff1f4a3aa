"""From an imported statement's credits to deposits: each is confirmed to an account, or waits for a person.

A credit waits when nothing or too much tells whose it is, when its account can't be credited, when it looks like one
that was imported before, and when its statement contradicts itself. A report's or notification's credit that isn't
confirmed waits for no person: the statement tells of it again.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import islice
from typing import Final, NamedTuple

from sqlalchemy import Connection

from tallystick import ledger, participants, tokens
from tallystick.core.errors import InvariantError
from tallystick.core.money import format_amount
from tallystick.core.pipeline import pipelined
from tallystick.ledger import Code, ledger_account_id
from tallystick.participants import Principal
from tallystick.statements import store
from tallystick.statements.drafts import NO_REFERENCE, Place, StatementDraft, is_deposit
from tallystick.statements.matching import AccountIndex, Match, match, payers_of, words_of
from tallystick.statements.notified import confirmable_before_statement
from tallystick.statements.parsed import ParsedEntry
from tallystick.statements.returned_payouts import leave_returns_out, tells_of_return
from tallystick.tokens import Kind, Request, Settler, Submission

__all__ = ["find_accounts", "settle_credits"]

#: What a deposit's key is made under, whoever imports: one entry of a statement is one deposit for ever.
_OPERATION: Final = "statement_entry"
_REFERENCE_LENGTH_MAX: Final = 140
_ENTRIES_AT_ONCE: Final = 1_000
#: How far back an entry is looked for that the bank may have told before, in a statement of another name.
_SEEN_BEFORE: Final = timedelta(days=45)


class Booking(NamedTuple):
    """By what a credit is recognised that the bank tells of once more: its own reference, amount and day."""

    token_class_id: str
    bank_reference: str
    amount_minor: int
    day: date | None


def find_accounts(connection: Connection, drafts: Sequence[StatementDraft]) -> None:
    """Match the credits that may be confirmed, and note why others may not."""
    seen: set[Booking] = set()
    for draft in drafts:
        leave_returns_out(connection, draft)
        if draft.waits:
            continue
        credit_entries = [one for one in draft.credits if draft.rows[one.sequence].matched_by is None]
        if draft.statement.intraday:
            credit_entries = confirmable_before_statement(connection, draft, credit_entries)
            _match_entries(draft, credit_entries, _account_index(connection, draft, credit_entries), None)
        else:
            seen |= _seen_before(connection, draft, credit_entries)
            _match_entries(draft, credit_entries, _account_index(connection, draft, credit_entries), seen)


def _match_entries(
    draft: StatementDraft, entries: Sequence[ParsedEntry], index: AccountIndex, seen: set[Booking] | None
) -> None:
    for entry in entries:
        if tells_of_return(entry):
            draft.note(
                "return_of_unknown_payment", entry, "Gives a payment back that is no payout; it waits."
            )
            continue
        booking = None if seen is None else _booking(draft, entry)
        if seen is not None and booking is not None:
            if booking in seen:
                draft.note("entry_seen_before", entry, "Looks like one that was imported; it waits.")
                continue
            seen.add(booking)
        found = match(entry, index)
        if found is not None and found.ambiguous:
            draft.note("account_ambiguous", entry, "Points to more than one account, or only in part.")
        elif found is not None:
            draft.matches[entry.sequence] = found


def _account_index(
    connection: Connection, draft: StatementDraft, entries: Sequence[ParsedEntry]
) -> AccountIndex:
    """Read the accounts that these entries could be for, with a bounded number of clues to a query."""
    index = AccountIndex()
    left = iter(entries)
    while batch := list(islice(left, _ENTRIES_AT_ONCE)):
        payers = sorted(set().union(*map(payers_of, batch)))
        words = sorted(set().union(*map(words_of, batch)))
        index.add(
            participants.accounts_by_deposit(
                connection, draft.statement.issuer_id, draft.of_class.id, payers, words
            )
        )
    return index


def _seen_before(
    connection: Connection, draft: StatementDraft, entries: Sequence[ParsedEntry]
) -> set[Booking]:
    """Return the bookings among these that a statement of the class told of, within bounded time."""
    bookings = {booking for entry in entries if (booking := _booking(draft, entry)) is not None}
    first_day = min((booking.day for booking in bookings if booking.day is not None), default=date.min)
    if not bookings:
        return set()
    class_id = draft.of_class.id
    known = store.read_booked_since(
        connection,
        draft.statement.issuer_id,
        class_id,
        first_day - min(_SEEN_BEFORE, first_day - date.min),
        sorted({booking.bank_reference for booking in bookings}),
        draft.statement.id,
    )
    return {Booking(class_id, *one) for one in known}


def _booking(draft: StatementDraft, entry: ParsedEntry) -> Booking | None:
    row = draft.rows[entry.sequence]
    if row.bank_reference is None or row.bank_reference in NO_REFERENCE:
        return None
    return Booking(draft.of_class.id, row.bank_reference, row.amount_minor, row.booking_date)


def settle_credits(
    connection: Connection, settler: Settler, importer: Principal, drafts: Sequence[StatementDraft]
) -> None:
    """Confirm what was matched, record the rest as unassigned, and write into the rows what became of each.

    Entries whose row names a deposit already are left as they are, and so is what a report or notification tells
    without a match. Many are settled in several batches. All their accounts are locked before the first one, since
    the write path takes the log's head last.
    """
    _lock_accounts(connection, importer.issuer_id, drafts)
    places = (
        (draft, entry)
        for draft in drafts
        for entry in draft.entries
        if is_deposit(entry)
        and draft.rows[entry.sequence].deposit_id is None
        and draft.rows[entry.sequence].matched_by is None
    )
    while batch := list(islice(places, _ENTRIES_AT_ONCE)):
        waiting = [place for place in batch if _match_of(place) is None]
        waiting += _submit(
            connection, settler, importer, [one for one in batch if _match_of(one) is not None]
        )
        of_days = [place for place in waiting if not place[0].statement.intraday]
        if _submit(connection, settler, importer, of_days):
            raise InvariantError("a deposit without an account was refused")


def _lock_accounts(connection: Connection, issuer_id: str, drafts: Sequence[StatementDraft]) -> None:
    account_ids = {found.account_id for draft in drafts for found in draft.matches.values()}
    with pipelined(connection) as pipeline:
        ledger.lock(
            pipeline,
            issuer_id,
            {ledger_account_id(Code.DEPOSITS_AVAILABLE, account_id or "") for account_id in account_ids},
        )


def _match_of(place: Place) -> Match | None:
    draft, entry = place
    return draft.matches.get(entry.sequence)


def _submit(
    connection: Connection, settler: Settler, importer: Principal, places: Sequence[Place]
) -> list[Place]:
    """Settle the deposits of some entries, name them in their rows, and return the entries that were refused."""
    if not places:
        return []
    submissions = [Submission((_request(importer, draft, entry),)) for draft, entry in places]
    settled = tokens.settle(connection, settler, importer.issuer_id, submissions)
    refused = []
    for place, submitted in zip(places, settled, strict=True):
        draft, entry = place
        outcome = submitted.outcomes[0]
        if outcome.refusal is None:
            found = _match_of(place)
            draft.rows[entry.sequence] = draft.rows[entry.sequence]._replace(
                deposit_id=outcome.resource_id,
                matched_by=None if found is None or found.matched_by is None else found.matched_by.value,
            )
            continue
        draft.matches.pop(entry.sequence, None)
        draft.note(
            "deposit_refused", entry, f"The account can't be credited ({outcome.refusal.code}); it waits."
        )
        refused.append(place)
    return refused


def _request(importer: Principal, draft: StatementDraft, entry: ParsedEntry) -> Request:
    row = draft.rows[entry.sequence]
    of_class, statement = draft.of_class, draft.statement
    found = draft.matches.get(entry.sequence)
    amount = format_amount(row.amount_minor, of_class.scale)
    place = [statement.bank_account, statement.message_type, statement.bank_statement_id, str(entry.sequence)]
    reference = row.end_to_end_id if row.end_to_end_id not in NO_REFERENCE else None
    return Request(
        id=tokens.new_instruction_id(Kind.DEPOSIT),
        kind=Kind.DEPOSIT,
        principal=importer,
        key_digest=tokens.key_digest(statement.issuer_id, _OPERATION, "\0".join(place)),
        request_hash=tokens.request_hash(
            _OPERATION, {"entry": place, "amount": amount, "currency": of_class.currency}
        ),
        amount=amount,
        currency=of_class.currency,
        payee_account_id=None if found is None else found.account_id,
        token_class_id=of_class.id,
        related_id=row.id,
        reference=(reference or row.remittance or "")[:_REFERENCE_LENGTH_MAX] or None,
        value_date=row.value_date or row.booking_date,
        evidence=True,
    )
