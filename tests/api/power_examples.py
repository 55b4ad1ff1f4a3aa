"""Examples of what gives power, takes it, or decides a screening: each on a principal or holder of its own."""

import json
from collections.abc import Callable
from typing import Any

from joserfc.jwk import OKPKey

from tallystick import participants, screening, signing
from tallystick.core.ids import new_suffix
from tallystick.participants import HolderKind, KycStatus, Principal, Role
from tests.api.edge import api_key
from tests.bank import Bank
from tests.signing_keys import come_under_root, prepared_key

__all__ = ["POWER_EXAMPLES"]

Made = tuple[Role, str, dict[str, Any], dict[str, Any]]
_SECRET_SHA256 = "5e" * 32


def _person(bank: Bank) -> Principal:
    with bank.database.engine.begin() as connection:
        return participants.register_principal(
            connection,
            bank.clock,
            bank.issuer_id,
            name="Nora Newcomer",
            roles=frozenset({Role.TREASURY_MAKER}),
            person="Nora Newcomer",
        )


def _holder(bank: Bank) -> participants.Holder:
    with bank.database.engine.begin() as connection:
        return participants.register_holder(
            connection,
            bank.clock,
            bank.issuer_id,
            kind=HolderKind.PLATFORM,
            legal_name=f"Bazaar {new_suffix()}",
            country="DE",
            residency="DE",
            platform_id=None,
            kyc_status=KycStatus.VERIFIED,
        )


def _asked(path: str, identifier: str, body: dict[str, Any]) -> Made:
    before, _, behind = path.partition("{")
    filled = before + identifier + behind.partition("}")[2]
    return Role.OPERATOR, filled, {**body, "reason": "As agreed."}, {**body, "reason": "Otherwise."}


def _key(bank: Bank, path: str) -> Made:
    return _asked(path, _person(bank).id, {"secret_sha256": _SECRET_SHA256, "lifetime_days": 30})


def _rotation(bank: Bank, path: str) -> Made:
    of = _person(bank)
    api_key(bank, of)
    with bank.database.read() as connection:
        [key] = participants.api_keys(connection, bank.issuer_id, principal_id=of.id)
    body = {"key_id": key.id, "secret_sha256": _SECRET_SHA256, "lifetime_days": 30, "overlap_hours": 24}
    return _asked(path, of.id, body)


def _client(bank: Bank, path: str) -> Made:
    jwk = OKPKey.generate_key("Ed25519").as_dict(private=False)
    public = {name: str(jwk[name]) for name in ("kty", "crv", "x")}
    body = {"use": "token", "jwk": public, "algorithm": "EdDSA", "lifetime_days": 30}
    return _asked(path, _person(bank).id, body)


def _reactivation(bank: Bank, path: str) -> Made:
    of = _person(bank)
    with bank.database.engine.begin() as connection:
        participants.suspend(connection, bank.issuer_id, of.id, "On leave.")
    return _asked(path, of.id, {})


def _terms(bank: Bank, path: str) -> Made:
    return _asked(path, _person(bank).id, {"roles": ["treasury_checker"], "scopes": ["read"]})


def _kill_switch(bank: Bank, path: str) -> Made:
    holder = _holder(bank)
    with bank.database.engine.begin() as connection:
        participants.register_principal(
            connection,
            bank.clock,
            bank.issuer_id,
            name="Bazaar's server",
            roles=frozenset({Role.PLATFORM}),
            holder_id=holder.id,
        )
    return _asked(path, holder.id, {})


def _hit(bank: Bank, path: str) -> Made:
    holder = _holder(bank)
    listed = {"id": "listed", "schema": "Company", "properties": {"name": [holder.legal_name]}}
    content = json.dumps(listed).encode()
    with bank.database.engine.begin() as connection:
        screening.import_list(
            connection,
            bank.clock,
            bank.operator,
            content,
            name=f"fictitious-{new_suffix()}",
            version="1",
            size_max_bytes=len(content),
        )
        screening.screen_holder(connection, bank.clock, bank.issuer_id, holder)
    with bank.database.read() as connection:
        found = screening.screenings(connection, bank.issuer_id, state="hit", holder_id=holder.id)
    return _asked(path, found[0].id, {})


def _key_to_activate(bank: Bank, path: str) -> Made:
    come_under_root(bank)
    with bank.database.read() as connection:
        active = signing.active_key(connection, bank.issuer_id, signing.KeyUse.EVENT)
    assert active is not None
    return _asked(path, active.id, {})


def _key_to_retire(bank: Bank, path: str) -> Made:
    with bank.database.read() as connection:
        active = signing.active_key(connection, bank.issuer_id, signing.KeyUse.CHECKPOINT)
    assert active is not None
    return _asked(path, active.id, {})


def _key_to_revoke(bank: Bank, path: str) -> Made:
    return _asked(path, prepared_key(bank, named=False).id, {"compromised_from_index": 0})


POWER_EXAMPLES: dict[str, Callable[[Bank, str], Made]] = {
    "/v1/holders/{holder_id}/suspend": _kill_switch,
    "/v1/principals/{principal_id}/api-keys": _key,
    "/v1/principals/{principal_id}/api-keys/rotate": _rotation,
    "/v1/principals/{principal_id}/clients": _client,
    "/v1/principals/{principal_id}/reactivate": _reactivation,
    "/v1/principals/{principal_id}/terms": _terms,
    "/v1/screenings/{screening_id}/clear": _hit,
    "/v1/screenings/{screening_id}/confirm": _hit,
    "/v1/signing-keys/{key_id}/activate": _key_to_activate,
    "/v1/signing-keys/{key_id}/retire": _key_to_retire,
    "/v1/signing-keys/{key_id}/revoke": _key_to_revoke,
}
