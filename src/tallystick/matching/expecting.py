"""What other rooms tell to expect at the bank before it is booked: a payout that was sent, a fee that is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from tallystick.core.clock import Clock
from tallystick.core.ids import suffix_of
from tallystick.matching import store
from tallystick.matching.items import compact
from tallystick.matching.keeping import give_up_sharing
from tallystick.matching.records import Item, ItemKind, Side

__all__ = ["Expected", "expect", "item_of_expected", "references_of_expected"]


@dataclass(frozen=True, slots=True)
class Expected:
    """Something that the bank will book.

    `id` is the instruction's, whose movement on the control account (1100), once the log has it, takes this place.
    `amount_minor` is negative for what goes out. `references` are what else the bank may repeat: end-to-end ids.
    """

    id: str
    kind: ItemKind
    amount_minor: int
    day: date
    counterparty: str | None = None
    account_id: str | None = None
    uetr: str | None = None
    references: Sequence[str] = ()


def expect(
    connection: Connection, clock: Clock, issuer_id: str, token_class_id: str, expected: Sequence[Expected]
) -> None:
    """Let these be matched from now on, by UETR, id or reference; the caller commits. What is known is left as it is.

    They are no open items of the books until the log has moved them: an entry that one is tied to is `anticipated_by`
    it.
    """
    store.lock_progress(connection, issuer_id, token_class_id)
    known = store.read_items(connection, issuer_id, [one.id for one in expected])
    fresh = [
        (item_of_expected(token_class_id, one), references_of_expected(one))
        for one in expected
        if one.id not in known
    ]
    if fresh:
        store.add_items(connection, issuer_id, fresh, token_class_id)
        at: datetime = clock.now()
        give_up_sharing(connection, issuer_id, token_class_id, [one.id for one, _ in fresh], at)


def item_of_expected(token_class_id: str, one: Expected) -> Item:
    """Return it as an item of the books that nothing was booked for yet."""
    return Item(
        id=one.id,
        token_class_id=token_class_id,
        side=Side.BOOKS,
        kind=one.kind,
        amount_minor=one.amount_minor,
        day=one.day,
        place=suffix_of(one.id),
        counterparty=compact(one.counterparty),
        account_id=one.account_id,
    )


def references_of_expected(one: Expected) -> set[str]:
    """Return by what the bank may name it."""
    found = {f"own:{suffix_of(one.id)}", *(f"e2e:{reference}" for reference in one.references)}
    return found | ({f"uetr:{one.uetr.lower()}"} if one.uetr else set())
