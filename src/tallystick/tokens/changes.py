"""Changes: what is no movement of money and still needs another person, or must be signed into the log.

Each is asked for, approved and recorded like an instruction, on the one write path, and carried out by the room that it
belongs to, in the same transaction. What makes the bank stricter (a pause, a suspension) takes effect at once; what
makes it laxer waits for people.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from tallystick import business_dates, liabilities, participants, policy, screening, seals
from tallystick.core.clock import Clock, FixedClock
from tallystick.core.errors import ConflictError
from tallystick.participants import ClassMode
from tallystick.tokens import store
from tallystick.tokens.changes_of_matching import CHANGES_OF_MATCHING
from tallystick.tokens.changes_of_payouts import CHANGES_OF_PAYOUTS
from tallystick.tokens.changes_of_principals import CHANGES_OF_PRINCIPALS
from tallystick.tokens.changes_of_signing_keys import CHANGES_OF_SIGNING_KEYS
from tallystick.tokens.changing import Applied, Change, Told, Wanted
from tallystick.tokens.store import BreakerRow

__all__ = ["CHANGES", "BreakerConflictError", "CleanRunNeededError", "add_change"]


class BreakerConflictError(ConflictError):
    """The breaker is in this state already."""

    code = "breaker_conflict"
    title = "The breaker is in this state already"


class CleanRunNeededError(ConflictError):
    """A suspended issuance goes on only behind a reconciliation of the present that found nothing wrong since."""

    code = "clean_run_needed"
    title = "A reconciliation without open breaks is needed first"


# The less a mode lets through, the further it stands behind.
_STRICTNESS: Final = {ClassMode.NORMAL: 0, ClassMode.REDEEM_ONLY: 1, ClassMode.PAUSED: 2}


def _as_booked(applied: Applied) -> Clock:
    """Return the moment that the log has, so that rules begin and end at their event's place in it."""
    return FixedClock(applied.booked_at)


def _check_activation(connection: Connection, wanted: Wanted) -> int:
    policy.check_activation(connection, wanted.clock, wanted.issuer_id, wanted.subject_id)
    return 1


def _activate(connection: Connection, applied: Applied) -> None:
    policy.activate(
        connection, _as_booked(applied), applied.issuer_id, applied.subject_id, applied.approval_hashes
    )


def _check_retirement(connection: Connection, wanted: Wanted) -> int:
    policy.check_retirement(connection, wanted.clock, wanted.issuer_id, wanted.subject_id)
    return 1


def _retire(connection: Connection, applied: Applied) -> None:
    policy.retire(connection, _as_booked(applied), applied.issuer_id, applied.subject_id)


def _check_mode(connection: Connection, wanted: Wanted) -> int:
    mode = ClassMode(wanted.payload["mode"])
    present = participants.check_class_mode(connection, wanted.issuer_id, wanted.subject_id, mode)
    return int(_STRICTNESS[mode] < _STRICTNESS[ClassMode(present.mode)])


def _set_mode(connection: Connection, applied: Applied) -> None:
    mode = ClassMode(applied.payload["mode"])
    participants.set_class_mode(connection, applied.issuer_id, applied.subject_id, mode)


def _check_breaker(connection: Connection, wanted: Wanted, state: str) -> None:
    participants.token_class(connection, wanted.issuer_id, wanted.subject_id)
    found = store.read_breakers(connection, wanted.issuer_id).get(wanted.subject_id)
    if (found.state if found else "closed") == state:
        raise BreakerConflictError(f"The breaker is {state}.")


def _check_trip(connection: Connection, wanted: Wanted) -> int:
    _check_breaker(connection, wanted, "tripped")
    return 0


def _check_reset(connection: Connection, wanted: Wanted) -> int:
    _check_breaker(connection, wanted, "closed")
    if store.read_breakers(connection, wanted.issuer_id)[wanted.subject_id].clean_run_id is None:
        raise CleanRunNeededError
    return 1


def _set_breaker(state: str) -> Callable[[Connection, Applied], None]:
    def apply(connection: Connection, applied: Applied) -> None:
        row = BreakerRow(
            applied.subject_id, state, applied.payload["reason"], applied.booked_at, applied.event_index
        )
        store.write_breaker(connection, applied.issuer_id, row)

    return apply


def _check_clearance(connection: Connection, wanted: Wanted) -> int:
    screening.check_clearance(connection, wanted.issuer_id, wanted.subject_id)
    return 1


def _check_confirmation(connection: Connection, wanted: Wanted) -> int:
    screening.check_confirmation(connection, wanted.issuer_id, wanted.subject_id)
    return 1


def _decide_screening(decide: Callable[..., object]) -> Callable[[Connection, Applied], None]:
    def apply(connection: Connection, applied: Applied) -> None:
        decide(
            connection,
            applied.clock,
            applied.issuer_id,
            applied.subject_id,
            reason=applied.payload["reason"],
            decided_by=applied.principal_id,
            approvals=[one.hex() for one in applied.approval_hashes],
        )

    return apply


def _nothing_to_check(_connection: Connection, _wanted: Wanted) -> int:
    return 0


def _nothing_to_do(_connection: Connection, _applied: Applied) -> None:
    """Say by the event alone that it happened; what it is about is recorded by who asked, in the same transaction."""


def _tell_pack(_connection: Connection, wanted: Wanted) -> Told:
    return Told({"manifest_sha256": wanted.payload["manifest_sha256"]})


def _check_calendar(_connection: Connection, wanted: Wanted) -> int:
    business_dates.calendar_terms(wanted.payload)
    return 1


def _set_calendar(connection: Connection, applied: Applied) -> None:
    business_dates.set_calendar(
        connection,
        applied.issuer_id,
        applied.payload,
        set_by=applied.principal_id,
        set_at=applied.booked_at,
        event_index=applied.event_index,
    )


def _check_seal(connection: Connection, wanted: Wanted) -> int:
    seals.check_seal(connection, wanted.issuer_id, wanted.payload)
    return 0


def _record_seal(connection: Connection, applied: Applied) -> None:
    seals.record(
        connection,
        applied.issuer_id,
        applied.payload,
        sealed_at=applied.booked_at,
        event_index=applied.event_index,
    )


def _check_attestation(connection: Connection, wanted: Wanted) -> int:
    liabilities.check_attestation(connection, wanted.issuer_id, wanted.subject_id, wanted.payload)
    return 0


def _tell_attestation(_connection: Connection, wanted: Wanted) -> Told:
    return Told({name: wanted.payload[name] for name in liabilities.TOLD_OF_A_TREE})


def _attest(connection: Connection, applied: Applied) -> None:
    liabilities.attest(
        connection, applied.issuer_id, applied.subject_id, applied.event_index, applied.booked_at
    )


CHANGES: Final[dict[str, Change]] = {
    "liability_attestation": Change("liabilities.attested", _check_attestation, _attest, _tell_attestation),
    "policy_activation": Change("policy.activated", _check_activation, _activate),
    "policy_retirement": Change("policy.retired", _check_retirement, _retire),
    "token_class_mode": Change("token_class.mode_changed", _check_mode, _set_mode),
    "breaker_trip": Change("breaker.tripped", _check_trip, _set_breaker("tripped")),
    "breaker_reset": Change("breaker.reset", _check_reset, _set_breaker("closed")),
    "records_seal": Change("records.sealed", _check_seal, _record_seal),
    "screening_clearance": Change("screening.cleared", _check_clearance, _decide_screening(screening.clear)),
    "screening_confirmation": Change(
        "screening.confirmed", _check_confirmation, _decide_screening(screening.confirm)
    ),
    # The room of exports stands above this one: it records the pack itself, in the same transaction.
    "export_making": Change("export.made", _nothing_to_check, _nothing_to_do, _tell_pack),
    "business_calendar": Change("business_calendar.set", _check_calendar, _set_calendar),
    **CHANGES_OF_MATCHING,
    **CHANGES_OF_PAYOUTS,
    **CHANGES_OF_PRINCIPALS,
    **CHANGES_OF_SIGNING_KEYS,
}


def add_change(operation: str, change: Change) -> None:
    """Make a change known that a room above this one carries out; to be called while that room is loaded."""
    CHANGES[operation] = change
