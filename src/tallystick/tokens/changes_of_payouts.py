"""The change that makes a payout file: two people let exactly these payouts go to the bank, once.

Checked, told and written under the issuer's log head: its place in the sequence has no gap, and no payout is in two.
"""

from typing import Final

from sqlalchemy import Connection

from tallystick import payouts
from tallystick.tokens.beneficiaries import check_beneficiaries
from tallystick.tokens.changing import Applied, Change, Told, Wanted

__all__ = ["CHANGES_OF_PAYOUTS"]


def _check(connection: Connection, wanted: Wanted) -> int:
    checkers = payouts.check_file(connection, wanted.issuer_id, wanted.subject_id, wanted.payload)
    check_beneficiaries(connection, wanted.issuer_id, wanted.payload["payout_ids"])
    return checkers


def _tell(connection: Connection, wanted: Wanted) -> Told:
    return Told(
        payouts.tell_file(connection, wanted.issuer_id, wanted.subject_id, wanted.payload, wanted.clock.now())
    )


def _make(connection: Connection, applied: Applied) -> None:
    payouts.make_file(
        connection,
        applied.issuer_id,
        applied.subject_id,
        applied.payload,
        applied.members,
        made_by=applied.principal_id,
        event_index=applied.event_index,
    )


CHANGES_OF_PAYOUTS: Final[dict[str, Change]] = {
    "payout_file": Change("payout_file.made", _check, _make, tell=_tell)
}
