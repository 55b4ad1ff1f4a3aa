"""Policies in force for tests that are about something else: as if people had let them through already."""

from typing import Any

from sqlalchemy import Connection

from tallystick import policy
from tallystick.policy import Policy, read_document
from tests.bank import Bank

__all__ = ["let_into_force"]


def let_into_force(bank: Bank, currency: str = "USD", **members: Any) -> Policy:
    """Let a policy with these members decide in a class from the bank's present moment on."""
    document = read_document({"format": "tallystick-policy/1", **members})

    def work(connection: Connection) -> Policy:
        drafted = policy.draft(
            connection,
            bank.clock,
            bank.operator,
            token_class_id=bank.classes[currency].id,
            document=document,
        )
        return policy.activate(connection, bank.clock, bank.issuer_id, drafted.id, [b"v" * 32])

    return bank.database.run(work)
