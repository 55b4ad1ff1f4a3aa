"""Credits for deposits that two people confirmed before the statement came: they are linked, not confirmed again.

Such a deposit is known by its account and its exact amount, and by a day near the bank's. It stands for one credit:
of two equal credits the second one is confirmed as a deposit of its own.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from tallystick import tokens
from tallystick.statements import notified_store
from tallystick.statements.drafts import Place, StatementDraft
from tallystick.statements.matching import MatchedBy
from tallystick.tokens import ConfirmedByHand

__all__ = ["link_confirmed_by_hand"]

#: How far apart the bank's day and the deposit's value date may lie: a notification comes a few days before or behind
#: the value date even over a row of bank holidays, but last month's rent must not stand for this month's.
_APART_MAX: Final = timedelta(days=10)
_ENTRIES_AT_ONCE: Final = 1_000
_FINDING: Final = "deposit_confirmed_by_hand"


def link_confirmed_by_hand(connection: Connection, issuer_id: str, drafts: Sequence[StatementDraft]) -> None:
    """Name in the rows of matched credits the deposits that were confirmed for them by hand, the oldest first.

    A report's or notification's credit is only kept from being confirmed: the deposit stands for the statement's.

    What is linked is matched no more, so that nothing is confirmed from it. Has to run behind the locks of the
    classes' control accounts: whoever links or confirms a deposit holds them, so each is seen and linked once.
    """
    linked_ids: set[str] = set()
    places = (
        (draft, entry) for draft in drafts for entry in draft.entries if entry.sequence in draft.matches
    )
    while batch := list(islice(places, _ENTRIES_AT_ONCE)):
        waiting = _waiting(connection, issuer_id, batch, linked_ids)
        for place in batch:
            deposit = _oldest_near(waiting[_clue(place)], _day(place))
            if deposit is not None:
                waiting[_clue(place)].remove(deposit)
                linked_ids.add(deposit.deposit_id)
                _link(place, deposit)


def _waiting(
    connection: Connection, issuer_id: str, places: Sequence[Place], linked_ids: set[str]
) -> defaultdict[tuple[str | None, int], list[ConfirmedByHand]]:
    """Return, by account and amount, the deposits confirmed by hand that could be for these entries, oldest first."""
    waiting: defaultdict[tuple[str | None, int], list[ConfirmedByHand]] = defaultdict(list)
    days = [day for place in places if (day := _day(place)) is not None]
    if not days:
        return waiting
    first, last = min(days), max(days)
    account_ids = sorted({account_id for account_id, _ in map(_clue, places) if account_id is not None})
    deposits = tokens.deposits_confirmed_by_hand(
        connection,
        issuer_id,
        account_ids,
        since=first - min(_APART_MAX, first - date.min),
        until=last + min(_APART_MAX, date.max - last),
    )
    entries = notified_store.read_confirmed_by_hand(
        connection, issuer_id, [one.deposit_id for one in deposits]
    )
    taken = linked_ids | {entry.deposit_id for entry in entries}
    for one in deposits:
        if one.deposit_id not in taken:
            waiting[one.account_id, one.amount_minor].append(one)
    return waiting


def _oldest_near(deposits: Sequence[ConfirmedByHand], day: date | None) -> ConfirmedByHand | None:
    if day is None:
        return None
    return next((one for one in deposits if abs(one.value_date - day) <= _APART_MAX), None)


def _clue(place: Place) -> tuple[str | None, int]:
    draft, entry = place
    return draft.matches[entry.sequence].account_id, draft.rows[entry.sequence].amount_minor


def _day(place: Place) -> date | None:
    draft, entry = place
    row = draft.rows[entry.sequence]
    return row.value_date or row.booking_date or draft.statement.closed_on


def _link(place: Place, deposit: ConfirmedByHand) -> None:
    draft, entry = place
    if draft.statement.intraday:
        del draft.matches[entry.sequence]
    else:
        draft.link(entry, deposit.deposit_id, MatchedBy.CONFIRMED_BY_HAND.value)
    draft.note(_FINDING, entry, f"Was confirmed by hand as {deposit.deposit_id}; it is not confirmed again.")
