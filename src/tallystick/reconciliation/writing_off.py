"""Writing a break off: the bank accepts the difference as it is. Two people do, by a signed event; no entry is posted.

It holds for exactly this difference: a run that finds another one opens the break again.
"""

from dataclasses import replace

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.errors import InvariantError
from tallystick.core.money import AmountMalformedError, parse_amount
from tallystick.reconciliation import store
from tallystick.reconciliation.records import ENDED_STATES, ActionKind, Break, BreakState
from tallystick.reconciliation.refusals import BreakChangedError, BreakEndedError, BreakNotFoundError
from tallystick.reconciliation.working import take_action
from tallystick.tokens import Applied, Change, Wanted, add_change

__all__ = ["WRITE_OFF"]

#: What the change is called.
WRITE_OFF = "break_write_off"


def _check(connection: Connection, wanted: Wanted) -> int:
    """Refuse to write off another difference than the one that was typed: what people approve is this one."""
    # Locked until what was asked for is kept or carried out, so that nobody resolves it meanwhile.
    found = store.lock_break(connection, wanted.issuer_id, wanted.subject_id)
    if found is None:
        raise BreakNotFoundError
    _check_as_typed(connection, found, wanted)
    return 1


def _check_as_typed(connection: Connection, found: Break, wanted: Wanted) -> None:
    if found.state in ENDED_STATES:
        raise BreakEndedError(f"The break is {found.state}.")
    of_class = participants.token_class(connection, wanted.issuer_id, found.token_class_id)
    typed = str(wanted.payload["difference"])
    sign = -1 if typed.startswith("-") else 1
    typed_minor = sign * parse_amount(typed.removeprefix("-"), of_class.scale)
    if sign < 0 and typed_minor == 0:
        raise AmountMalformedError("Zero has no sign.")
    if wanted.payload["currency"] != of_class.currency or typed_minor != found.difference_minor:
        raise BreakChangedError


def _apply(connection: Connection, applied: Applied) -> None:
    found = store.lock_break(connection, applied.issuer_id, applied.subject_id)
    if found is None or found.state in ENDED_STATES:
        raise InvariantError("a break changed under its lock")
    after = replace(
        found,
        state=BreakState.WRITTEN_OFF.value,
        accepted_minor=found.difference_minor,
        ended_at=applied.booked_at,
    )
    take_action(
        connection,
        applied.clock,
        applied.principal_id,
        after,
        ActionKind.WRITTEN_OFF,
        str(applied.payload["reason"]),
        None,
    )


add_change(WRITE_OFF, Change("break.written_off", _check, _apply))
