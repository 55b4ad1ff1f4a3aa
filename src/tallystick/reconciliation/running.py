"""One run: gather, compare, decide, and keep all of it in one transaction, a suspension of issuance included."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

from sqlalchemy import Connection

from tallystick import events, participants, policy, tokens
from tallystick.core.ids import new_id
from tallystick.core.pipeline import pipelined
from tallystick.ledger import Code, ledger_account_id
from tallystick.participants import Principal, TokenClass
from tallystick.policy import ClassFacts, ReconciliationTerms
from tallystick.reconciliation import store
from tallystick.reconciliation.breaks import BreakDraft, Money
from tallystick.reconciliation.carrying import accepted, carry, corrected, with_causes
from tallystick.reconciliation.comparing import AsOf, Compared, gather
from tallystick.reconciliation.in_parts import NOTHING_VERIFIED, Replayed, VerifiedLog
from tallystick.reconciliation.matched import without_matched
from tallystick.reconciliation.records import (
    EXPLAINED_TYPES,
    AsOfInFutureError,
    Backing,
    Break,
    BreakAction,
    Finding,
    Reconciliation,
    ReconciliationNotAllowedError,
    Verdict,
)
from tallystick.reconciliation.suspending import RunFacts, suspends_because
from tallystick.reconciliation.tie_out import TieOut, tie_out
from tallystick.tokens import Settler

__all__ = ["VerifiedEarlier", "reconcile"]

#: Tells how much of an issuer's log, up to an index and no further, an earlier run had verified.
VerifiedEarlier: TypeAlias = Callable[[Connection, str, int], VerifiedLog]


class _Judged(NamedTuple):
    """What a run comes to once it is known what two people wrote off."""

    drafts: list[BreakDraft]
    verdict: Verdict
    accepted_minor: int
    suspended_because: str | None
    known_ids: list[str | None]


def reconcile(
    connection: Connection,
    settler: Settler,
    actor: Principal,
    token_class_id: str,
    *,
    as_of: datetime | None = None,
    bank_as_of: datetime | None = None,
    earlier: VerifiedEarlier | None = None,
) -> Reconciliation:
    """Reconcile a token class, keep the run with what it found, and return it; the caller commits.

    As of two times. `as_of`: events that were booked and bank data that had come by then. `bank_as_of`: bank data that
    tell of a moment up to then. Without either the run looks at the present: it carries the breaks on, and where the
    bank's data are missing, old, out of order or less than what is issued, it suspends issuance by a signed event in
    this same transaction. A run of a past moment is kept beside and changes nothing.

    The same state gives the same figures, verdict and breaks. What `earlier` says to have been verified is not verified
    once more as long as it is still the same, byte for byte; without it all is. Raises ReconciliationNotAllowedError,
    AsOfInFutureError and TokenClassNotFoundError.
    """
    if not actor.sees_whole_issuer:
        raise ReconciliationNotAllowedError
    now = settler.clock.now()
    if any(moment is not None and moment > now for moment in (as_of, bank_as_of)):
        raise AsOfInFutureError
    issuer_id = actor.issuer_id
    of_class = participants.token_class(connection, issuer_id, token_class_id)
    money = Money(of_class.currency, of_class.scale)
    terms = _terms(connection, of_class, as_of or now)
    backing = Backing(terms.backing)
    # Statements are read after the index is fixed: a deposit is never seen without the statement it came from.
    if as_of is None:
        last_index = events.last_index(connection, issuer_id)
    else:
        last_index = events.index_as_of(connection, issuer_id, as_of)
    times = AsOf(last_index, as_of, bank_as_of, now)
    before = NOTHING_VERIFIED if earlier is None else earlier(connection, issuer_id, last_index)
    compared = gather(connection, actor, of_class, money, backing, times, earlier=before)
    result = tie_out(token_class_id, money, compared.books, compared.bank)
    if as_of is None and bank_as_of is None:
        result = result._replace(breaks=without_matched(connection, issuer_id, result.breaks))
    judged = _judge(connection, of_class, money, terms, compared, result, as_of or now)
    # What was begun earlier and ends later knows less than what is there already.
    current = (
        as_of is None
        and bank_as_of is None
        and not store.has_later_current(connection, issuer_id, token_class_id, now, last_index)
    )
    run = Reconciliation(
        issuer_id=issuer_id,
        id=new_id("reconciliation"),
        token_class_id=token_class_id,
        event_index=last_index,
        ledger_as_of=as_of or now,
        statement_id=compared.statement_id,
        verdict=judged.verdict.value,
        figures={**result.figures, "log": _of_log(compared.log), "breaks": _by_type(money, judged)},
        run_by=actor.id,
        created_at=now,
        bank_as_of=compared.bank_as_of,
        backing=backing.value,
        suspended_because=judged.suspended_because,
        current=current,
    )
    _keep(connection, settler, run, judged, terms)
    return run


def _keep(
    connection: Connection, settler: Settler, run: Reconciliation, judged: _Judged, terms: ReconciliationTerms
) -> None:
    """Write a run with what it found; one of the present moves the breaker and the breaks too."""
    store.add(connection, run)
    break_ids: Sequence[str | None] = judged.known_ids
    if run.current:
        tokens.tell_run(
            connection,
            settler,
            run.issuer_id,
            run.token_class_id,
            run_id=run.id,
            event_index=run.event_index,
            clean=judged.verdict is Verdict.TIED,
            suspends_because=judged.suspended_because,
        )
        # The log's head is locked from here on, so runs carry breaks one after the other.
        break_ids = _carry(connection, run, judged.drafts, terms.due_hours)
    store.add_findings(connection, run.issuer_id, _findings(run, judged.drafts, break_ids))


def _terms(connection: Connection, of_class: TokenClass, at: datetime) -> ReconciliationTerms:
    with pipelined(connection) as pipeline:
        rules = policy.policies_in_force(pipeline, of_class.issuer_id, at)
    facts = ClassFacts(of_class.id, of_class.mode, of_class.currency, of_class.scale)
    return rules.result().of(facts).reconciliation


def _judge(  # noqa: PLR0917 What a judgement rests on.
    connection: Connection,
    of_class: TokenClass,
    money: Money,
    terms: ReconciliationTerms,
    compared: Compared,
    result: TieOut,
    at: datetime,
) -> _Judged:
    drafts = with_causes(result.breaks)
    causes = {draft.cause for draft in drafts}
    known: dict[str, Break] = {
        one.cause: one
        for one in store.read_known(connection, of_class.issuer_id, of_class.id, causes, lock=False)
    }
    made_up_for = corrected(drafts, known.values())
    left = [
        draft
        for draft in drafts
        if draft.cause not in made_up_for and not accepted(draft, known.get(draft.cause))
    ]
    counted = [draft for draft in left if draft.type not in EXPLAINED_TYPES or _overdue(draft, known, at)]
    control_id = ledger_account_id(Code.DEPOSITS_AT_CORE, of_class.id)
    because = suspends_because(
        terms,
        money,
        RunFacts(
            counted,
            compared.books.trial_minor.get(control_id, 0),
            compared.bank.closing_minor is not None,
            compared.bank_as_of,
            compared.gaps,
            at,
        ),
    )
    broken = any(draft.type not in EXPLAINED_TYPES for draft in left)
    return _Judged(
        drafts,
        Verdict.BROKEN if broken else Verdict.TIED,
        sum(draft.difference_minor for draft in drafts if accepted(draft, known.get(draft.cause))),
        because,
        [known[draft.cause].id if draft.cause in known else None for draft in drafts],
    )


def _overdue(draft: BreakDraft, known: Mapping[str, Break], at: datetime) -> bool:
    """What was to follow and did not come in time covers nothing any more."""
    before = known.get(draft.cause)
    return before is not None and before.ended_at is None and before.due_at < at


def _of_log(log: Replayed) -> dict[str, str | None]:
    """What the run can vouch for of the whole log, whatever class its events are of."""
    return {
        "root_hash": log.root_hash.hex(),
        "verified_size": None if log.verified is None else str(log.verified.size),
        "verified_before": str(log.verified_before.size),
    }


def _by_type(money: Money, judged: _Judged) -> dict[str, str | None]:
    sums = dict.fromkeys(sorted({draft.type.value for draft in judged.drafts}), 0)
    for draft in judged.drafts:
        sums[draft.type.value] += draft.difference_minor
    return {**{name: money.text(minor) for name, minor in sums.items()}, **_written_off(money, judged)}


def _written_off(money: Money, judged: _Judged) -> dict[str, str | None]:
    return {"written_off": money.text(judged.accepted_minor)} if judged.accepted_minor else {}


def _carry(
    connection: Connection, run: Reconciliation, drafts: Sequence[BreakDraft], due_hours: Mapping[str, int]
) -> list[str]:
    issuer_id = run.issuer_id
    causes = {draft.cause for draft in drafts}
    known = store.read_known(connection, issuer_id, run.token_class_id, causes, lock=True)
    carried = carry(run, drafts, known, due_hours, run.created_at)
    store.add_breaks(connection, carried.added)
    for one in carried.changed:
        store.write_break(connection, one)
    numbers = store.read_last_numbers(connection, issuer_id, [step.break_id for step in carried.steps])
    store.add_actions(
        connection,
        issuer_id,
        [
            BreakAction(
                step.break_id,
                numbers.get(step.break_id, 0) + 1,
                step.kind.value,
                run.run_by,
                step.note,
                run.id,
                run.created_at,
            )
            for step in carried.steps
        ],
    )
    return carried.of_drafts


def _findings(
    run: Reconciliation, drafts: Sequence[BreakDraft], break_ids: Sequence[str | None]
) -> list[Finding]:
    return [
        Finding(
            run.id,
            number,
            break_id,
            draft.type.value,
            draft.difference_minor,
            draft.explanation,
            draft.evidence,
        )
        for number, (draft, break_id) in enumerate(zip(drafts, break_ids, strict=True), 1)
    ]
