"""From an imported statement's credits to deposits: each is confirmed to an account, or waits for a person.

A credit waits when nothing or too much tells whose it is, when its account can't be credited, when it looks like one
that was imported before, and when its statement contradicts itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import Connection

from tallystick import ledger, participants, tokens
from tallystick.core.errors import InvariantError
from tallystick.core.money import format_amount
from tallystick.core.pipeline import pipelined
from tallystick.ledger import Code, ledger_account_id
from tallystick.participants import Principal, TokenClass
from tallystick.statements import store
from tallystick.statements.findings import Finding
from tallystick.statements.matching import AccountIndex, Match, match, payers_of, words_of
from tallystick.statements.parsed import ParsedEntry, ParsedStatement
from tallystick.statements.records import Statement, StatementEntry
from tallystick.tokens import Kind, Request, Settler, Submission

__all__ = ["Place", "StatementDraft", "find_accounts", "settle_credits"]

#: What a deposit's key is made under, whoever imports: one entry of a statement is one deposit for ever.
_OPERATION: Final = "statement_entry"
_REFERENCE_LENGTH_MAX: Final = 140
_ENTRIES_AT_ONCE: Final = 1_000
#: How far back an entry is looked for that the bank may have told before, in a statement of another name.
_SEEN_BEFORE: Final = timedelta(days=45)
#: What banks and payers write where they have no reference.
_NO_REFERENCE: Final = frozenset({"NONREF", "NOTPROVIDED"})


class Booking(NamedTuple):
    """By what a credit is recognised that the bank tells of once more: its own reference, amount and day."""

    token_class_id: str
    bank_reference: str
    amount_minor: int
    day: date | None


@dataclass(slots=True)
class StatementDraft:
    """One new statement on its way in: what was read of it and what is found out about it.

    `rows` are numbered like the parsed entries; `matches` are by entry number.
    """

    statement: Statement
    of_class: TokenClass
    parsed: ParsedStatement
    rows: list[StatementEntry]
    findings: list[Finding]
    matches: dict[int, Match] = field(default_factory=dict)


#: An entry and the statement that it is in.
Place: TypeAlias = tuple[StatementDraft, ParsedEntry]


def find_accounts(connection: Connection, drafts: Sequence[StatementDraft]) -> None:
    """Match the credits that may be confirmed, and note why others may not."""
    seen: set[Booking] = set()
    for draft in drafts:
        errors = sorted({one.code for one in draft.parsed.findings if one.severity == "error"})
        if errors:
            draft.findings.append(
                Finding(
                    "deposits_not_confirmed",
                    "warning",
                    "statement",
                    f"The statement contradicts itself ({', '.join(errors)}): its credits wait for assignment.",
                )
            )
            continue
        credit_entries = [entry for entry in draft.parsed.entries if _is_deposit(entry)]
        seen |= _seen_before(connection, draft, credit_entries)
        _match_entries(draft, credit_entries, _account_index(connection, draft, credit_entries), seen)


def _match_entries(
    draft: StatementDraft, entries: Sequence[ParsedEntry], index: AccountIndex, seen: set[Booking]
) -> None:
    for entry in entries:
        booking = _booking(draft, entry)
        if booking in seen:
            draft.findings.append(
                _entry_finding("entry_seen_before", entry, "Looks like one that was imported; it waits.")
            )
            continue
        if booking is not None:
            seen.add(booking)
        found = match(entry, index)
        if found is not None and found.ambiguous:
            draft.findings.append(
                _entry_finding(
                    "account_ambiguous", entry, "Points to more than one account, or only in part."
                )
            )
        elif found is not None:
            draft.matches[entry.sequence] = found


def _is_deposit(entry: ParsedEntry) -> bool:
    return entry.booked and entry.credit and not entry.reversal and entry.amount_minor > 0


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
    """Return the bookings among these that another statement of the class told of, within bounded time."""
    bookings = {booking for entry in entries if (booking := _booking(draft, entry)) is not None}
    first_day = min((booking.day for booking in bookings if booking.day is not None), default=None)
    if first_day is None:
        return set()
    issuer_id, class_id = draft.statement.issuer_id, draft.of_class.id
    known = store.read_booked_since(
        connection,
        issuer_id,
        class_id,
        first_day - min(_SEEN_BEFORE, first_day - date.min),
        sorted({booking.bank_reference for booking in bookings}),
    )
    return {Booking(class_id, *one) for one in known}


def _booking(draft: StatementDraft, entry: ParsedEntry) -> Booking | None:
    row = draft.rows[entry.sequence - 1]
    if row.bank_reference is None or row.bank_reference in _NO_REFERENCE:
        return None
    return Booking(draft.of_class.id, row.bank_reference, row.amount_minor, row.booking_date)


def settle_credits(
    connection: Connection, settler: Settler, importer: Principal, drafts: Sequence[StatementDraft]
) -> None:
    """Confirm what was matched, record the rest as unassigned, and write into the rows what became of each.

    Entries whose row names a deposit already are left as they are. Many are settled in several batches, so that
    memory is bounded. All their accounts are locked before the first one, since the write path takes the log's head
    last.
    """
    _lock_accounts(connection, importer.issuer_id, drafts)
    places = (
        (draft, entry)
        for draft in drafts
        for entry in draft.parsed.entries
        if _is_deposit(entry) and draft.rows[entry.sequence - 1].deposit_id is None
    )
    while batch := list(islice(places, _ENTRIES_AT_ONCE)):
        waiting = [place for place in batch if _match_of(place) is None]
        waiting += _submit(
            connection, settler, importer, [one for one in batch if _match_of(one) is not None]
        )
        if _submit(connection, settler, importer, waiting):
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
            draft.rows[entry.sequence - 1] = draft.rows[entry.sequence - 1]._replace(
                deposit_id=outcome.resource_id,
                matched_by=None if found is None or found.matched_by is None else found.matched_by.value,
            )
            continue
        draft.matches.pop(entry.sequence, None)
        draft.findings.append(
            _entry_finding(
                "deposit_refused",
                entry,
                f"The account can't be credited ({outcome.refusal.code}); it waits.",
            )
        )
        refused.append(place)
    return refused


def _request(importer: Principal, draft: StatementDraft, entry: ParsedEntry) -> Request:
    row = draft.rows[entry.sequence - 1]
    of_class, statement = draft.of_class, draft.statement
    found = draft.matches.get(entry.sequence)
    amount = format_amount(row.amount_minor, of_class.scale)
    place = [statement.bank_account, statement.message_type, statement.bank_statement_id, str(entry.sequence)]
    reference = row.end_to_end_id if row.end_to_end_id not in _NO_REFERENCE else None
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


def _entry_finding(code: str, entry: ParsedEntry, message: str) -> Finding:
    return Finding(code, "warning", f"Ntry[{entry.sequence}]", message)
