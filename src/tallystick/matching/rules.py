"""Which items belong together: pure rules over what both sides know, in an order that hangs on nothing but their facts.

From the surest to the least: by reference, by amount and counterparty within days, and then what is only suggested.
Of items that can't be told apart the first goes with the first: by day, then by what the bank wrote or the log's order.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple, TypeVar

from tallystick.matching.records import Confidence, Draft, Item, Rule, Terms
from tallystick.matching.subsets import only_subset

__all__ = [
    "Pair",
    "in_order",
    "match_by_amount",
    "match_by_reference",
    "match_reversals",
    "rule_of_reference",
    "suggest",
]

#: How many items one reference may tie to one.
_PARTS_MAX: Final = 500
_RULES: Final = {"uetr": Rule.UETR, "own": Rule.OUR_REFERENCE, "e2e": Rule.END_TO_END_ID}

Key = TypeVar("Key")


class Pair(NamedTuple):
    """Two items of one sign that share a reference."""

    bank: Item
    book: Item
    reference: str


def rule_of_reference(reference: str) -> Rule:
    """Return by which rule a reference ties: what stands before its colon says of which kind it is."""
    return _RULES[reference.partition(":")[0]]


def in_order(items: Iterable[Item]) -> list[Item]:
    """Return items by day, then by place."""
    return sorted(items, key=lambda one: (one.day or date.max, one.event_index or 0, one.place, one.id))


def match_by_reference(pairs: Sequence[Pair], refused: Collection[str]) -> list[Draft]:
    """Return what items that share references come to: exact where amounts are equal, else a suggestion.

    All that hangs together by references is looked at as a whole. One item on one side and several on the other are
    tied if they come to the same; else equal amounts go together, first with first; and two that are left alone with
    each other are suggested with their difference.
    """
    drafts: list[Draft] = []
    for component in _components(pairs):
        drafts += _of_component(component, refused)
    return drafts


def _components(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Return the pairs in groups that share no item, each group and all of them in order."""
    parent: dict[str, str] = {}

    def root(one: str) -> str:
        while parent.setdefault(one, one) != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for pair in pairs:
        parent[root(pair.bank.id)] = root(pair.book.id)
    groups: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda one: (one.bank.id, one.book.id, one.reference)):
        groups[root(pair.bank.id)].append(pair)
    return list(groups.values())


def _of_component(pairs: Sequence[Pair], refused: Collection[str]) -> list[Draft]:
    bank = in_order({pair.bank.id: pair.bank for pair in pairs}.values())
    books = in_order({pair.book.id: pair.book for pair in pairs}.values())
    shared: dict[tuple[str, str], str] = {}
    for pair in pairs:
        # The kinds sort by how sure they are, and so the greatest is the surest.
        key = pair.bank.id, pair.book.id
        shared[key] = max(shared.get(key, ""), pair.reference)
    surest = max(shared.values())
    whole = _by_reference(bank, books, surest)
    one_sided = min(len(bank), len(books)) == 1 and max(len(bank), len(books)) <= _PARTS_MAX
    if one_sided and whole.difference_minor == 0 and whole.signature not in refused:
        return [whole]
    drafts = []
    used: set[str] = set()
    for one in bank:
        for other in books:
            reference = shared.get((one.id, other.id))
            if reference is None or other.id in used or one.amount_minor != other.amount_minor:
                continue
            draft = _by_reference([one], [other], reference)
            if draft.signature not in refused:
                drafts.append(draft)
                used |= {one.id, other.id}
                break
    left = [(b, k) for b in bank for k in books if (b.id, k.id) in shared and not {b.id, k.id} & used]
    return drafts + [
        _by_reference([one], [other], shared[one.id, other.id], Confidence.FAIR)
        for one, other in left
        if _alone(left, one, other)
        and one.amount_minor != other.amount_minor
        and _by_reference([one], [other], "own:").signature not in refused
    ]


def _alone(pairs: Sequence[tuple[Item, Item]], one: Item, other: Item) -> bool:
    return sum(one in pair or other in pair for pair in pairs) == 1


def _by_reference(
    bank: Sequence[Item], books: Sequence[Item], reference: str, confidence: Confidence = Confidence.EXACT
) -> Draft:
    value = reference.partition(":")[2]
    return Draft(rule_of_reference(reference), confidence, tuple(bank), tuple(books), {"reference": value})


def match_reversals(
    bank: Sequence[Item], references: Mapping[str, Collection[str]], refused: Collection[str]
) -> list[Draft]:
    """Return the bank's own corrections: a reversal and the one entry that it takes back, by a reference of both."""
    by_amount = _grouped(bank, lambda one: one.amount_minor)
    drafts, used = [], set()
    for one in in_order(item for item in bank if item.reversal):
        taken_back = [
            other
            for other in by_amount.get(-one.amount_minor, ())
            if not other.reversal
            and other.id not in used
            and set(references.get(one.id, ())) & set(references.get(other.id, ()))
        ]
        if len(taken_back) != 1:
            continue
        shared = max(set(references[one.id]) & set(references[taken_back[0].id]))
        draft = Draft(
            Rule.REVERSAL,
            Confidence.EXACT,
            tuple(in_order((one, taken_back[0]))),
            (),
            {"reference": shared.partition(":")[2]},
        )
        if draft.signature not in refused:
            used.add(taken_back[0].id)
            drafts.append(draft)
    return drafts


def match_by_amount(
    bank: Sequence[Item], books: Sequence[Item], terms: Terms, refused: Collection[str]
) -> list[Draft]:
    """Return pairs of equal amount and counterparty within days that leave no choice.

    Those that hang together by their days are looked at as a whole: as many on one side as on the other, and each
    within days of its own.
    """
    drafts = []
    of_books = _grouped((one for one in books if one.counterparty), _clue)
    for clue, some in sorted(_grouped((one for one in bank if one.counterparty), _clue).items()):
        for own, others in _near(some, of_books.get(clue, ()), terms.days_max):
            found = [
                _by_amount(one, other, Rule.AMOUNT_AND_COUNTERPARTY, Confidence.STRONG)
                for one, other in zip(own, others, strict=False)
            ]
            fits = len(own) == len(others) and all(
                _apart(one, other) <= terms.days_max for one, other in zip(own, others, strict=True)
            )
            if fits and not any(draft.signature in refused for draft in found):
                drafts += found
    return drafts


def suggest(
    bank: Sequence[Item], books: Sequence[Item], terms: Terms, refused: Collection[str]
) -> list[Draft]:
    """Return what people may find true of what is left: each item in one suggestion at most."""
    used: set[str] = set()
    drafts: list[Draft] = []
    for rule in (_by_clue, _by_day, _within_tolerance, _by_sum):
        left = [one for one in bank if one.id not in used]
        left_books = [one for one in books if one.id not in used]
        for draft in rule(left, left_books, terms):
            ids = {one.id for one in (*draft.bank, *draft.books)}
            if draft.signature not in refused and not ids & used:
                used |= ids
                drafts.append(draft)
    return drafts


def _by_clue(bank: Sequence[Item], books: Sequence[Item], terms: Terms) -> list[Draft]:
    """Equal amount and counterparty, more of them on one side: the first with the first."""
    of_books = _grouped((one for one in books if one.counterparty), _clue)
    return [
        _by_amount(one, other, Rule.AMOUNT_AND_COUNTERPARTY, Confidence.FAIR)
        for clue, some in sorted(_grouped((one for one in bank if one.counterparty), _clue).items())
        for one, other in _first_with_first(some, of_books.get(clue, ()), terms.days_max)
    ]


def _by_day(bank: Sequence[Item], books: Sequence[Item], terms: Terms) -> list[Draft]:
    """Equal amount within days, and nothing known of the counterparty: fair if there is no choice, else weak."""
    drafts = []
    of_books = _grouped(books, lambda one: one.amount_minor)
    for amount_minor, some in sorted(_grouped(bank, lambda one: one.amount_minor).items()):
        for own, others in _near(some, of_books.get(amount_minor, ()), terms.days_max):
            for one, other in _first_with_first(own, others, terms.days_max):
                differ = one.counterparty and other.counterparty and one.counterparty != other.counterparty
                sure = len(own) == len(others) == 1 and not differ
                confidence = Confidence.FAIR if sure else Confidence.WEAK
                drafts.append(_by_amount(one, other, Rule.AMOUNT_AND_DAY, confidence))
    return drafts


def _within_tolerance(bank: Sequence[Item], books: Sequence[Item], terms: Terms) -> list[Draft]:
    """One counterparty within days, and amounts that differ by what the class tolerates, with no other choice."""
    if terms.tolerance_minor == 0:
        return []
    drafts = []
    of_books = _grouped((one for one in books if one.counterparty), lambda one: one.counterparty or "")
    of_bank = _grouped((one for one in bank if one.counterparty), lambda one: one.counterparty or "")
    for counterparty, some in sorted(of_bank.items()):
        near = [
            (one, other)
            for one in some
            for other in of_books.get(counterparty, ())
            if _apart(one, other) <= terms.days_max
            and 0 < abs(one.amount_minor - other.amount_minor) <= terms.tolerance_minor
            and (one.amount_minor > 0) == (other.amount_minor > 0)
        ]
        drafts += [
            _by_amount(one, other, Rule.WITHIN_TOLERANCE, Confidence.WEAK)
            for one, other in near
            if _alone(near, one, other)
        ]
    return drafts


def _by_sum(bank: Sequence[Item], books: Sequence[Item], terms: Terms) -> list[Draft]:
    """One item that several on the other side come to, of one sign and within days, in one way only."""
    drafts = []
    for one_of, many_of in ((bank, books), (books, bank)):
        # Whom it is with narrows the choice most, and then only the days do.
        for strict in (True, False):
            for one in in_order(one_of):
                parts = _parts(one, many_of, terms.days_max, strict=strict)
                if parts:
                    drafts.append(_as_sum(one, parts, in_bank=one_of is bank, strict=strict))
    return drafts


def _parts(one: Item, others: Sequence[Item], days_max: int, *, strict: bool) -> list[Item]:
    candidates = in_order(
        other
        for other in others
        if (other.amount_minor > 0) == (one.amount_minor > 0)
        and abs(other.amount_minor) < abs(one.amount_minor)
        and _apart(one, other) <= days_max
        and (not strict or (one.counterparty and one.counterparty == other.counterparty))
    )
    found = only_subset([abs(other.amount_minor) for other in candidates], abs(one.amount_minor))
    return [candidates[place] for place in found]


def _as_sum(one: Item, parts: Sequence[Item], *, in_bank: bool, strict: bool) -> Draft:
    rule = Rule.SUM_AND_COUNTERPARTY if strict else Rule.SUM_AND_DAY
    confidence = Confidence.FAIR if strict else Confidence.WEAK
    compared: dict[str, str | int | list[str]] = {
        "sum_minor": one.amount_minor,
        "parts_minor": [str(part.amount_minor) for part in parts],
    }
    if strict:
        compared["counterparty"] = one.counterparty or ""
    bank, books = ((one,), tuple(parts)) if in_bank else (tuple(parts), (one,))
    return Draft(rule, confidence, bank, books, compared)


def _by_amount(one: Item, other: Item, rule: Rule, confidence: Confidence) -> Draft:
    compared: dict[str, str | int | list[str]] = {
        "amount_minor": one.amount_minor,
        "days_apart": _apart(one, other),
    }
    if rule is not Rule.AMOUNT_AND_DAY:
        compared["counterparty"] = one.counterparty or ""
    return Draft(rule, confidence, (one,), (other,), compared)


def _clue(one: Item) -> tuple[str, int]:
    return one.counterparty or "", one.amount_minor


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    groups: defaultdict[Key, list[Item]] = defaultdict(list)
    for one in items:
        groups[key(one)].append(one)
    return groups


def _apart(one: Item, other: Item) -> int:
    """Return how many days two items lie apart; what has no day is near to nothing."""
    if one.day is None or other.day is None:
        return date.max.toordinal()
    return abs((one.day - other.day).days)


def _near(bank: Sequence[Item], books: Sequence[Item], days_max: int) -> list[tuple[list[Item], list[Item]]]:
    """Return both sides in groups that hang together: whoever is within days of the last one of a group joins it.

    Only groups with items of both sides.
    """
    ours = {id(one) for one in bank}
    every = sorted(
        (one for one in (*bank, *books) if one.day is not None),
        key=lambda one: (one.day, one.event_index or 0, one.place, one.id),
    )
    groups: list[tuple[list[Item], list[Item]]] = []
    last: date | None = None
    for one in every:
        assert one.day is not None
        if last is None or (one.day - last).days > days_max:
            groups.append(([], []))
        groups[-1][0 if id(one) in ours else 1].append(one)
        last = one.day
    return [(own, others) for own, others in groups if own and others]


def _first_with_first(bank: Sequence[Item], books: Sequence[Item], days_max: int) -> list[tuple[Item, Item]]:
    """Return pairs within days, each item in one at most: the oldest of the bank's with the oldest that it can have."""
    waiting = in_order(books)
    pairs = []
    for one in in_order(bank):
        near = next((other for other in waiting if _apart(one, other) <= days_max), None)
        if near is not None:
            waiting.remove(near)
            pairs.append((one, near))
    return pairs
