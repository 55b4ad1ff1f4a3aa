"""THE write path. No token is made, moved or taken back anywhere else."""

from collections.abc import Iterator, Sequence
from datetime import date

from sqlalchemy import Connection

from tallystick import participants
from tallystick.approvals import Approval
from tallystick.ledger import Posting
from tallystick.participants import AccountNotFoundError, Principal
from tallystick.tokens import matching_store, store
from tallystick.tokens.answers import Made, answer_once, answered
from tallystick.tokens.beneficiaries import ask_for_payout_file, screen_beneficiary
from tallystick.tokens.changes import CHANGES, BreakerConflictError, CleanRunNeededError, add_change
from tallystick.tokens.changing import Applied, Change, Entry, Told, Wanted
from tallystick.tokens.decide_changes import postings_of_change
from tallystick.tokens.evidence import bank_data_until, tell_bank_data, tell_run
from tallystick.tokens.expiring import due, system_principal
from tallystick.tokens.founding_logs import ROOT_FOLDER, change_unasked, found_log
from tallystick.tokens.group_commit import (
    DeadlineExceededError,
    GroupCommit,
    QueueFullError,
    ShuttingDownError,
)
from tallystick.tokens.instructions import (
    ConfirmedByHand,
    Instruction,
    Kind,
    Outcome,
    Request,
    State,
    Submission,
)
from tallystick.tokens.issuance import (
    BankDataKind,
    BreakerTrippedError,
    IssuanceSuspendedError,
    kind_of_backing,
    stale_because,
)
from tallystick.tokens.journals import journal
from tallystick.tokens.limits import limits
from tallystick.tokens.matching_store import MatchingTermsRow
from tallystick.tokens.opening import open_account, open_issuer, open_token_class
from tallystick.tokens.refusals import InstructionNotFoundError, InternalError
from tallystick.tokens.render import EVENT_TYPES, order_resource, resource
from tallystick.tokens.requests import key_digest, new_instruction_id, request_hash
from tallystick.tokens.settle import SubmissionOutcome, settle
from tallystick.tokens.settler import Settler
from tallystick.tokens.settling_process import SettlingProcess, SettlingTerms
from tallystick.tokens.simulating import SIMULATED, simulate
from tallystick.tokens.store import BreakerRow
from tallystick.tokens.transfer_batches import postings_of_batch, read_batch

__all__ = [
    "CHANGES",
    "EVENT_TYPES",
    "ROOT_FOLDER",
    "SIMULATED",
    "Applied",
    "BankDataKind",
    "BreakerConflictError",
    "BreakerRow",
    "BreakerTrippedError",
    "Change",
    "CleanRunNeededError",
    "ConfirmedByHand",
    "DeadlineExceededError",
    "Entry",
    "GroupCommit",
    "Instruction",
    "InstructionNotFoundError",
    "InternalError",
    "IssuanceSuspendedError",
    "Kind",
    "Made",
    "MatchingTermsRow",
    "Outcome",
    "QueueFullError",
    "Request",
    "Settler",
    "SettlingProcess",
    "SettlingTerms",
    "ShuttingDownError",
    "State",
    "Submission",
    "SubmissionOutcome",
    "Told",
    "Wanted",
    "add_change",
    "answer_once",
    "answered",
    "ask_for_payout_file",
    "bank_data_until",
    "breakers",
    "change_unasked",
    "deposits_confirmed_by_hand",
    "due",
    "found_log",
    "instruction",
    "instructions",
    "instructions_about",
    "instructions_by_id",
    "key_digest",
    "kind_of_backing",
    "limits",
    "matching_terms",
    "new_instruction_id",
    "open_account",
    "open_issuer",
    "open_token_class",
    "order_resource",
    "postings_of",
    "read_batch",
    "redemptions_referred_to",
    "request_hash",
    "resource",
    "screen_beneficiary",
    "settle",
    "settled_deposits",
    "settled_keys",
    "simulate",
    "stale_because",
    "system_principal",
    "tell_bank_data",
    "tell_run",
]


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


def breakers(connection: Connection, issuer_id: str) -> dict[str, BreakerRow]:
    """Return the breakers of issuance that ever tripped, by token class."""
    return store.read_breakers(connection, issuer_id)


def matching_terms(connection: Connection, issuer_id: str) -> dict[str, MatchingTermsRow]:
    """Return on which terms classes are matched, by token class: those that were ever changed."""
    return matching_store.read_matching_terms(connection, issuer_id)


def settled_deposits(
    connection: Connection, issuer_id: str, ids: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Return place in the log and amount in minor units of those of these deposits that are settled."""
    return matching_store.read_settled_deposits(connection, issuer_id, ids)


def redemptions_referred_to(
    connection: Connection, issuer_id: str, ids: Sequence[str], references: Sequence[str]
) -> list[Instruction]:
    """Return the settled redemptions with one of these ids, or with one of these references; sorted by nothing."""
    return matching_store.read_redemptions_referred_to(connection, issuer_id, ids, references)


def postings_of(row: Instruction, approval: Approval | None = None) -> tuple[Posting, ...]:
    """Return what an instruction posts, or would post: nothing where it moves no money.

    What a batch or a change that waits would post, its `approval` keeps; without that it is nothing.
    """
    if row.kind == Kind.TRANSFER_BATCH:
        return () if approval is None else tuple(postings_of_batch(row, approval))
    if row.kind == Kind.CHANGE:
        return () if approval is None else postings_of_change(approval)
    if row.token_class_id is None or row.amount_minor == 0:
        return ()
    return journal(row.kind, row.amount_minor, row.token_class_id, row.payer_account_id, row.payee_account_id)


def instructions_about(
    connection: Connection, issuer_id: str, subject_id: str, *, limit: int = 100
) -> list[Instruction]:
    """Return the instruction of this id and those that name it, such as the executions of a hold; oldest first."""
    return store.read_instructions_about(connection, issuer_id, subject_id, limit)


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
