"""What matching knows of the breaks that pairing left: which bank entries bear out which movements of the books.

Pairing goes by the entry that a deposit names, and by amount; matching also knows references, payments in parts, and
what people accepted. Where everything that one standing match ties is a break here and they come to nothing together,
the bank and the books do agree: none of them is a break. Everything else stays one, with its match named, and nothing
is rounded.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from tallystick import matching
from tallystick.matching import MatchState
from tallystick.reconciliation.breaks import BreakDraft
from tallystick.reconciliation.records import BreakType

__all__ = ["without_matched"]

#: One side has it, and pairing found nothing on the other.
_ALONE: Final = frozenset({BreakType.MISSING_BANK_ENTRY, BreakType.UNEXPECTED_BANK_ENTRY})


def without_matched(connection: Connection, issuer_id: str, drafts: Sequence[BreakDraft]) -> list[BreakDraft]:
    """Return the breaks without those that a standing match explains to the minor unit; the others name theirs."""
    item_ids = [_item_id(draft) for draft in drafts]
    items = matching.items(connection, issuer_id, [one for one in item_ids if one is not None])
    match_ids = {item.id: item.match_id for item in items.values() if item.match_id is not None}
    tied: defaultdict[str, dict[str, BreakDraft]] = defaultdict(dict)
    for draft, item_id in zip(drafts, item_ids, strict=True):
        if item_id in match_ids and draft.type in _ALONE:
            tied[match_ids[item_id]][item_id] = draft
    explained = {
        match_id for match_id, by_item in tied.items() if _explains(connection, issuer_id, match_id, by_item)
    }
    left = []
    for draft, item_id in zip(drafts, item_ids, strict=True):
        match_id = match_ids.get(item_id or "")
        if match_id is None:
            left.append(draft)
        elif match_id not in explained or draft.type not in _ALONE:
            left.append(draft._replace(evidence={**draft.evidence, "match_id": match_id}))
    return left


def _explains(connection: Connection, issuer_id: str, match_id: str, by_item: dict[str, BreakDraft]) -> bool:
    if sum(draft.difference_minor for draft in by_item.values()):
        return False
    match = matching.match(connection, issuer_id, match_id)
    # Of more than is shown one by one some may be missing here: then nothing is taken away.
    return (
        match.state == MatchState.ACCEPTED and {*match.bank_item_ids, *match.book_item_ids} == by_item.keys()
    )


def _item_id(draft: BreakDraft) -> str | None:
    """Return the bank's entry, or the books' instruction, that a break is about."""
    found = draft.evidence.get("instruction_id") or draft.evidence.get("statement_entry_id")
    return None if found is None else str(found)
