"""Changes of what signs: a key's beginning, its end, and that it is trusted no more, each told in the log in the clear.

To activate or retire a key takes another person, and so does it to revoke one that signs no more, for that may void
what it signed. Whoever notices a theft revokes the active key alone, at once: it signs its own end and nothing behind.
Where no key is active, or roots say that it is lost, nothing could record a vote, so one person activates a key that
the root manifest names.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import events, identity, signing
from tallystick.signing import KeyState, KeyUse
from tallystick.tokens.changing import Applied, Change, Told, Wanted

__all__ = ["CHANGES_OF_SIGNING_KEYS"]


def _check_activation(connection: Connection, wanted: Wanted) -> int:
    found = _activation(connection, wanted)
    if found.brought_under_root:
        return int(identity.is_founded(connection, wanted.clock, wanted.issuer_id))
    return int(found.replaces is not None and not found.replaces_lost)


def _tell_activation(connection: Connection, wanted: Wanted) -> Told:
    found = _activation(connection, wanted)
    key: dict[str, Any] = {
        "kid": found.key.id,
        "manifest_sha256": found.manifest_sha256.hex(),
        "manifest_version": found.manifest_version,
        "use": str(found.key.use),
        "x": found.key.jwk()["x"],
    }
    if found.replaces is not None:
        key["replaces"] = found.replaces
    return Told({"key": key}, found.key.id if found.key.use == KeyUse.EVENT else None)


def _activate(connection: Connection, applied: Applied) -> None:
    newest = signing.newest_manifest(connection, applied.issuer_id)
    if newest is None:
        raise signing.RootManifestAbsentError
    signing.activate(
        connection,
        applied.issuer_id,
        applied.subject_id,
        at=applied.booked_at,
        event_index=applied.event_index,
        manifest_version=newest.manifest.version,
    )


def _activation(connection: Connection, wanted: Wanted) -> signing.Activation:
    return signing.check_activation(
        connection,
        wanted.issuer_id,
        wanted.subject_id,
        expected_key_id=wanted.payload.get("expected_key_id"),
    )


def _check_retirement(connection: Connection, wanted: Wanted) -> int:
    signing.check_retirement(connection, wanted.issuer_id, wanted.subject_id)
    return 1


def _tell_end(connection: Connection, wanted: Wanted) -> Told:
    key = signing.signing_key(connection, wanted.issuer_id, wanted.subject_id)
    members: dict[str, Any] = {"kid": key.id, "use": str(key.use)}
    since = wanted.payload.get("compromised_from_index")
    return Told({"key": members if since is None else {**members, "compromised_from_index": since}})


def _retire(connection: Connection, applied: Applied) -> None:
    signing.retire(
        connection,
        applied.issuer_id,
        applied.subject_id,
        at=applied.booked_at,
        event_index=applied.event_index,
    )


def _check_revocation(connection: Connection, wanted: Wanted) -> int:
    key = signing.check_revocation(
        connection,
        wanted.issuer_id,
        wanted.subject_id,
        **_revocation(wanted.payload),
        last_index=events.last_index(connection, wanted.issuer_id),
    )
    return int(key.state == KeyState.RETIRED)


def _revoke(connection: Connection, applied: Applied) -> None:
    signing.revoke(
        connection,
        applied.issuer_id,
        applied.subject_id,
        at=applied.booked_at,
        event_index=applied.event_index,
        **_revocation(applied.payload),
    )


def _revocation(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reason": payload["reason"],
        "compromised_from_index": payload.get("compromised_from_index"),
    }


CHANGES_OF_SIGNING_KEYS: Final[dict[str, Change]] = {
    "signing_key_activation": Change("signing_key.activated", _check_activation, _activate, _tell_activation),
    "signing_key_retirement": Change("signing_key.retired", _check_retirement, _retire, _tell_end),
    "signing_key_revocation": Change("signing_key.revoked", _check_revocation, _revoke, _tell_end),
}
