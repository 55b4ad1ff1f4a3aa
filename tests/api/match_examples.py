"""Examples of what is decided about matches, on items of their own, and of a statement that was cut short."""

from collections.abc import Callable
from typing import Any

from tallystick import matching
from tallystick.core.ids import new_id
from tallystick.matching import Expected, ItemKind
from tallystick.participants import Role
from tallystick.statements.taking_up import take_up
from tests.bank import Bank
from tests.camt_writer import Entry, statement
from tests.statements.imports import read

__all__ = ["MATCH_EXAMPLES", "proposed"]

Made = tuple[Role, str, dict[str, Any], dict[str, Any]]
_REASON = {"reason": "As the core's screen shows."}
_OTHER = {"reason": "Otherwise."}


def _items(bank: Bank) -> list[str]:
    """Expect two things of the books that cancel each other."""
    ids = [new_id("payout"), new_id("fee")]
    expected = [
        Expected(ids[0], ItemKind.PAYOUT, -500, bank.clock.now().date()),
        Expected(ids[1], ItemKind.FEE, 500, bank.clock.now().date()),
    ]
    bank.database.run(
        lambda connection: matching.expect(
            connection, bank.clock, bank.issuer_id, bank.classes["USD"].id, expected
        )
    )
    return ids


def _proposal(bank: Bank, path: str) -> Made:
    body = {"bank_item_ids": [], "book_item_ids": _items(bank)}
    return Role.TREASURY_MAKER, path, {**body, **_REASON}, {**body, **_OTHER}


def proposed(bank: Bank) -> str:
    """Propose a match of two items of its own; return its id."""
    ids = _items(bank)
    return bank.database.run(
        lambda connection: matching.propose(
            connection, bank.clock, bank.maker, bank_item_ids=[], book_item_ids=ids, reason="They cancel."
        )
    ).id


def _decision(bank: Bank, path: str) -> Made:
    return Role.TREASURY_MAKER, path.replace("{match_id}", proposed(bank)), _REASON, _OTHER


def _undoing(bank: Bank, path: str) -> Made:
    match_id = proposed(bank)
    bank.database.run(lambda connection: matching.accept(connection, bank.clock, bank.maker, match_id))
    return Role.TREASURY_MAKER, path.replace("{match_id}", match_id), _REASON, _OTHER


def _terms(bank: Bank, path: str) -> Made:
    body = {"tolerance": "0.05", "days_max": 5, "automatic_from": "exact", **_REASON}
    filled = path.replace("{token_class_id}", bank.classes["EUR"].id)
    return Role.OPERATOR, filled, body, {**body, "days_max": 6}


def _abandonment(bank: Bank, path: str) -> Made:
    file = read(statement(Entry("1.00"), statement_id=new_id("cut")[:35], day="2026-01-05"))
    [taken] = bank.database.run(lambda connection: take_up(connection, bank.settler, bank.maker, file))
    filled = path.replace("{statement_id}", taken.statement.id)
    return Role.TREASURY_MAKER, filled, _REASON, _OTHER


MATCH_EXAMPLES: dict[str, Callable[[Bank, str], Made]] = {
    "/v1/matches": _proposal,
    "/v1/matches/{match_id}/accept": _decision,
    "/v1/matches/{match_id}/reject": _decision,
    "/v1/matches/{match_id}/undo": _undoing,
    "/v1/statements/{statement_id}/abandon": _abandonment,
    "/v1/token-classes/{token_class_id}/matching-terms": _terms,
}
