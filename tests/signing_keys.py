"""How the people of a rooted bank change what signs."""

import itertools
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from tallystick import events, signing
from tallystick.signing import KeyUse, SignedManifest, SigningKey
from tallystick.tokens import ROOT_FOLDER, Kind, Outcome
from tests.bank import Bank

__all__ = [
    "activate_key",
    "change_key",
    "come_under_root",
    "name_keys",
    "prepared_key",
    "replace_key",
    "revoke_key",
]

_numbers = itertools.count(1)


def prepared_key(bank: Bank, use: KeyUse = KeyUse.EVENT, *, named: bool = True) -> SigningKey:
    """Prepare one more key, and let the root name it."""
    made = bank.database.run(
        lambda connection: signing.prepare_key(
            connection, bank.clock, bank.issuer_id, bank.key_directory, use=use
        )
    )
    if named:
        name_keys(bank)
    return made


def name_keys(bank: Bank, *, lost: str | None = None) -> SignedManifest:
    """Sign the next manifest with the bank's root, and put it in."""
    origin = f"log.example/{bank.issuer_id}"

    def work(connection: Connection) -> SignedManifest:
        signed = signing.unsigned(
            signing.draft_manifest(
                connection, bank.issuer_id, origin=origin, lost=frozenset({lost} if lost else ())
            )
        )
        for key_id in bank.roots.key_ids(ROOT_FOLDER):
            signed = signing.add_signature(signed, bank.roots.signer(ROOT_FOLDER, key_id))
        return signing.import_manifest(
            connection, bank.clock, bank.issuer_id, signed.document(), origin=origin
        )

    return bank.database.run(work)


def come_under_root(bank: Bank) -> SignedManifest:
    """Give an older bank a root that names its keys, unless it has one; the key that signs is still to be activated."""
    origin = f"log.example/{bank.issuer_id}"
    with bank.database.engine.begin() as connection:
        newest = signing.newest_manifest(connection, bank.issuer_id)
        if newest is not None:
            return newest
        root = bank.roots.create(ROOT_FOLDER)
        drafted = signing.draft_manifest(
            connection,
            bank.issuer_id,
            origin=origin,
            root_keys=(root,),
            spans=events.key_spans(connection, bank.issuer_id),
        )
        signer = bank.roots.signer(ROOT_FOLDER, signing.thumbprint(root))
        document = signing.add_signature(signing.unsigned(drafted), signer).document()
        return signing.import_manifest(connection, bank.clock, bank.issuer_id, document, origin=origin)


def change_key(bank: Bank, operation: str, key_id: str, payload: Mapping[str, Any]) -> Outcome:
    """Ask as the operator for a change of a key; return what became of the asking."""
    return bank.outcome(
        bank.request(
            Kind.CHANGE,
            bank.operator,
            key=f"key change {next(_numbers)}",
            operation=operation,
            related_id=key_id,
            payload={"reason": "As agreed.", **payload},
            reason="As agreed.",
        )
    )


def activate_key(bank: Bank, key_id: str, **payload: Any) -> Outcome:
    """Activate a key, with another person where it takes one; return the outcome that settled it."""
    asked = change_key(bank, "signing_key_activation", key_id, payload)
    return asked if asked.refusal or asked.event_index is not None else bank.approve(asked.resource_id)


def replace_key(bank: Bank, use: KeyUse = KeyUse.EVENT) -> SigningKey:
    """Prepare, name and activate a key in the active one's place."""
    made = prepared_key(bank, use)
    activate_key(bank, made.id)
    return bank.database.run(lambda connection: signing.signing_key(connection, bank.issuer_id, made.id))


def revoke_key(bank: Bank, key_id: str, **payload: Any) -> Outcome:
    """Revoke a key, with another person where it takes one."""
    asked = change_key(bank, "signing_key_revocation", key_id, payload)
    return asked if asked.refusal or asked.event_index is not None else bank.approve(asked.resource_id)
