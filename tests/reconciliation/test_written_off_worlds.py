"""What is written off is no break any more, and makes up for nothing else: in worlds full of faults, to the cent."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.reconciliation import Verdict
from tallystick.reconciliation.breaks import BreakDraft
from tallystick.reconciliation.pairing import CAUSES
from tallystick.reconciliation.tie_out import TieOut
from tests.reconciliation.worlds import FAULTS, ONCE, World, clean_world, decompose, put_faults

WORLDS = 3_000
ALL = (*FAULTS, *ONCE)


def posts(draft: BreakDraft) -> bool:
    return draft.type != "timing" and draft.cause.startswith(CAUSES)


def seeded(seed: int) -> World:
    world = clean_world(seed, days=4, per_day=2)
    chance = random.Random(-seed - 1)
    faults = [chance.choice(FAULTS) for _ in range(chance.randint(1, 6))]
    faults += chance.sample(ONCE, chance.randint(0, 2))
    put_faults(world, faults)
    return world


def told(result: TieOut) -> Counter[tuple[str, int, str]]:
    return Counter((draft.type.value, draft.difference_minor, draft.cause) for draft in result.breaks)


def exact(world: World, result: TieOut) -> None:
    """With every break taken away, the books are what the bank has."""
    control = result.figures["control_account"]
    effects = sum(draft.control_effect_minor for draft in result.breaks)
    unsigned = sum(one.amount_minor for one in world.standings.values() if not one.proven)
    difference = int((control["difference"] or "").replace(".", ""))
    assert difference == effects - unsigned, (world.seed, world.faults)


def written_off(world: World) -> tuple[list[BreakDraft], TieOut]:
    """Write off all that a write-off posts for; return that, and what is found behind it."""
    before = decompose(world)
    mended = [draft for draft in before.breaks if posts(draft)]
    for draft in mended:
        world.write_off(draft.cause, draft.difference_minor)
    after = decompose(world)
    exact(world, after)
    # Nothing but what was written off is gone.
    left = [draft for draft in before.breaks if not posts(draft)]
    assert told(after) == told(before._replace(breaks=left)), (world.seed, world.faults)
    broken = any(draft.type != "timing" for draft in left)
    assert after.verdict == (Verdict.BROKEN if broken else Verdict.TIED)
    return mended, after


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.__name__)
def test_each_fault_by_itself(fault: Callable[[World], None]) -> None:
    for seed in range(30):
        world = clean_world(seed)
        put_faults(world, [fault])
        written_off(world)


def test_worlds_full_of_faults() -> None:
    count = 0
    for seed in range(WORLDS):
        count += len(written_off(seeded(seed))[0])
    assert count > WORLDS


@pytest.mark.parametrize("odd", [1, -1])
def test_a_minor_unit_more_or_less_is_found_again_as_that(odd: int) -> None:
    """Of each break in turn: the entry of its write-off is not what it was for."""
    for seed in range(150):
        world = seeded(seed)
        mended, before = written_off(world)
        for draft in mended:
            world.write_off(draft.cause, odd)
            after = decompose(world)
            exact(world, after)
            [(found, count)] = (told(after) - told(before)).items()
            assert (found[1], found[2], count) == (-odd, draft.cause, 1), (seed, draft)
            assert after.verdict is Verdict.BROKEN
            assert not told(before) - told(after)
            world.write_off(draft.cause, -odd)


def test_what_its_cause_is_gone_of_is_a_break_of_the_whole_amount() -> None:
    """The write-off stands, and what it was for is mended besides: by the bank, or by an entry of the books."""
    for seed in range(300):
        faulty, mended = seeded(seed), clean_world(seed, days=4, per_day=2)
        drafts, _ = written_off(faulty)
        for draft in drafts:
            mended.write_off(draft.cause, draft.difference_minor)
        result = decompose(mended)
        exact(mended, result)
        assert {one.cause: one.difference_minor for one in result.breaks} == {
            draft.cause: -draft.difference_minor for draft in drafts
        }
        assert {one.type for one in result.breaks} <= {"missing_bank_entry"}
        # And written off once more, it is what it was in the beginning.
        for one in result.breaks:
            mended.write_off(one.cause, one.difference_minor)
        assert decompose(mended).breaks == []


def test_what_was_written_off_is_taken_for_nothing_else_of_its_amount() -> None:
    """The bank's fee was written off, or a release that it never paid; later both sides have one of that amount."""
    for seed in range(50):
        world = clean_world(seed)
        fee, release = world.unlike(), world.unlike()
        world.entry(world.days[0], -fee, None)
        world.movement(-release, world.days[0].day, "a")
        assert len(written_off(world)[0]) == 2
        for minor in (fee, release):
            world.movement(-minor, world.days[-1].day, "b")
            world.entry(world.days[-1], -minor, None)
        assert decompose(world).breaks == [], seed
        # The bank takes its fee back: found, to the minor unit.
        world.entry(world.days[-1], fee, None)
        [found] = decompose(world).breaks
        assert (found.type, found.difference_minor) == ("unexpected_bank_entry", -fee)


def test_one_of_more_than_are_shown_is_not_bundled_with_what_was_written_off() -> None:
    world = clean_world(3)
    for _ in range(130):
        world.entry(world.days[1], -world.unlike(), None)
    mended, bundle = 0, decompose(world).breaks[-1]
    assert bundle.cause == "more:entry_not_in_books"
    while decompose(world).breaks:
        for draft in decompose(world).breaks:
            if posts(draft):
                world.write_off(draft.cause, draft.difference_minor)
                mended += 1
    assert (mended, decompose(world).verdict) == (130, Verdict.TIED)


def test_of_a_statement_that_had_not_come_a_write_off_is_timing() -> None:
    world = clean_world(5)
    odd = world.entry(world.days[-1], -77, None)
    world.write_off(f"entry:{odd.id}", 77)
    assert decompose(world).breaks == []
    world.days.pop()
    result = decompose(world)
    [found] = [one for one in result.breaks if one.cause == f"entry:{odd.id}"]
    assert (found.type, found.difference_minor, found.evidence) == (
        "timing",
        -77,
        {"written_off_for": f"entry:{odd.id}"},
    )
    exact(world, result)


@settings(max_examples=100)
@given(st.integers(0, 10**9), st.lists(st.sampled_from(FAULTS), max_size=12), st.integers(1, 30))
def test_neither_blocks_nor_order_matter(
    seed: int, faults: list[Callable[[World], None]], block: int
) -> None:
    world = clean_world(seed)
    put_faults(world, faults)
    _, expected = written_off(world)
    assert decompose(world, block=block, order=random.Random(seed)) == expected
