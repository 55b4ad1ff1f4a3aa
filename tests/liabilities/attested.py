"""Attesting in tests, as the API does: a tree made beside the write path, and then the change that signs its root."""

from datetime import datetime
from typing import Any

from tallystick import liabilities, participants, tokens
from tallystick.core.money import format_amount
from tallystick.liabilities import Attestation, Liability, PreparedTree
from tallystick.tokens import Kind, Outcome
from tests.bank import Bank

__all__ = ["attest", "change_to", "proof_document", "record_of", "tree_of"]


def tree_of(bank: Bank, currency: str = "USD", *, key: str, as_of: datetime | None = None) -> PreparedTree:
    """Make the tree that a request under a key is to attest, or return the one made for it before."""
    return liabilities.tree_for(
        bank.database,
        bank.clock,
        bank.issuer_id,
        token_class_id=bank.classes[currency].id,
        as_of=as_of,
        key_digest=tokens.key_digest(bank.maker.id, "liability_attestation", key),
        request_hash=tokens.request_hash(
            "liability_attestation", {"currency": currency, "as_of": str(as_of)}
        ),
    )


def change_to(bank: Bank, tree: PreparedTree, **changed: Any) -> Outcome:
    """Ask the write path to attest a tree, as it is or as something else; return the outcome, refusal or not."""
    with bank.database.read() as connection:
        of_class = participants.token_class(connection, bank.issuer_id, tree.token_class_id)
    payload = liabilities.told(of_class, tree) | changed
    return bank.outcome(
        bank.request(
            Kind.CHANGE,
            bank.maker,
            operation="liability_attestation",
            related_id=tree.id,
            payload=payload,
        )
    )


def attest(
    bank: Bank, currency: str = "USD", *, key: str = "attest", as_of: datetime | None = None
) -> Attestation:
    """Attest what is owed in a class; return the attestation."""
    tree = tree_of(bank, currency, key=key, as_of=as_of)
    outcome = change_to(bank, tree)
    assert outcome.refusal is None, outcome.refusal
    with bank.database.read() as connection:
        return liabilities.attestation(connection, bank.issuer_id, tree.id)


def record_of(bank: Bank, holder: str, currency: str = "USD") -> Liability:
    """Return what a holder is owed in a class, as a record."""
    with bank.database.read() as connection:
        [found] = liabilities.liabilities(
            connection,
            bank.issuer_id,
            holder_ids=[bank.holders[holder].id],
            token_class_id=bank.classes[currency].id,
        )
    return found


def proof_document(bank: Bank, holder: str, of: Attestation, currency: str = "USD") -> dict[str, Any]:
    """Return what a holder is given, without a receipt: the API's answer, made here from the room's verbs."""
    record = record_of(bank, holder, currency)
    scale = bank.classes[currency].scale
    with bank.database.read() as connection:
        found = liabilities.proof(connection, record, of)
        jws = connection.exec_driver_sql(
            "SELECT jws FROM event WHERE issuer_id = %s AND event_index = %s",
            (bank.issuer_id, of.event_index),
        ).scalar_one()
    return {
        "object": "liability_proof",
        "format": "tallystick-liability-proof/1",
        "issuer_id": bank.issuer_id,
        "attestation_id": of.tree.id,
        "token_class_id": of.tree.token_class_id,
        "currency": currency,
        "scale": scale,
        "as_of_index": of.tree.as_of_index,
        "liability_id": record.id,
        "amount": format_amount(found.amount_minor, scale),
        "salt": found.salt.hex(),
        "position": found.position,
        "path": [{"hash": one.hash.hex(), "sum": format_amount(one.sum_minor, scale)} for one in found.path],
        "signed_event": jws,
        "receipt": None,
    }
