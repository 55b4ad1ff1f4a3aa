"""Ten thousand worlds with faults in them: each is found, typed and told to the minor unit, and nothing else is."""

import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.reconciliation import Verdict
from tallystick.reconciliation.marks import Marks
from tests.reconciliation.worlds import (
    FAULTS,
    ONCE,
    World,
    clean_world,
    decompose,
    put_faults,
)

WORLDS = 10_000
ALL = (*FAULTS, *ONCE)


def check(world: World) -> None:
    """Everything that was put in is found, typed and exact, and nothing else."""
    result = decompose(world)
    told = Counter((draft.type.value, draft.difference_minor) for draft in result.breaks)
    assert told == Counter(world.expected), (world.seed, world.faults, told, world.expected)
    # Exact: with every break taken away, the books are what the bank has.
    control = result.figures["control_account"]
    effects = sum(draft.control_effect_minor for draft in result.breaks)
    ledger, closing = (
        int((control[name] or "").replace(".", "").replace("-", "") or 0)
        * (-1 if (control[name] or "").startswith("-") else 1)
        for name in ("ledger", "statement_closing")
    )
    unsigned = sum(standing.amount_minor for standing in world.standings.values() if not standing.proven)
    assert ledger - closing == effects - unsigned, (world.seed, world.faults)
    broken = any(kind != "timing" for kind, _ in world.expected)
    assert result.verdict == (Verdict.BROKEN if broken else Verdict.TIED)
    assert len({draft.cause for draft in result.breaks}) == len(result.breaks)


def test_a_clean_world_ties() -> None:
    for seed in range(200):
        world = clean_world(seed)
        result = decompose(world)
        assert (result.verdict, result.breaks) == (Verdict.TIED, []), seed


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.__name__)
def test_each_fault_by_itself(fault: object) -> None:
    for seed in range(50):
        world = clean_world(seed)
        put_faults(world, [fault])  # type: ignore[list-item]
        check(world)


def test_each_two_faults_together() -> None:
    for number, pair in enumerate(combinations(ALL, 2)):
        world = clean_world(number)
        put_faults(world, list(pair))
        check(world)


def test_ten_thousand_worlds() -> None:
    for seed in range(WORLDS):
        world = clean_world(seed, days=4, per_day=2)
        chance = random.Random(-seed - 1)
        faults = [chance.choice(FAULTS) for _ in range(chance.randint(0, 6))]
        faults += chance.sample(ONCE, chance.randint(0, 2))
        chance.shuffle(faults)
        put_faults(world, faults)
        check(world)


@settings(max_examples=150)
@given(st.integers(0, 10**9), st.lists(st.sampled_from(FAULTS), max_size=12), st.integers(1, 30))
def test_neither_blocks_nor_order_matter(seed: int, faults: list[object], block: int) -> None:
    world = clean_world(seed)
    put_faults(world, faults)  # type: ignore[arg-type]
    assert decompose(world, block=block, order=random.Random(seed)) == decompose(world)


def test_one_minor_unit_anywhere_is_found() -> None:
    """Each entry, balance and figure of a world, one more and one less."""
    for odd in (1, -1):
        base = clean_world(7)
        for number, day in enumerate(base.days):
            for place in range(len(day.entries)):
                world = clean_world(7)
                entry = world.days[number].entries[place]
                amount = entry.amount_minor + odd
                world.days[number].entries[place] = entry._replace(amount_minor=amount)
                world.linked = {
                    deposit: link._replace(signed_minor=amount) if link.id == entry.id else link
                    for deposit, link in world.linked.items()
                }
                assert decompose(world).verdict is Verdict.BROKEN, (number, place)
        for name in ("trial", "journal", "stored"):
            for account in sorted({*base.trial}):
                world = clean_world(7)
                getattr(world, name)[account] += odd
                assert decompose(world).verdict is Verdict.BROKEN, (name, account)
        for name in ("minted_minor", "redeemed_minor", "register_minor"):
            world = clean_world(7)
            setattr(world, name, getattr(world, name) + odd)
            assert decompose(world).verdict is Verdict.BROKEN, name


@given(st.sets(st.integers(1, 300)), st.integers(0, 300))
def test_marks_are_bits(marked: set[int], count: int) -> None:
    marks, other = Marks(), Marks()
    for number in marked:
        (marks if number % 2 else other).set("s", number)
    marks.take(other)
    assert {number for number in range(1, 301) if marks.has("s", number)} == marked
    runs = marks.missing("s", count)
    assert [number for first, last in runs for number in range(first, last + 1)] == [
        number for number in range(1, count + 1) if number not in marked
    ]
