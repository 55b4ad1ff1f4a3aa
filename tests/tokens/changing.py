"""Asking for changes in tests, and reading what the log has of them."""

import json
from typing import Any

from jwt.utils import base64url_decode

from tallystick import participants
from tallystick.core.ids import with_prefix
from tallystick.participants import Principal, Role
from tallystick.tokens import Kind, Outcome
from tests.bank import Bank
from tests.database import connect

__all__ = ["another_checker", "asked", "code_of", "log_of", "refers", "rows", "vote"]


def code_of(outcome: Outcome) -> str:
    """Return why it was refused, or `settled` for what was not, waiting included."""
    return "settled" if outcome.refusal is None else outcome.refusal.code


def rows(bank: Bank, query: str) -> list[tuple[Any, ...]]:
    """Return what a query finds."""
    with connect(bank.urls.superuser_url) as connection:
        return list(connection.execute(query.encode()).fetchall())


def log_of(bank: Bank) -> list[dict[str, Any]]:
    """Return the payloads of the bank's events, in the order of the log."""
    tokens = rows(bank, f"SELECT jws FROM event WHERE issuer_id = '{bank.issuer_id}' ORDER BY event_index")
    return [json.loads(base64url_decode(str(token).split(".")[1])) for (token,) in tokens]


def vote(
    bank: Bank, instruction_id: str, checker: Principal, kind: Kind = Kind.APPROVE, **typed: Any
) -> Outcome:
    """Let somebody decide what waits under an instruction's id; return the outcome, refusal or not."""
    return bank.outcome(
        bank.request(kind, checker, related_id=with_prefix("approval", instruction_id), **typed)
    )


def asked(outcome: Outcome) -> dict[str, Any]:
    """Return an answer's JSON."""
    body: dict[str, Any] = json.loads(outcome.body)
    return body


def another_checker(bank: Bank, name: str = "Carla Checker") -> Principal:
    """Register one more person who may check."""
    return bank.database.run(
        lambda connection: participants.register_principal(
            connection,
            bank.clock,
            bank.issuer_id,
            name=name,
            roles=frozenset({Role.TREASURY_CHECKER}),
            person=name,
        )
    )


def refers(*kinds: str, above_minor: int = 0, effect: str = "refer") -> dict[str, Any]:
    """Return a rule that lets people look at amounts of these kinds above so many minor units."""
    return {
        "id": "large_one",
        "on": list(kinds),
        "when": f"amount_minor > {above_minor}",
        "effect": effect,
        "code": "large_one",
        "message": "A large one.",
    }
