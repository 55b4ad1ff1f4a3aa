"""Writing a break off: two people accept the difference as it is, by a signed event.

Where the books' control account and the bank's statement differ by it, the event is also the entry that takes it as the
bank's own operational loss (5020): behind it both are the same, and the next run finds nothing there. What no entry of
the control account can mend (the log, supply, the register, holds, timing) is accepted as it stands, for exactly this
difference and type: a run that finds another one opens the break again.
"""

from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.errors import InvariantError
from tallystick.core.money import AmountMalformedError, parse_amount
from tallystick.ledger import Code, ledger_account_id
from tallystick.reconciliation import store
from tallystick.reconciliation.pairing import CAUSES, KINDS
from tallystick.reconciliation.records import ENDED_STATES, ActionKind, Break, BreakState, BreakType
from tallystick.reconciliation.refusals import (
    BreakBundledError,
    BreakChangedError,
    BreakEndedError,
    BreakNotFoundError,
)
from tallystick.reconciliation.working import take_action
from tallystick.tokens import Applied, Change, Entry, Told, Wanted, add_change

__all__ = ["WRITE_OFF"]

#: What the change is called.
WRITE_OFF: Final = "break_write_off"
_BUNDLES: Final = frozenset(f"more:{kind}" for kind in KINDS)


def _check(connection: Connection, wanted: Wanted) -> int:
    """Refuse to write off another difference than the one that was typed: what people approve is this one."""
    # Locked until what was asked for is kept or carried out, so that nobody resolves it meanwhile.
    found = store.lock_break(connection, wanted.issuer_id, wanted.subject_id)
    if found is None:
        raise BreakNotFoundError
    _check_as_typed(connection, found, wanted)
    if found.cause in _BUNDLES:
        raise BreakBundledError
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


def _tell(connection: Connection, wanted: Wanted) -> Told:
    """Return the entry of a difference on the control account, and the cause that it makes up for."""
    found = store.lock_break(connection, wanted.issuer_id, wanted.subject_id)
    if found is None:
        raise InvariantError("a break is gone under its lock")
    if found.type == BreakType.TIMING or not found.cause.startswith(CAUSES):
        return Told({})
    of_class = participants.token_class(connection, wanted.issuer_id, found.token_class_id)
    control_id, loss_id = _accounts(of_class.id)
    more_in_books = found.difference_minor > 0
    entry = Entry(
        of_class.id,
        of_class.currency,
        of_class.scale,
        abs(found.difference_minor),
        debited=loss_id if more_in_books else control_id,
        credited=control_id if more_in_books else loss_id,
    )
    return Told({"cause": found.cause}, entry=entry)


def _locks(connection: Connection, issuer_id: str, break_id: str) -> list[str]:
    """Return the accounts that a break's write-off may post to: a break's class never changes."""
    found = store.read_break(connection, issuer_id, break_id)
    return [] if found is None else _accounts(found.token_class_id)


def _accounts(token_class_id: str) -> list[str]:
    return [
        ledger_account_id(code, token_class_id) for code in (Code.DEPOSITS_AT_CORE, Code.OPERATIONAL_LOSS)
    ]


def _apply(connection: Connection, applied: Applied) -> None:
    found = store.lock_break(connection, applied.issuer_id, applied.subject_id)
    if found is None or found.state in ENDED_STATES:
        raise InvariantError("a break changed under its lock")
    corrected_by = None if applied.entry is None else applied.instruction_id
    after = replace(
        found,
        state=BreakState.WRITTEN_OFF.value,
        instruction_id=corrected_by,
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
        corrected_by,
    )


add_change(WRITE_OFF, Change("break.written_off", _check, _apply, _tell, _locks))
