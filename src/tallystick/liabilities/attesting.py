"""Attestations: what the bank owes in one token class at one place of its log, as one root that each holder can check.

A tree is made beside the write path, from a snapshot of books that never change again; then the write path signs its
root and total into the log. What was made and never attested proves nothing and harms nothing. A crash in between
leaves the tree, and the same request with the same key goes on with that one.
"""

import secrets
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection

from tallystick import events, ledger, participants
from tallystick.core.clock import Clock
from tallystick.core.database import Database
from tallystick.core.errors import InvariantError
from tallystick.core.ids import new_id
from tallystick.core.money import format_amount
from tallystick.ledger import CLAIM_CODES, INDEX_MAX, ledger_account_id, standpoint
from tallystick.liabilities import store
from tallystick.liabilities.merkle_sum import (
    LEVELS_PER_TILE,
    Node,
    Tree,
    build,
    leaf,
    path_within,
    place_in,
    salt_of,
)
from tallystick.liabilities.records import (
    Attestation,
    AttestationConflictError,
    AttestationNotFoundError,
    LiabilityNotAttestedError,
    LiabilityProof,
    PreparedTree,
    TooManyLiabilitiesError,
)
from tallystick.liabilities.register import Liability
from tallystick.participants import TokenClass

__all__ = [
    "TOLD_OF_A_TREE",
    "TREE_FORMAT",
    "attest",
    "attestation",
    "attestations",
    "check_attestation",
    "newest_attestation",
    "proof",
    "rebuilt",
    "told",
    "total_minor_at",
    "tree_for",
]

#: What a verifier has to know to check a path; another way to hash gets another name.
TREE_FORMAT: Final = "merkle-sum-v1"
LIABILITIES_MAX: Final = 2_097_152
#: The members of the signed event that tell of a tree; see `told`.
TOLD_OF_A_TREE: Final = (
    "as_of_index",
    "currency",
    "depth",
    "root_hash",
    "scale",
    "token_class_id",
    "total",
    "tree_format",
)
_SECRET_SIZE_BYTES: Final = 32
_RECORDS_AT_ONCE: Final = 5_000
# A tree takes some hundred megabytes per million liabilities, so each process makes one at a time.
_making: Final = threading.Lock()


def tree_for(
    database: Database,
    clock: Clock,
    issuer_id: str,
    *,
    token_class_id: str,
    as_of: datetime | None,
    key_digest: bytes,
    request_hash: bytes,
) -> PreparedTree:
    """Return the tree that a request is to attest: the one made for it before, or a new one as of a moment or now.

    Raises TokenClassNotFoundError, TooManyLiabilitiesError, and InvariantError if register and books differ: what is
    not true is not attested.
    """
    with _making:
        with database.read() as connection:
            of_class = participants.token_class(connection, issuer_id, token_class_id)
            found = store.read_tree_of_request(connection, issuer_id, key_digest, request_hash)
            if found is not None:
                return found
            if as_of is None:
                index = events.last_index(connection, issuer_id)
            else:
                index = events.index_as_of(connection, issuer_id, as_of)
            secret = secrets.token_bytes(_SECRET_SIZE_BYTES)
            made = _made(connection, issuer_id, of_class, index, secret)
        tree_id = new_id("attestation")

        def keep(connection: Connection) -> PreparedTree:
            prepared = PreparedTree(
                tree_id, of_class.id, index, made.depth, made.root.hash, made.root.sum_minor
            )
            kept = store.insert_tree(
                connection,
                issuer_id,
                prepared,
                secret=secret,
                key_digest=key_digest,
                request_hash=request_hash,
                made_at=clock.now(),
            )
            if kept:
                store.insert_tiles(connection, issuer_id, tree_id, made.tiles)
                return prepared
            # Another process was faster with the same request.
            faster = store.read_tree_of_request(connection, issuer_id, key_digest, request_hash)
            assert faster is not None, "a tree is never deleted"
            return faster

        return database.run(keep)


def told(of_class: TokenClass, tree: PreparedTree) -> dict[str, Any]:
    """Return what the signed event tells of a tree, which is all that anybody but its holders gets to know."""
    return {
        "as_of_index": tree.as_of_index,
        "currency": of_class.currency,
        "depth": tree.depth,
        "root_hash": tree.root_hash.hex(),
        "scale": of_class.scale,
        "token_class_id": of_class.id,
        "total": format_amount(tree.total_minor, of_class.scale),
        "tree_format": TREE_FORMAT,
    }


def check_attestation(
    connection: Connection, issuer_id: str, tree_id: str, claimed: Mapping[str, Any]
) -> None:
    """Refuse to attest what was not made here, or was attested before.

    Raises AttestationNotFoundError, AttestationConflictError.
    """
    tree = store.read_tree(connection, issuer_id, tree_id)
    if tree is None:
        raise AttestationNotFoundError
    if claimed != told(participants.token_class(connection, issuer_id, tree.token_class_id), tree):
        raise AttestationNotFoundError("The tree is another one than the request says.")
    if store.read_attestation(connection, issuer_id, tree_id) is not None:
        raise AttestationConflictError


def attest(
    connection: Connection, issuer_id: str, tree_id: str, event_index: int, attested_at: datetime
) -> None:
    """Keep where in the log a tree was attested."""
    store.insert_attestation(connection, issuer_id, tree_id, event_index, attested_at)


def attestation(connection: Connection, issuer_id: str, attestation_id: str) -> Attestation:
    """Return one attestation or raise AttestationNotFoundError."""
    found = store.read_attestation(connection, issuer_id, attestation_id)
    if found is None:
        raise AttestationNotFoundError
    return found


def newest_attestation(
    connection: Connection, issuer_id: str, token_class_id: str, event_index_max: int = INDEX_MAX
) -> Attestation:
    """Return what was attested last of a class, by its place in the log; raises AttestationNotFoundError."""
    found = store.read_newest_attestation(connection, issuer_id, token_class_id, event_index_max)
    if found is None:
        raise AttestationNotFoundError
    return found


def attestations(
    connection: Connection, issuer_id: str, *, token_class_id: str | None, after: str = "", limit: int = 100
) -> list[Attestation]:
    """Return a page of attestations, oldest first."""
    return store.read_attestations(
        connection, issuer_id, token_class_id=token_class_id, after=after, limit=limit
    )


def proof(connection: Connection, record: Liability, of: Attestation) -> LiabilityProof:
    """Return what shows that a liability is counted in; for its holder only, since it holds the leaf's salt.

    Raises LiabilityNotAttestedError, and InvariantError if the books as of the attested index are others by now.
    """
    tree = of.tree
    amount_minor = _owed_minor(connection, record, tree.as_of_index)
    if record.token_class_id != tree.token_class_id or amount_minor is None:
        raise LiabilityNotAttestedError
    salt = salt_of(store.read_secret(connection, record.issuer_id, tree.id), record.id)
    own = leaf(salt, record.id, amount_minor)
    position = _position(connection, of, own)
    path: list[Node] = []
    for level in range(0, tree.depth, LEVELS_PER_TILE):
        place = position >> level
        nodes = store.read_tile(connection, record.issuer_id, tree.id, level, place >> LEVELS_PER_TILE)
        path += path_within(nodes, place % 2**LEVELS_PER_TILE)
    return LiabilityProof(of, record.id, own.sum_minor, salt, position, path)


def total_minor_at(connection: Connection, issuer_id: str, token_class_id: str, event_index: int) -> int:
    """Return what the root of a tree as of an index would come to: the sum of its leaves, without making it.

    A tree has a leaf for each liability on record; what is owed to somebody without a record is in none. Constant
    memory, and no hash: whoever needs the root makes a tree.
    """
    claims = ledger.stream_claims(
        connection, issuer_id, token_class_id, standpoint(connection, issuer_id, event_index)
    )
    total_minor = 0
    while page := list(islice(claims, _RECORDS_AT_ONCE)):
        owners = participants.owners_of_accounts(
            connection, issuer_id, [account_id for account_id, _ in page]
        )
        on_record = store.read_registered(connection, issuer_id, token_class_id, sorted(set(owners.values())))
        total_minor += sum(minor for account_id, minor in page if owners.get(account_id) in on_record)
    return total_minor


def rebuilt(connection: Connection, of: Attestation) -> Node:
    """Return the root as the books give it now: the attested one, unless somebody changed the past."""
    issuer_id, tree = of.issuer_id, of.tree
    of_class = participants.token_class(connection, issuer_id, tree.token_class_id)
    secret = store.read_secret(connection, issuer_id, tree.id)
    return _made(connection, issuer_id, of_class, tree.as_of_index, secret).root


def _made(
    connection: Connection, issuer_id: str, of_class: TokenClass, event_index: int, secret: bytes
) -> Tree:
    made = build(secret, _leaves(connection, issuer_id, of_class.id, event_index, secret))
    at = standpoint(connection, issuer_id, event_index)
    supply_minor = ledger.supply_at_minor(connection, issuer_id, of_class.id, at)
    if made.root.sum_minor != supply_minor:
        raise InvariantError(f"the register of {of_class.id} is not its supply at event {event_index}")
    return made


def _leaves(
    connection: Connection, issuer_id: str, token_class_id: str, event_index: int, secret: bytes
) -> Iterator[Node]:
    totals_minor = _totals(connection, issuer_id, token_class_id, event_index)
    if len(totals_minor) > LIABILITIES_MAX:
        raise TooManyLiabilitiesError
    after = ""
    while page := store.read_liabilities(
        connection,
        issuer_id,
        holder_ids=None,
        token_class_id=token_class_id,
        after=after,
        limit=_RECORDS_AT_ONCE,
    ):
        after = page[-1].id
        for record in page:
            amount_minor = totals_minor.get(record.holder_id)
            if amount_minor is not None:
                yield leaf(salt_of(secret, record.id), record.id, amount_minor)


def _totals(connection: Connection, issuer_id: str, token_class_id: str, event_index: int) -> dict[str, int]:
    """Return what is owed to each holder that anything had touched by then; one may have several accounts."""
    totals_minor: dict[str, int] = {}
    at = standpoint(connection, issuer_id, event_index)
    claims = ledger.stream_claims(connection, issuer_id, token_class_id, at)
    while page := list(islice(claims, _RECORDS_AT_ONCE)):
        owners = participants.owners_of_accounts(
            connection, issuer_id, [account_id for account_id, _ in page]
        )
        for account_id, claim_minor in page:
            holder_id = owners[account_id]
            totals_minor[holder_id] = totals_minor.get(holder_id, 0) + claim_minor
    return totals_minor


def _owed_minor(connection: Connection, record: Liability, event_index: int) -> int | None:
    """Return what was owed under one record, or None if nothing had touched it by then."""
    account_ids = participants.account_ids_of(
        connection, record.issuer_id, record.holder_id, record.token_class_id
    )
    ids = [ledger_account_id(code, account_id) for account_id in account_ids for code in CLAIM_CODES]
    at = standpoint(connection, record.issuer_id, event_index)
    balances_minor = ledger.balances_at(connection, record.issuer_id, ids, at)
    return sum(balances_minor.values()) if balances_minor else None


def _position(connection: Connection, of: Attestation, own: Node) -> int:
    """Find a leaf's place by halving: leaves lie in the order of their hashes."""
    low, high = 0, (2**of.tree.depth - 1) >> LEVELS_PER_TILE
    while low < high:
        middle = (low + high + 1) // 2
        first = store.read_tile(connection, of.issuer_id, of.tree.id, 0, middle)[: len(own.hash)]
        low, high = (middle, high) if first <= own.hash else (low, middle - 1)
    place = place_in(store.read_tile(connection, of.issuer_id, of.tree.id, 0, low), own)
    if place is None:
        raise InvariantError(f"a liability is not the one that {of.tree.id} was made of")
    return (low << LEVELS_PER_TILE) + place
