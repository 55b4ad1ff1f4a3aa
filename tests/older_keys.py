"""Signing keys as releases before events about keys left them: active or ended in the table alone."""

from typing import Any

from sqlalchemy import Connection

from tallystick import signing
from tallystick.core.clock import Clock
from tallystick.signing import KeyDirectory, KeyUse, SigningKey

__all__ = ["begin_older_key", "end_older_key", "replace_older_key", "revoke_older_key"]


def begin_older_key(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    key_directory: KeyDirectory,
    *,
    use: KeyUse = KeyUse.EVENT,
) -> SigningKey:
    """Make a key active that no event tells of, as releases before events about keys did."""
    made = signing.prepare_key(connection, clock, issuer_id, key_directory, use=use)
    _set(connection, made, "state = 'active', activated_at = %s", clock)
    return signing.signing_key(connection, issuer_id, made.id)


def replace_older_key(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    key_directory: KeyDirectory,
    *,
    use: KeyUse = KeyUse.EVENT,
) -> SigningKey:
    """Retire the active key, if there is one, and make another active; no event tells of either."""
    end_older_key(connection, clock, issuer_id, use=use)
    return begin_older_key(connection, clock, issuer_id, key_directory, use=use)


def end_older_key(
    connection: Connection, clock: Clock, issuer_id: str, *, use: KeyUse = KeyUse.EVENT
) -> None:
    """Retire the active key, if there is one."""
    active = signing.active_key(connection, issuer_id, use)
    if active is not None:
        _set(connection, active, "state = 'retired', retired_at = %s", clock)


def revoke_older_key(
    connection: Connection, clock: Clock, issuer_id: str, key_id: str, *, compromised_at: Any = None
) -> None:
    """Revoke a key by the clock, as releases before events about keys did."""
    connection.exec_driver_sql(
        "UPDATE signing_key SET state = 'revoked', revoked_at = %s, compromised_at = %s, reason = 'Seen on a stick.'"
        " WHERE issuer_id = %s AND id = %s",
        (clock.now(), compromised_at, issuer_id, key_id),
    )


def _set(connection: Connection, key: SigningKey, what: str, clock: Clock) -> None:
    connection.exec_driver_sql(
        f"UPDATE signing_key SET {what} WHERE issuer_id = %s AND id = %s",
        (clock.now(), key.issuer_id, key.id),
    )
