"""The instruction that a request becomes, and the plan that settles it or lets it wait."""

from typing import Any, Final

from tallystick.core.records import maker
from tallystick.ledger import Posting
from tallystick.participants import AccountFacts
from tallystick.policy import ALLOW
from tallystick.tokens.instructions import Instruction, Kind, Request, State
from tallystick.tokens.plans import Facts, Plan, Ruling
from tallystick.tokens.refusals import MakerNotAPersonError

__all__ = ["new_instruction", "settled_now", "settles", "settles_or_waits", "waits"]

_instruction = maker(Instruction)

# Asking a member for its value takes ten times as long.
_STATES: Final = {state: state.value for state in State}

# What a machine may ask for although people have to look at it.
_MACHINES_MAY_ASK = frozenset(
    {Kind.TRANSFER, Kind.HOLD, Kind.HOLD_EXECUTION, Kind.REDEMPTION, Kind.PAYOUT, Kind.DEPOSIT_RELEASE}
)


def new_instruction(
    facts: Facts, request: Request, token_class_id: str | None, amount_minor: int, state: State
) -> Instruction:
    """Return a request as it is kept while nothing has settled."""
    return Instruction(
        request.id,
        request.kind,
        state.value,
        request.principal.id,
        token_class_id,
        amount_minor,
        None,
        request.payer_account_id,
        request.payee_account_id,
        request.related_id,
        request.reference,
        request.reason,
        request.request_hash,
        request.value_date,
        facts.now,
        request.expires_at,
        None,
        None,
        request.operation,
        request.purpose,
        request.source,
    )


def settled_now(facts: Facts, row: Instruction, state: State = State.SETTLED) -> Instruction:
    """Return an earlier instruction as it stands once its event is recorded."""
    return row._replace(
        state=state.value,
        value_date=facts.value_date_of(row.id, row.value_date),
        settled_at=facts.booked_at,
        event_index=facts.next_index,
    )


def settles(
    facts: Facts,
    request: Request,
    of_account: AccountFacts,
    amount_minor: int,
    postings: tuple[Posting, ...],
    *,
    state: State = State.SETTLED,
    remaining_minor: int | None = None,
    changed: tuple[Instruction, ...] = (),
    ruling: Ruling | None = None,
) -> Plan:
    """Return the plan of a request that settles at once."""
    settled = _instruction(
        (
            request.id,
            request.kind,
            _STATES[state],
            request.principal.id,
            of_account.token_class_id,
            amount_minor,
            remaining_minor,
            request.payer_account_id,
            request.payee_account_id,
            request.related_id,
            request.reference,
            request.reason,
            request.request_hash,
            facts.value_date_of(request.id, request.value_date),
            facts.now,
            request.expires_at,
            facts.booked_at,
            facts.next_index,
            None,
            request.purpose,
            request.source,
        )
    )
    return Plan(
        settled,
        of_account.currency,
        of_account.scale,
        postings,
        settled=settled,
        added=settled,
        changed=changed,
        approval_hashes=request.approval_hashes,
        ruling=ruling,
    )


def settles_or_waits(
    facts: Facts,
    request: Request,
    of_account: AccountFacts,
    amount_minor: int,
    postings: tuple[Posting, ...],
    ruling: Ruling,
    *,
    state: State = State.SETTLED,
    remaining_minor: int | None = None,
    changed: tuple[Instruction, ...] = (),
) -> Plan:
    """Return the plan of a request that settles, unless the rules refer it or its amount is for people to approve."""
    decides = ruling.policy
    checkers = decides.checkers(request.kind, amount_minor) if decides.asks_people else 0
    # Who approved a whole batch approved its items; what a rule refers they have not seen.
    if checkers > len(request.approval_hashes) or ruling.decision.effect != ALLOW:
        return waits(facts, request, of_account, amount_minor, checkers=checkers, referred=ruling.referred)
    return settles(
        facts,
        request,
        of_account,
        amount_minor,
        postings,
        state=state,
        remaining_minor=remaining_minor,
        changed=changed,
        ruling=ruling,
    )


def waits(
    facts: Facts,
    request: Request,
    of_account: AccountFacts,
    amount_minor: int,
    *,
    checkers: int = 1,
    referred: list[dict[str, str]] | None = None,
) -> Plan:
    """Return the plan of a request that waits for other people; raises MakerNotAPersonError."""
    if request.principal.person is None and request.kind not in _MACHINES_MAY_ASK:
        raise MakerNotAPersonError
    if request.approval_hashes:
        # An item of a batch that people let through, and has to be looked at by itself: its own approval decides.
        request = request._replace(related_id=None, approval_hashes=())
    waiting = new_instruction(facts, request, of_account.token_class_id, amount_minor, State.PENDING_APPROVAL)
    details: dict[str, Any] | None = None if referred is None else {"referred": referred}
    return Plan(
        waiting,
        of_account.currency,
        of_account.scale,
        added=waiting,
        quorum=max(checkers, 1),
        details=details,
    )
