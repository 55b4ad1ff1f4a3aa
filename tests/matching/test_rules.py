"""The rules by themselves: exact, explainable, and the same whatever the order in which things are told."""

import random
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.core.ids import id_made_before, new_id
from tallystick.matching.items import references_of_entry
from tallystick.matching.records import DEFAULT_TERMS, Confidence, Draft, Item, Rule, Terms
from tallystick.matching.rules import (
    Pair,
    match_by_amount,
    match_by_reference,
    match_reversals,
    suggest,
)
from tallystick.matching.subsets import CANDIDATES_MAX, PARTS_MAX, only_subset
from tallystick.statements import StatementEntry

DAY = date(2026, 11, 20)


def item(
    side: str,
    number: int,
    amount: int,
    *,
    day: int = 0,
    counterparty: str | None = None,
    reversal: bool = False,
) -> Item:
    return Item(
        id=f"{side}_{number}",
        token_class_id="class_1",
        side=side,
        kind="entry" if side == "bank" else "deposit_release",
        amount_minor=amount,
        day=DAY + timedelta(days=day),
        place=f"{number:09}",
        counterparty=counterparty,
        reversal=reversal,
        event_index=number if side == "books" else None,
    )


def bank(number: int, amount: int, **more: object) -> Item:
    return item("bank", number, amount, **more)  # type: ignore[arg-type]


def books(number: int, amount: int, **more: object) -> Item:
    return item("books", number, amount, **more)  # type: ignore[arg-type]


def told(drafts: Sequence[Draft]) -> list[tuple[str, str, str]]:
    return sorted((one.rule.value, one.confidence.value, one.signature) for one in drafts)


B1, B2, B3 = bank(1, -40), bank(2, -40), bank(3, -2)
K1, K2, K3 = books(1, -40), books(2, -40), books(3, -2)
WHOLE = books(4, -42)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([Pair(B1, K1, "e2e:A")], [("end_to_end_id", "exact", "bank_1|books_1")]),
        # The surest of the references that they share is the one that counts.
        ([Pair(B1, K1, "e2e:A"), Pair(B1, K1, "uetr:x")], [("uetr", "exact", "bank_1|books_1")]),
        ([Pair(B1, K1, "own:a"), Pair(B1, K1, "e2e:A")], [("our_reference", "exact", "bank_1|books_1")]),
        ([Pair(B1, WHOLE, "e2e:A")], [("end_to_end_id", "fair", "bank_1|books_4")]),
        (
            [Pair(B1, WHOLE, "e2e:A"), Pair(B3, WHOLE, "e2e:A")],
            [("end_to_end_id", "exact", "bank_1 bank_3|books_4")],
        ),
        (
            [Pair(bank(5, -42), K1, "own:a"), Pair(bank(5, -42), K3, "own:b")],
            [("our_reference", "exact", "bank_5|books_1 books_3")],
        ),
        # Two for one: the first in the bank's order has it.
        ([Pair(B2, K1, "e2e:A"), Pair(B1, K1, "e2e:A")], [("end_to_end_id", "exact", "bank_1|books_1")]),
        # Two for two: first with first.
        (
            [Pair(b, k, "e2e:A") for b in (B2, B1) for k in (K2, K1)],
            [("end_to_end_id", "exact", "bank_1|books_1"), ("end_to_end_id", "exact", "bank_2|books_2")],
        ),
        # What is left over of different amounts is suggested, if nothing else is.
        (
            [Pair(B1, K1, "e2e:A"), Pair(B1, K3, "e2e:A"), Pair(B2, K3, "e2e:A")],
            [("end_to_end_id", "exact", "bank_1|books_1"), ("end_to_end_id", "fair", "bank_2|books_3")],
        ),
    ],
)
def test_by_reference(pairs: list[Pair], expected: list[tuple[str, str, str]]) -> None:
    assert told(match_by_reference(pairs, set())) == expected


def test_what_people_refused_is_not_tied_by_reference() -> None:
    pairs = [Pair(b, k, "e2e:A") for b in (B1, B2) for k in (K1, K2)]
    assert told(match_by_reference(pairs, {"bank_1|books_1"})) == [
        ("end_to_end_id", "exact", "bank_1|books_2"),
        ("end_to_end_id", "exact", "bank_2|books_1"),
    ]
    assert match_by_reference([Pair(B1, WHOLE, "e2e:A")], {"bank_1|books_4"}) == []


def test_amount_and_counterparty() -> None:
    def found(own: list[Item], others: list[Item]) -> list[tuple[str, str, str]]:
        return told(match_by_amount(own, others, DEFAULT_TERMS, set()))

    strong = ("amount_and_counterparty", "strong")
    assert found([bank(1, -5, counterparty="X")], [books(1, -5, day=3, counterparty="X")]) == [
        (*strong, "bank_1|books_1")
    ]
    for other in (
        books(1, -5, day=4, counterparty="X"),
        books(1, -5, counterparty="Y"),
        books(1, -5),
        books(1, 5, counterparty="X"),
        books(1, -6, counterparty="X"),
    ):
        assert found([bank(1, -5, counterparty="X")], [other]) == []
    twice = [bank(1, -5, counterparty="X"), bank(2, -5, day=1, counterparty="X")]
    others = [books(8, -5, day=1, counterparty="X"), books(9, -5, day=2, counterparty="X")]
    assert found(twice, others) == [(*strong, "bank_1|books_8"), (*strong, "bank_2|books_9")]
    # A choice is for people, even if it lies days further on in the same chain.
    assert found(twice, [*others, books(10, -5, day=5, counterparty="X")]) == []
    assert found(twice, [*others, books(10, -5, day=6, counterparty="X")]) != []


def test_reversals() -> None:
    taken_back = bank(2, 40, reversal=True)
    shared = {"bank_1": {"e2e:A", "bank:Z"}, "bank_2": {"bank:Z"}, "bank_4": {"bank:Z"}}
    assert told(match_reversals([B1, taken_back], shared, set())) == [("reversal", "exact", "bank_1 bank_2|")]
    assert match_reversals([B1, taken_back], {"bank_1": {"e2e:A"}, "bank_2": {"e2e:B"}}, set()) == []
    assert match_reversals([B1, bank(2, 40)], shared, set()) == []
    assert match_reversals([B1, bank(4, -40), taken_back], shared, set()) == []
    assert match_reversals([B1, taken_back], shared, {"bank_1 bank_2|"}) == []


@pytest.mark.parametrize(
    ("own", "others", "terms", "expected"),
    [
        ([bank(1, -5)], [books(1, -5, day=2)], DEFAULT_TERMS, [("amount_and_day", "fair", "bank_1|books_1")]),
        (
            [bank(1, -5, counterparty="X")],
            [books(1, -5, counterparty="Y")],
            DEFAULT_TERMS,
            [("amount_and_day", "weak", "bank_1|books_1")],
        ),
        (
            [bank(1, -5)],
            [books(1, -5), books(2, -5)],
            DEFAULT_TERMS,
            [("amount_and_day", "weak", "bank_1|books_1")],
        ),
        (
            [bank(1, -5, counterparty="X")],
            [books(1, -5, counterparty="X"), books(2, -5, counterparty="X")],
            DEFAULT_TERMS,
            [("amount_and_counterparty", "fair", "bank_1|books_1")],
        ),
        ([bank(1, -5)], [books(1, -4)], DEFAULT_TERMS, []),
        ([bank(1, -5)], [books(1, -4)], Terms(1, 3, Confidence.STRONG), []),
        (
            [bank(1, -5, counterparty="X")],
            [books(1, -4, counterparty="X")],
            Terms(1, 3, Confidence.STRONG),
            [("within_tolerance", "weak", "bank_1|books_1")],
        ),
        (
            [bank(1, -5, counterparty="X")],
            [books(1, -3, counterparty="X"), books(2, -2, counterparty="X")],
            DEFAULT_TERMS,
            [("sum_and_counterparty", "fair", "bank_1|books_1 books_2")],
        ),
        (
            [bank(1, 3), bank(2, 2)],
            [books(1, 5, day=3)],
            DEFAULT_TERMS,
            [("sum_and_day", "weak", "bank_1 bank_2|books_1")],
        ),
        ([bank(1, 3), bank(2, 3), bank(3, 2)], [books(1, 5)], DEFAULT_TERMS, []),
        ([bank(1, 3), bank(2, 2)], [books(1, 5, day=4)], DEFAULT_TERMS, []),
    ],
)
def test_suggestions(
    own: list[Item], others: list[Item], terms: Terms, expected: list[tuple[str, str, str]]
) -> None:
    assert told(suggest(own, others, terms, set())) == expected
    assert told(suggest(own, others, terms, {one[2] for one in expected})) == []


ITEMS = st.lists(
    st.tuples(
        st.sampled_from([-7, -5, -4, -3, -2, 3, 5]),
        st.integers(0, 6),
        st.sampled_from([None, "X", "Y"]),
    ),
    max_size=9,
)


@given(ITEMS, ITEMS, st.integers(0, 2), st.randoms(use_true_random=False), st.data())
def test_any_order_gives_the_same_and_nothing_is_tied_twice(
    ours: list[tuple[int, int, str | None]],
    theirs: list[tuple[int, int, str | None]],
    tolerance: int,
    shuffle: random.Random,
    data: st.DataObject,
) -> None:
    terms = Terms(tolerance, 3, Confidence.STRONG)
    own = [bank(n, a, day=d, counterparty=c) for n, (a, d, c) in enumerate(ours)]
    others = [books(n, a, day=d, counterparty=c) for n, (a, d, c) in enumerate(theirs)]
    pairs = [
        Pair(one, other, reference)
        for one in own
        for other in others
        if one.amount_minor * other.amount_minor > 0
        and (reference := data.draw(st.sampled_from(["", "", "e2e:A", "own:a"])))
    ]

    def everything(order: bool) -> list[list[tuple[str, str, str]]]:
        some, more, tied = list(own), list(others), list(pairs)
        if order:
            for one in (some, more, tied):
                shuffle.shuffle(one)
        rules = [
            match_by_reference(tied, set()),
            match_by_amount(some, more, terms, set()),
            suggest(some, more, terms, set()),
        ]
        for drafts in rules:
            exclusive = [d for d in drafts if d.rule not in (Rule.END_TO_END_ID, Rule.OUR_REFERENCE)]
            ids = [one.id for draft in exclusive for one in (*draft.bank, *draft.books)]
            assert len(ids) == len(set(ids))
            for draft in drafts:
                loose = draft.confidence in (Confidence.FAIR, Confidence.WEAK)
                assert draft.difference_minor == 0 or loose
                assert draft.compared
        return [told(drafts) for drafts in rules]

    assert everything(order=False) == everything(order=True)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=10), st.integers(1, 120))
def test_the_only_subset_is_what_trying_all_of_them_finds(amounts: list[int], total: int) -> None:
    ways = [
        list(chosen)
        for size in range(1, min(PARTS_MAX, len(amounts)) + 1)
        for chosen in combinations(range(len(amounts)), size)
        if sum(amounts[place] for place in chosen) == total
    ]
    wanted = ways[0] if len(ways) == 1 and len(ways[0]) > 1 else []
    if any(len(way) == 1 for way in ways):
        return
    assert only_subset(amounts, total) == wanted


def test_a_search_for_sums_is_bounded() -> None:
    assert only_subset([1] * (CANDIDATES_MAX + 1), 3) == []
    assert only_subset([2 * n + 100 for n in range(CANDIDATES_MAX)], 801) == []
    assert only_subset([], 3) == only_subset([3], 3) == only_subset([1, 1], 3) == []


def entry(**more: object) -> StatementEntry:
    fields = dict.fromkeys(StatementEntry._fields)
    return StatementEntry(**{**fields, "amount_minor": 1, **more})  # type: ignore[arg-type]


def test_by_what_an_entry_is_known() -> None:
    own = new_id("redemption")
    bare = own[-26:]
    assert references_of_entry(entry(end_to_end_id="NOTPROVIDED", bank_reference="NONREF")) == set()
    assert references_of_entry(entry(uetr="A-B", bank_reference="Z")) == {"uetr:a-b", "bank:Z"}
    for text in (own, bare, bare.upper(), f"REF {own},", f"({bare})"):
        assert f"own:{bare}" in references_of_entry(entry(remittance=text))
    for text in (bare[:-1], f"{bare}0", f"x{bare}"):
        assert not any(one.startswith("own:") for one in references_of_entry(entry(remittance=text)))


def test_an_id_from_before() -> None:
    one = new_id("deposit_balance")
    earlier = id_made_before(one, 3_600)
    assert earlier < one
    assert id_made_before(one, 0) <= one
    assert id_made_before(earlier, 0) == earlier
    assert id_made_before(one, 10**12) == f"deposit_balance_{'0' * 26}"
