"""Policies in force for tests that are about something else: as if people had let them through already."""

from typing import Any

from sqlalchemy import Connection

from tallystick import policy
from tallystick.policy import Policy, read_document
from tallystick.tokens import Kind
from tests.bank import Bank

__all__ = ["approve_policy", "let_into_force"]


def approve_policy(bank: Bank, currency: str = "USD", **members: Any) -> str:
    """Let people let a policy with these members into force, as the log has it; return its id."""
    document = read_document({"format": "tallystick-policy/1", **members})
    drafted = bank.database.run(
        lambda connection: policy.draft(
            connection,
            bank.clock,
            bank.operator,
            token_class_id=bank.classes[currency].id,
            document=document,
        )
    )
    asked = bank.ask(
        Kind.CHANGE,
        bank.operator,
        operation="policy_activation",
        related_id=drafted.id,
        payload={"reason": "Decided."},
    )
    bank.approve(asked.resource_id)
    return drafted.id


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
