"""Who calls: keys, clients and their tokens, the bank's identity provider, signed requests, and limits on calls."""

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.clock import Clock
from tallystick.identity import store
from tallystick.identity.access_tokens import (
    AccessToken,
    ScopeNotGrantedError,
    find_token_bearer,
    issue_access_token,
)
from tallystick.identity.assertions import (
    ASSERTION_LIFETIME_MAX,
    AssertionRefusedError,
    ProvenClient,
    prove_client,
)
from tallystick.identity.client_addresses import client_address
from tallystick.identity.clients import (
    Client,
    ClientKeyReusedError,
    ClientLifetimeRefusedError,
    ClientNotFoundError,
    ClientUse,
    client_text,
)
from tallystick.identity.failed_attempts import FailedAttempts
from tallystick.identity.founding import FoundedError, is_founded, require_founding
from tallystick.identity.key_sets import IdentityProviderUnavailableError, KeySet
from tallystick.identity.message_signatures import (
    SIGNATURE_AGE_MAX,
    HeaderLines,
    SignatureInvalidError,
    SignatureRequiredError,
    SignedRequest,
    verify_request,
)
from tallystick.identity.public_keys import JwkRefusedError
from tallystick.identity.rate_limits import (
    LEASE_SECONDS,
    Lease,
    RateLimitedError,
    capacity_of,
    lease_size,
    low_mark,
    retry_after,
    take_lease,
)
from tallystick.identity.registering import check_client, public_members, register_client, revoke_client
from tallystick.identity.staff_tokens import (
    StaffClaims,
    StaffRules,
    StaffTokens,
    find_staff_bearer,
    looks_like_jwt,
)
from tallystick.participants import Bearer

__all__ = [
    "ASSERTION_LIFETIME_MAX",
    "LEASE_SECONDS",
    "SIGNATURE_AGE_MAX",
    "AccessToken",
    "AssertionRefusedError",
    "Client",
    "ClientKeyReusedError",
    "ClientLifetimeRefusedError",
    "ClientNotFoundError",
    "ClientUse",
    "FailedAttempts",
    "FoundedError",
    "HeaderLines",
    "IdentityProviderUnavailableError",
    "JwkRefusedError",
    "KeySet",
    "Lease",
    "ProvenClient",
    "RateLimitedError",
    "ScopeNotGrantedError",
    "SignatureInvalidError",
    "SignatureRequiredError",
    "SignedRequest",
    "StaffClaims",
    "StaffRules",
    "StaffTokens",
    "capacity_of",
    "check_client",
    "client_address",
    "client_text",
    "clients",
    "find_bearer",
    "find_staff_bearer",
    "is_founded",
    "issue_access_token",
    "lease_size",
    "looks_like_jwt",
    "low_mark",
    "prove_client",
    "public_members",
    "register_client",
    "require_founding",
    "retry_after",
    "revoke_client",
    "take_lease",
    "verify_request",
]


def find_bearer(connection: Connection, clock: Clock, presented: str) -> Bearer:
    """Return who bears this key or access token.

    Raises AccessEndedError after its principal's term, ApiKeyInvalidError for everything else.
    """
    if presented.startswith("tst_"):
        return find_token_bearer(connection, clock, presented)
    return participants.bearer(connection, clock, presented)


def clients(
    connection: Connection, issuer_id: str, principal_id: str, *, after: str = "", limit: int = 100
) -> list[Client]:
    """Return a page of a principal's clients. Raises PrincipalNotFoundError."""
    participants.principal(connection, issuer_id, principal_id)
    return store.read_clients(connection, issuer_id, principal_id, after, limit)
