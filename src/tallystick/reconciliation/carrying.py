"""Breaks from run to run: what a run found is held against what is known by its cause. Pure.

The same cause is the same break, whatever became of its type or amount. What is no longer found is cleared; what was
ended and is found again is open again. Nothing is ever taken back: each step leaves an action.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from tallystick.core.ids import new_id
from tallystick.reconciliation.breaks import BreakDraft
from tallystick.reconciliation.records import (
    ENDED_STATES,
    EXPLAINED_TYPES,
    ActionKind,
    Break,
    BreakState,
    Reconciliation,
)

__all__ = ["Carried", "Step", "accepted", "carry", "corrected", "with_causes"]


class Step(NamedTuple):
    """Something that a run did to a break."""

    break_id: str
    kind: ActionKind
    note: str | None


class Carried(NamedTuple):
    """What a run makes of the breaks: `of_drafts` are ids in the order of what it found."""

    of_drafts: list[str]
    added: list[Break]
    changed: list[Break]
    steps: list[Step]


def with_causes(drafts: Iterable[BreakDraft]) -> list[BreakDraft]:
    """Return what was found with causes that differ: of two alike the second is the second in every run."""
    seen: Counter[str] = Counter()
    found = []
    for draft in drafts:
        seen[draft.cause] += 1
        number = seen[draft.cause]
        found.append(draft if number == 1 else draft._replace(cause=f"{draft.cause}#{number}"))
    return found


def accepted(draft: BreakDraft, known: Break | None) -> bool:
    """Tell whether two people accepted this as it is: another amount is another matter.

    Not where the write-off posted an entry: that makes up for the difference itself, and what is found is beyond it.
    """
    return (
        known is not None
        and _stands_accepted(known)
        and known.accepted_minor == draft.difference_minor
        and known.type == draft.type
    )


def _stands_accepted(known: Break) -> bool:
    return known.state == BreakState.WRITTEN_OFF and known.instruction_id is None


def corrected(drafts: Iterable[BreakDraft], known: Iterable[Break]) -> dict[str, Break]:
    """Return the resolved breaks that their correction makes up for exactly, by the causes of break and correction.

    What was confirmed in error and given back again, the bank shows neither of; both are found, and come to nothing.
    """
    by_cause = {draft.cause: draft for draft in drafts}
    found: dict[str, Break] = {}
    for one in known:
        if one.state != BreakState.RESOLVED:
            continue
        of_break = by_cause.get(one.cause)
        of_correction = by_cause.get(f"movement:{one.instruction_id}")
        if (
            of_break is not None
            and of_correction is not None
            and of_correction.cause not in found
            and of_break.difference_minor + of_correction.difference_minor == 0
        ):
            found[of_break.cause] = found[of_correction.cause] = one
    return found


def carry(
    run: Reconciliation,
    drafts: Sequence[BreakDraft],
    known: Iterable[Break],
    due_hours: Mapping[str, int],
    now: datetime,
) -> Carried:
    """Hold what a run of the present found against the breaks that are known."""
    by_cause = {one.cause: one for one in known}
    made_up_for = corrected(drafts, by_cause.values())
    carried = Carried([], [], [], [])
    for draft in drafts:
        if draft.cause in made_up_for:
            of = made_up_for[draft.cause]
            carried.of_drafts.append(of.id)
            if draft.cause == of.cause:
                carried.changed.append(
                    replace(by_cause.pop(of.cause), last_reconciliation_id=run.id, seen_at=now)
                )
            continue
        before = by_cause.pop(draft.cause, None)
        due_at = now + timedelta(hours=due_hours[draft.type.value])
        if before is None:
            new = _new(run, draft, due_at, now)
            carried.added.append(new)
            carried.steps.append(Step(new.id, ActionKind.FOUND, None))
            carried.of_drafts.append(new.id)
            continue
        after, step = _again(run, draft, before, due_at, now)
        carried.changed.append(after)
        carried.of_drafts.append(before.id)
        if step is not None:
            carried.steps.append(step)
    for gone in by_cause.values():
        # What people accepted holds for as long as it is there: if it returns, even as it was, it is open again.
        if gone.state not in ENDED_STATES or _stands_accepted(gone):
            carried.changed.append(
                replace(gone, state=BreakState.CLEARED.value, accepted_minor=None, ended_at=now)
            )
            carried.steps.append(Step(gone.id, ActionKind.CLEARED, "The run no longer finds it."))
    return carried


def _new(run: Reconciliation, draft: BreakDraft, due_at: datetime, now: datetime) -> Break:
    return Break(
        issuer_id=run.issuer_id,
        id=new_id("break"),
        token_class_id=run.token_class_id,
        cause=draft.cause,
        type=draft.type.value,
        state=_first_state(draft),
        difference_minor=draft.difference_minor,
        explanation=draft.explanation,
        evidence=draft.evidence,
        reconciliation_id=run.id,
        last_reconciliation_id=run.id,
        created_at=now,
        seen_at=now,
        owner_id=None,
        due_at=due_at,
        instruction_id=None,
        accepted_minor=None,
        ended_at=None,
    )


def _again(
    run: Reconciliation, draft: BreakDraft, before: Break, due_at: datetime, now: datetime
) -> tuple[Break, Step | None]:
    """Return a known break as this run found it, and what that did to it, if anything."""
    after = replace(
        before,
        type=draft.type.value,
        difference_minor=draft.difference_minor,
        explanation=draft.explanation,
        evidence=draft.evidence,
        last_reconciliation_id=run.id,
        seen_at=now,
    )
    if accepted(draft, before):
        return after, None
    told = f"{before.type} {before.difference_minor} became {draft.type.value} {draft.difference_minor}"
    if before.state in ENDED_STATES:
        reopened = replace(
            after,
            state=_first_state(draft),
            due_at=due_at,
            instruction_id=None,
            accepted_minor=None,
            ended_at=None,
        )
        return reopened, Step(before.id, ActionKind.REOPENED, f"It was {before.state}; {told} minor units.")
    if before.type != draft.type:
        # What explained it explains it no more, or it has an explanation now.
        state = _first_state(draft)
        if state == BreakState.OPEN and before.owner_id is not None:
            state = BreakState.ASSIGNED.value
        return replace(after, state=state, due_at=due_at), Step(
            before.id, ActionKind.CHANGED, f"{told} minor units."
        )
    if before.difference_minor != draft.difference_minor:
        return after, Step(before.id, ActionKind.CHANGED, f"{told} minor units.")
    return after, None


def _first_state(draft: BreakDraft) -> str:
    return (BreakState.EXPLAINED if draft.type in EXPLAINED_TYPES else BreakState.OPEN).value
