"""Whom payouts pay, as screening knows them: a hit refers the payout to people, and keeps it out of every file.

They are screened before the write path is asked, and again before a file is, so that nothing is compared with a list
under the issuer's log head; there only their standing is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection

from tallystick import payouts, screening
from tallystick.core.clock import Clock
from tallystick.core.errors import DomainError
from tallystick.core.pipeline import pipelined
from tallystick.payouts import PAYOUTS_PER_FILE_MAX, Beneficiary, FileFormat, PayoutFileOutdatedError
from tallystick.screening import Outsider, Standing
from tallystick.tokens.instructions import Kind, Request

__all__ = [
    "ask_for_payout_file",
    "check_beneficiaries",
    "screen_beneficiary",
    "standing_of_beneficiaries",
]


def screen_beneficiary(
    connection: Connection, clock: Clock, issuer_id: str, said: Mapping[str, object], *, threshold: int
) -> None:
    """Screen whom a payout that will be asked for is to pay; what can't be read is left to be refused."""
    asked = _asked(said)
    if asked is not None:
        screening.screen_outsiders(
            connection, clock, issuer_id, [_outsider(issuer_id, asked)], threshold=threshold
        )


def ask_for_payout_file(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    token_class_id: str,
    *,
    file_format: FileFormat,
    execution_date: date,
    threshold: int,
    limit: int = PAYOUTS_PER_FILE_MAX,
) -> dict[str, Any]:
    """Return a file of payouts that wait now, as `payouts.ask_for_file` does, of those that screening lets go.

    Whom they pay is screened as the lists are now. What is held gives its place in the file to the next ones, until
    there are no more. Raises TokenClassNotFoundError.
    """
    held: set[str] = set()
    while True:
        wanted = payouts.ask_for_file(
            connection,
            issuer_id,
            token_class_id,
            file_format=file_format,
            execution_date=execution_date,
            limit=limit,
            held=held,
        )
        more = _held(connection, clock, issuer_id, wanted["payout_ids"], threshold)
        if not more:
            return wanted
        held |= more


def _held(
    connection: Connection, clock: Clock, issuer_id: str, payout_ids: Sequence[str], threshold: int
) -> set[str]:
    found = payouts.payouts(connection, issuer_id, payout_ids)
    paid = {one.id: _outsider(issuer_id, one.beneficiary) for one in found.values()}
    standings = screening.screen_outsiders(connection, clock, issuer_id, paid.values(), threshold=threshold)
    return {payout_id for payout_id, one in paid.items() if standings[one.id] != Standing.CLEAR}


def check_beneficiaries(connection: Connection, issuer_id: str, payout_ids: Sequence[str]) -> None:
    """Refuse a file in which somebody is paid whom screening does not know as clear: PayoutFileOutdatedError."""
    found = payouts.payouts(connection, issuer_id, payout_ids)
    paid = {one.id: _outsider(issuer_id, one.beneficiary).id for one in found.values()}
    standings = _standings(connection, issuer_id, paid.values())
    for payout_id, outsider_id in paid.items():
        if standings[outsider_id] != Standing.CLEAR:
            raise PayoutFileOutdatedError(
                "A beneficiary of this file waits for a screening.", payout_id=payout_id
            )


def standing_of_beneficiaries(
    connection: Connection, issuer_id: str, requests: Sequence[Request], approved: Sequence[str]
) -> dict[str, str]:
    """Return, by payout, how whom it pays stands: of those that are asked for, and of those that are approved."""
    paid = {
        one.id: _outsider(issuer_id, asked).id
        for one in requests
        if one.kind == Kind.PAYOUT and (asked := _asked(one.payload or {})) is not None
    }
    if approved:
        found = payouts.payouts(connection, issuer_id, approved)
        paid |= {one.id: _outsider(issuer_id, one.beneficiary).id for one in found.values()}
    if not paid:
        return {}
    standings = _standings(connection, issuer_id, paid.values())
    return {payout_id: str(standings[outsider_id]) for payout_id, outsider_id in paid.items()}


def _standings(connection: Connection, issuer_id: str, ids: Iterable[str]) -> dict[str, Standing]:
    with pipelined(connection) as pipeline:
        asked = screening.standing(pipeline, issuer_id, sorted(set(ids)))
    return asked.result()


def _asked(said: Mapping[str, object]) -> Beneficiary | None:
    try:
        return payouts.asked(said).beneficiary
    except DomainError:
        return None


def _outsider(issuer_id: str, of: Beneficiary) -> Outsider:
    return screening.outsider(issuer_id, of.name, of.country)
