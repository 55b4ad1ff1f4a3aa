"""THE write path. No token is made, moved or taken back anywhere else."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from sqlalchemy import Connection

from tallystick import participants
from tallystick.core.canonical_json import CanonicalValue, canonical_json
from tallystick.core.ids import new_id
from tallystick.participants import AccountNotFoundError, Principal
from tallystick.tokens import store
from tallystick.tokens.answers import Made, answer_once
from tallystick.tokens.group_commit import (
    DeadlineExceededError,
    GroupCommit,
    QueueFullError,
    ShuttingDownError,
)
from tallystick.tokens.instructions import (
    ID_PREFIX,
    ConfirmedByHand,
    Instruction,
    Kind,
    Outcome,
    Request,
    State,
    Submission,
)
from tallystick.tokens.locking import Settler
from tallystick.tokens.opening import open_account, open_issuer, open_token_class
from tallystick.tokens.refusals import InstructionNotFoundError, InternalError
from tallystick.tokens.render import EVENT_TYPES, resource
from tallystick.tokens.settle import SubmissionOutcome, settle

__all__ = [
    "EVENT_TYPES",
    "ConfirmedByHand",
    "DeadlineExceededError",
    "GroupCommit",
    "Instruction",
    "InstructionNotFoundError",
    "InternalError",
    "Kind",
    "Made",
    "Outcome",
    "QueueFullError",
    "Request",
    "Settler",
    "ShuttingDownError",
    "State",
    "Submission",
    "SubmissionOutcome",
    "answer_once",
    "deposits_confirmed_by_hand",
    "instruction",
    "instructions",
    "instructions_by_id",
    "key_digest",
    "new_instruction_id",
    "open_account",
    "open_issuer",
    "open_token_class",
    "request_hash",
    "resource",
    "settle",
    "settled_keys",
]


def new_instruction_id(kind: str) -> str:
    """Return a fresh id with the kind's prefix, such as `transfer_…`."""
    return new_id(ID_PREFIX[kind])


def key_digest(principal_id: str, operation: str, idempotency_key: str) -> bytes:
    """Return where the answer to this key is kept: unique per principal and operation, for ever."""
    return hashlib.sha256(f"{principal_id}\0{operation}\0{idempotency_key}".encode()).digest()


def request_hash(operation: str, asked: Mapping[str, CanonicalValue]) -> bytes:
    """Return the SHA-256 of the canonical JSON of what is asked: the same request, however it is spelled."""
    return hashlib.sha256(canonical_json({"operation": str(operation), "request": asked})).digest()


def instruction(connection: Connection, viewer: Principal, kind: str, instruction_id: str) -> Instruction:
    """Return one instruction of a kind that `viewer` may know of, or raise InstructionNotFoundError."""
    found = store.read_instruction(connection, viewer.issuer_id, instruction_id)
    if found is None or found.kind != kind:
        raise InstructionNotFoundError
    if not viewer.sees_whole_issuer and not _concerns(connection, viewer, found):
        raise InstructionNotFoundError
    return found


def instructions(
    connection: Connection,
    issuer_id: str,
    kind: str,
    *,
    state: str | None = None,
    account_ids: Sequence[str] | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Instruction]:
    """Return a page of instructions of a kind, oldest first; `account_ids` keeps those on either side of them."""
    return store.read_instructions(
        connection, issuer_id, kind=kind, state=state, account_ids=account_ids, after=after, limit=limit
    )


def instructions_by_id(connection: Connection, issuer_id: str, ids: Sequence[str]) -> dict[str, Instruction]:
    """Return instructions by id; absent ones are left out."""
    return store.read_instructions_by_id(connection, issuer_id, ids)


def deposits_confirmed_by_hand(
    connection: Connection, issuer_id: str, account_ids: Sequence[str], *, since: date, until: date
) -> list[ConfirmedByHand]:
    """Return the settled deposits to these accounts that name no statement's entry, in the order of the log.

    Only those whose value date lies from `since` to `until`, both included. Under the lock of the class's control
    account (1100) none can be added: each posts there.
    """
    return store.read_confirmed_by_hand(connection, issuer_id, account_ids, since, until)


def settled_keys(connection: Connection, issuer_id: str, last_index: int) -> Iterator[tuple[bytes, int]]:
    """Yield the digest of every idempotency key that settled something, sorted, with the index of its event.

    Up to `last_index`, in constant memory. What was answered never changes, so equal arguments yield the same for ever.
    """
    after = b""
    while page := store.read_settled_keys(connection, issuer_id, after, last_index, limit=1_000):
        yield from page
        after = page[-1][0]


def _concerns(connection: Connection, viewer: Principal, found: Instruction) -> bool:
    for account_id in (found.payer_account_id, found.payee_account_id):
        if account_id is None:
            continue
        try:
            participants.account(connection, viewer, account_id)
        except AccountNotFoundError:
            continue
        return True
    return False
