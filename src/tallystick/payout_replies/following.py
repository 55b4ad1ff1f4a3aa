"""What the bank's statements bring about: a debit settles the payouts that it paid, and a credit gives one back.

The control account follows the statement, and nothing else: neither a status nor a notification settles anything. Which
debit paid what is matching's to say, by UETR, end-to-end id, the file's own reference, or a person. Everything is
looked at as it stands, whatever came first, and each step's key is made of its payout: run again, this does nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import matching, participants, payouts, statements, tokens
from tallystick.core.errors import InvariantError
from tallystick.core.ids import new_id
from tallystick.core.money import format_amount
from tallystick.matching import Match, MatchState, Side
from tallystick.payout_replies.expected import expected_debit, expected_return
from tallystick.payouts import Finding, FindingKind, Payout
from tallystick.statements import StatementEntry
from tallystick.tokens import Kind, Request, Settler, State, Submission

__all__ = ["Followed", "follow", "leave_to_people", "step_request", "submit"]

_PAGE: Final = 1_000
_REJECTED_LATELY: Final = timedelta(days=90)


@dataclass(slots=True)
class Followed:
    """What a look at the statements brought about."""

    settled_count: int = 0
    returned_count: int = 0
    finding_count: int = 0


@dataclass(slots=True)
class _Class:
    """One class being looked at, in the caller's transaction."""

    connection: Connection
    settler: Settler
    issuer_id: str
    class_id: str
    scale: int
    done: Followed = field(default_factory=Followed)


def follow(connection: Connection, settler: Settler, issuer_id: str, token_class_id: str) -> Followed:
    """Match a class and take every step that the bank's statements bear out; the caller commits.

    Takes matching's lock of the class first and the write path's behind it. Raises TokenClassNotFoundError.
    """
    of_class = participants.token_class(connection, issuer_id, token_class_id)
    of = _Class(connection, settler, issuer_id, token_class_id, of_class.scale)
    after = ""
    while ids := payouts.unsettled(connection, issuer_id, token_class_id, after=after, limit=_PAGE):
        after = ids[-1]
        _expect(of, ids)
    matching.match_class(connection, settler.clock, issuer_id, token_class_id)
    after = ""
    while ids := payouts.unsettled(connection, issuer_id, token_class_id, after=after, limit=_PAGE):
        after = ids[-1]
        _settle(of, ids)
    _give_back(of)
    if of.done.settled_count or of.done.returned_count:
        matching.match_class(connection, settler.clock, issuer_id, token_class_id)
    _name_rejected(of)
    _name_strays(of)
    return of.done


def step_request(
    settler: Settler,
    issuer_id: str,
    kind: Kind,
    payout_id: str,
    *,
    source_id: str,
    reason_code: str | None = None,
    reason: str | None = None,
    value_date: date | None = None,
    instruction_id: str | None = None,
) -> Request:
    """Return the request of a step that the bank took. Its key is made of the payout, so that it is taken once."""
    acting = tokens.system_principal(issuer_id, settler.clock.now())
    return Request(
        id=instruction_id or tokens.new_instruction_id(kind),
        kind=kind,
        principal=acting,
        key_digest=tokens.key_digest(acting.id, kind, payout_id),
        request_hash=tokens.request_hash(kind, {"payout_id": payout_id}),
        related_id=payout_id,
        reason=reason,
        value_date=value_date,
        source=acting.id,
        payload={"source_id": source_id, "reason_code": reason_code},
    )


def submit(
    connection: Connection, settler: Settler, issuer_id: str, requests: Sequence[Request]
) -> list[str | None]:
    """Settle steps in one go; return of each the code that it was refused with, or None."""
    settled = tokens.settle(connection, settler, issuer_id, [Submission((one,)) for one in requests])
    refusals = [one.outcomes[0].refusal for one in settled]
    return [None if one is None else one.code for one in refusals]


def leave_to_people(
    connection: Connection,
    settler: Settler,
    issuer_id: str,
    kind: FindingKind,
    *,
    source_id: str,
    payout_id: str | None,
    subject: str,
    detail: str,
) -> None:
    """Keep a contradiction for people: nothing is done about it."""
    found = Finding(
        issuer_id,
        new_id("payout_finding"),
        kind.value,
        source_id,
        subject,
        payout_id,
        detail,
        settler.clock.now(),
    )
    payouts.add_finding(connection, found)


def _expect(of: _Class, ids: Sequence[str]) -> None:
    """Let matching know of debits to come: by UETR, end-to-end id, and the file's own, where it is booked whole."""
    found = payouts.payouts(of.connection, of.issuer_id, ids)
    filed = payouts.filed(of.connection, of.issuer_id, ids)
    known = matching.items(of.connection, of.issuer_id, [one.settlement_id for one in filed.values()])
    days = {
        file_id: payouts.file(of.connection, of.issuer_id, file_id).made_at.date()
        for file_id in sorted({one.file_id for one in filed.values()})
    }
    fresh = [
        expected_debit(found[one.payout_id], one, days[one.file_id])
        for one in filed.values()
        if one.settlement_id not in known
    ]
    matching.expect(of.connection, of.settler.clock, of.issuer_id, of.class_id, fresh)


def _settle(of: _Class, ids: Sequence[str]) -> None:
    """Settle what a debit stands for by now. A whole file that was booked as one settles in one transaction."""
    filed = payouts.filed(of.connection, of.issuer_id, ids)
    items = matching.items(of.connection, of.issuer_id, [one.settlement_id for one in filed.values()])
    requests = []
    for one in filed.values():
        item = items.get(one.settlement_id)
        match = None if item is None or item.match_id is None else _standing(of, item.match_id)
        if match is None:
            continue
        if match.difference_minor:
            of.done.finding_count += 1
            _leave(
                of,
                FindingKind.AMOUNT_DIFFERS,
                match.bank_item_ids[0] if match.bank_item_ids else match.id,
                one.payout_id,
                "The debit that people matched with it differs from it.",
            )
            continue
        entries = statements.entries_by_id(of.connection, of.issuer_id, match.bank_item_ids)
        if not entries or any(entry.credit for entry in entries.values()):
            # Something else of the books cancels it: the bank has paid nothing.
            continue
        entry = entries[min(entries)]
        requests.append(
            step_request(
                of.settler,
                of.issuer_id,
                Kind.PAYOUT_SETTLEMENT,
                one.payout_id,
                source_id=entry.id,
                value_date=entry.value_date or entry.booking_date,
                instruction_id=one.settlement_id,
            )
        )
    refused = [code for code in submit(of.connection, of.settler, of.issuer_id, requests) if code is not None]
    if refused:
        raise InvariantError(f"a payout that the bank has paid was not settled: {refused[0]}")
    of.done.settled_count += len(requests)


def _standing(of: _Class, match_id: str) -> Match | None:
    match = matching.match(of.connection, of.issuer_id, match_id)
    return match if match.state == MatchState.ACCEPTED else None


def _give_back(of: _Class) -> None:
    """Take returns of paid payouts, and give the tokens back. One that comes before its payment waits for that."""
    entries = statements.payout_returns(of.connection, of.issuer_id, of.class_id)
    handled = payouts.moved_by(of.connection, of.issuer_id, [one.id for one in entries])
    for entry in entries:
        if entry.id in handled:
            continue
        payout = _named(of, entry)
        if payout is None:
            text = "It returns several payments at once, or is of another class."
            _leave(of, FindingKind.RETURN_WITHOUT_PAYMENT, entry.id, None, text)
            continue
        [row] = tokens.instructions_by_id(of.connection, of.issuer_id, [payout.id]).values()
        if row.state == State.ACCEPTED and payouts.filed(of.connection, of.issuer_id, [payout.id]):
            continue
        kind = _against(row.state, payout, entry)
        if kind is not None:
            _leave(
                of,
                kind,
                entry.id,
                payout.id,
                f"The payout is {row.state}; the bank returned {_words(of, entry)}.",
            )
            continue
        _return(of, payout, entry)


def _against(state: str, payout: Payout, entry: StatementEntry) -> FindingKind | None:
    """Return what keeps a return from being taken."""
    if state in (State.RETURNED, State.GIVEN_BACK):
        return FindingKind.RETURNED_AGAIN
    if state != State.SETTLED:
        return FindingKind.RETURN_WITHOUT_PAYMENT
    return None if entry.amount_minor == payout.amount_minor else FindingKind.RETURN_AMOUNT_DIFFERS


def _return(of: _Class, payout: Payout, entry: StatementEntry) -> None:
    returned_id = tokens.new_instruction_id(Kind.PAYOUT_RETURN)
    expected = expected_return(payout, returned_id, entry)
    matching.expect(of.connection, of.settler.clock, of.issuer_id, of.class_id, [expected])
    said: dict[str, Any] = {
        "source_id": entry.id,
        "reason_code": entry.return_reason,
        "reason": entry.remittance,
    }
    codes = submit(
        of.connection,
        of.settler,
        of.issuer_id,
        [
            step_request(
                of.settler,
                of.issuer_id,
                Kind.PAYOUT_RETURN,
                payout.id,
                value_date=entry.value_date or entry.booking_date,
                instruction_id=returned_id,
                **said,
            ),
            step_request(of.settler, of.issuer_id, Kind.PAYOUT_GIVE_BACK, payout.id, **said),
        ],
    )
    if codes[0] is not None:
        raise InvariantError(f"a payout that the bank has returned was not taken back: {codes[0]}")
    of.done.returned_count += 1
    if codes[1] is not None:
        text = f"The money is back, and the account can't take the tokens ({codes[1]})."
        _leave(of, FindingKind.GIVE_BACK_REFUSED, entry.id, payout.id, text)


def _name_rejected(of: _Class) -> None:
    """Name the debits that matching tied to a payout which was rejected meanwhile. Older ones reconciliation finds."""
    since = of.settler.clock.now() - _REJECTED_LATELY
    rejected = payouts.rejected_since(of.connection, of.issuer_id, of.class_id, since)
    items = matching.items(of.connection, of.issuer_id, [one.settlement_id for one in rejected])
    for one in rejected:
        item = items.get(one.settlement_id)
        match = None if item is None or item.match_id is None else _standing(of, item.match_id)
        for entry_id in () if match is None else match.bank_item_ids:
            text = "The payout is rejected; the bank debited it."
            _leave(of, FindingKind.DEBITED_AFTER_END, entry_id, one.payout_id, text)


def _name_strays(of: _Class) -> None:
    """Name the debits that bear a payout's references, and that nothing of the books stands for."""
    after = ""
    while page := matching.present_open_items(
        of.connection, of.issuer_id, of.class_id, Side.BANK, after=after, limit=_PAGE
    ):
        after = page[-1].id
        debits = [one.id for one in page if one.amount_minor < 0]
        for entry in statements.entries_by_id(of.connection, of.issuer_id, debits).values():
            payout = _named(of, entry)
            if payout is not None:
                _name_stray(of, payout, entry)


def _name_stray(of: _Class, payout: Payout, entry: StatementEntry) -> None:
    [row] = tokens.instructions_by_id(of.connection, of.issuer_id, [payout.id]).values()
    if row.state in (State.SETTLED, State.RETURNED, State.GIVEN_BACK):
        kind = FindingKind.DEBITED_AGAIN
    elif row.state == State.ACCEPTED and entry.amount_minor != payout.amount_minor:
        kind = FindingKind.AMOUNT_DIFFERS
    elif row.state == State.ACCEPTED:
        return
    else:
        kind = FindingKind.DEBITED_AFTER_END
    _leave(of, kind, entry.id, payout.id, f"The payout is {row.state}; the bank debited {_words(of, entry)}.")


def _named(of: _Class, entry: StatementEntry) -> Payout | None:
    """Return the one payout of the class that an entry names."""
    named = statements.payouts_named(of.connection, of.issuer_id, [entry.uetr], [entry.end_to_end_id])
    ids = set(named.values())
    if len(ids) != 1:
        return None
    payout = payouts.payouts(of.connection, of.issuer_id, list(ids))[ids.pop()]
    return payout if payout.token_class_id == of.class_id else None


def _leave(of: _Class, kind: FindingKind, source_id: str, payout_id: str | None, detail: str) -> None:
    of.done.finding_count += 1
    leave_to_people(
        of.connection,
        of.settler,
        of.issuer_id,
        kind,
        source_id=source_id,
        payout_id=payout_id,
        subject=payout_id or source_id,
        detail=detail,
    )


def _words(of: _Class, entry: StatementEntry) -> str:
    return format_amount(entry.amount_minor, of.scale)
