"""Importing lists and screening holders in the tests' bank, each in a transaction that commits."""

from dataclasses import replace
from typing import Any

from tallystick import screening
from tallystick.core.pipeline import pipelined
from tallystick.participants import Holder
from tallystick.screening import ListImport, Rescreened, Screening
from tests.bank import Bank
from tests.screening.listed import SIZE_MAX_BYTES, lines

__all__ = ["clear", "confirm", "current", "import_list", "renamed", "rescreen", "screen", "standings"]


def import_list(
    bank: Bank, *listed: object, name: str = "fictitious", version: str = "1", **asked: Any
) -> ListImport:
    return bank.database.run(
        lambda connection: screening.import_list(
            connection,
            bank.clock,
            bank.operator,
            lines(*listed),
            name=name,
            version=version,
            size_max_bytes=SIZE_MAX_BYTES,
            **asked,
        )
    )


def rescreen(bank: Bank, **asked: Any) -> Rescreened:
    return bank.database.run(
        lambda connection: screening.rescreen(connection, bank.clock, bank.issuer_id, **asked)
    )


def screen(bank: Bank, holder: Holder, **asked: Any) -> list[Screening]:
    return bank.database.run(
        lambda connection: screening.screen_holder(connection, bank.clock, bank.issuer_id, holder, **asked)
    )


def renamed(bank: Bank, holder: str, legal_name: str) -> Holder:
    """Return a holder as a change of name would leave it; the table has no such verb yet."""
    return replace(bank.holders[holder], legal_name=legal_name)


def standings(bank: Bank) -> dict[str, str]:
    """Return how every holder stands, by short name, asked as the write path does."""
    ids = {holder.id: name for name, holder in bank.holders.items()}
    with bank.database.read() as connection:
        with pipelined(connection) as pipeline:
            asked = screening.standing(pipeline, bank.issuer_id, list(ids))
            by_account = screening.standing_of_accounts(
                pipeline, bank.issuer_id, [one.id for one in bank.accounts.values()]
            )
        found = asked.result()
        holder_of = {one.id: one.holder_id for one in bank.accounts.values()}
        told = {(holder_of[account_id], one) for account_id, one in by_account.result().items()}
    assert told == {(holder_id, one) for holder_id, one in found.items() if holder_id in holder_of.values()}
    return {ids[holder_id]: str(one) for holder_id, one in found.items()}


def current(bank: Bank, holder: str) -> Screening:
    """Return a holder's one screening that counts."""
    with bank.database.read() as connection:
        [found] = screening.screenings(connection, bank.issuer_id, holder_id=bank.holders[holder].id)
    return found


def clear(bank: Bank, screening_id: str, **asked: Any) -> Screening:
    return _decide(bank, screening.clear, screening_id, asked)


def confirm(bank: Bank, screening_id: str, **asked: Any) -> Screening:
    return _decide(bank, screening.confirm, screening_id, asked)


def _decide(bank: Bank, decide: Any, screening_id: str, asked: dict[str, Any]) -> Screening:
    given = {"reason": "Seen in person.", "decided_by": bank.maker.id, "approvals": ["vote"], **asked}
    decided: Screening = bank.database.run(
        lambda connection: decide(connection, bank.clock, bank.issuer_id, screening_id, **given)
    )
    return decided
