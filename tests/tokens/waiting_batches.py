"""Batches of Harbour's as the API makes them of a body, and the people who look at them."""

from typing import Any

from tallystick import tokens
from tallystick.core.ids import with_prefix
from tallystick.participants import Principal
from tallystick.tokens import Kind, Outcome, Request, Submission
from tests.bank import Bank

__all__ = ["batch_of", "item", "read", "settle", "vote", "waits"]


def item(bank: Bank, payee: str, amount: str, key: str | None = None, **other: str) -> dict[str, str]:
    of_key = {} if key is None else {"idempotency_key": key}
    return {
        "payer_account_id": bank.account_id("HARBOUR-USD"),
        "payee_account_id": bank.account_id(payee),
        "amount": amount,
        "currency": "USD",
        **other,
        **of_key,
    }


def batch_of(
    bank: Bank,
    *items: dict[str, str],
    atomic: bool = False,
    key: str = "batch",
    principal: Principal | None = None,
) -> Submission:
    """Return a batch as the API makes it of a body."""
    asked_by = principal or bank.platform
    body = {"items": list(items), "atomic": atomic}
    requests = []
    for number, one in enumerate(items):
        fields = {name: value for name, value in one.items() if name != "idempotency_key"}
        requests.append(
            Request(
                id=tokens.new_instruction_id(Kind.TRANSFER),
                kind=Kind.TRANSFER,
                principal=asked_by,
                key_digest=tokens.key_digest(
                    asked_by.id, Kind.TRANSFER, one.get("idempotency_key") or f"{key}\0{number}"
                ),
                request_hash=tokens.request_hash(Kind.TRANSFER, {"body": fields}),
                **fields,  # type: ignore[arg-type]
            )
        )
    batch = Request(
        id=tokens.new_instruction_id(Kind.TRANSFER_BATCH),
        kind=Kind.TRANSFER_BATCH,
        principal=asked_by,
        key_digest=tokens.key_digest(asked_by.id, Kind.TRANSFER_BATCH, key),
        request_hash=tokens.request_hash(Kind.TRANSFER_BATCH, {"body": body}),  # type: ignore[dict-item]
        payload=body,
    )
    return Submission(tuple(requests), batch, atomic)


def settle(bank: Bank, submission: Submission) -> Outcome:
    outcome = bank.settle(submission)[0].batch
    assert outcome is not None
    return outcome


def waits(bank: Bank, *items: dict[str, str], **asked: Any) -> str:
    outcome = settle(bank, batch_of(bank, *items, **asked))
    assert outcome.refusal is None, outcome.refusal
    assert outcome.status == 202
    return outcome.resource_id


def vote(
    bank: Bank, batch_id: str, amount: str | None, principal: Principal | None = None, **typed: Any
) -> Outcome:
    return bank.outcome(
        bank.request(
            Kind.APPROVE,
            principal or bank.checker,
            related_id=with_prefix("approval", batch_id),
            amount=amount,
            **{"currency": "USD", **typed},
        )
    )


def read(bank: Bank, batch_id: str, viewer: Principal | None = None) -> dict[str, Any]:
    with bank.database.read() as connection:
        return tokens.read_batch(connection, viewer or bank.platform, batch_id)
