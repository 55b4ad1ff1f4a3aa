"""Payouts: tokens redeemed to an account at another bank. Whom each pays, what became of it, and the files that pay.

This room keeps what payment messages need, writes the files, and remembers each step; the write path posts in the same
transaction: 2110 to 2310 when a payout is accepted, 2310 to 1100 when the bank has paid it, and back to 2110 when it
was not. Who may do what, and when, the write path decides from the payout's instruction.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from tallystick.payouts import store
from tallystick.payouts.asking import Asked, asked, check_payable
from tallystick.payouts.filing import PAYOUTS_PER_FILE_MAX, ask_for_file, check_file, make_file, tell_file
from tallystick.payouts.messages import payment_information_id
from tallystick.payouts.records import (
    Beneficiary,
    FiledItem,
    FileFormat,
    Finding,
    FindingAction,
    FindingActionKind,
    FindingKind,
    FindingState,
    NewStatusItem,
    Payout,
    PayoutFile,
    PayoutFiledError,
    PayoutFileNotFoundError,
    PayoutFileOutdatedError,
    PayoutFindingNotFoundError,
    PayoutMalformedError,
    PayoutNotFoundError,
    PayoutStateConflictError,
    PayoutUetrTakenError,
    StatusItem,
    StatusMessage,
    Step,
    StepKind,
)

__all__ = [
    "PAYOUTS_PER_FILE_MAX",
    "Asked",
    "Beneficiary",
    "FileFormat",
    "FiledItem",
    "Finding",
    "FindingAction",
    "FindingActionKind",
    "FindingKind",
    "FindingState",
    "NewStatusItem",
    "Payout",
    "PayoutFile",
    "PayoutFileNotFoundError",
    "PayoutFileOutdatedError",
    "PayoutFiledError",
    "PayoutFindingNotFoundError",
    "PayoutMalformedError",
    "PayoutNotFoundError",
    "PayoutStateConflictError",
    "PayoutUetrTakenError",
    "StatusItem",
    "StatusMessage",
    "Step",
    "StepKind",
    "add_finding",
    "add_finding_action",
    "add_status",
    "ask_for_file",
    "asked",
    "by_uetr",
    "check_file",
    "check_payable",
    "content_of_file",
    "file",
    "file_items",
    "file_of_message",
    "filed",
    "files",
    "filing_classes",
    "finding",
    "finding_actions",
    "findings",
    "lock_finding",
    "lock_statuses",
    "make_file",
    "moved_by",
    "payment_information_id",
    "payouts",
    "record",
    "rejected_since",
    "settled_by",
    "status",
    "status_items",
    "status_items_of",
    "status_known",
    "statuses",
    "steps",
    "tell_file",
    "unsettled",
]


def record(connection: Connection, issuer_id: str, new: Sequence[Payout], taken: Sequence[Step]) -> None:
    """Write payouts and steps that were decided under the lock, in the transaction that posts them."""
    for one in new:
        store.insert_payout(connection, one)
    for step in taken:
        store.insert_step(connection, issuer_id, step)


def payouts(connection: Connection, issuer_id: str, ids: Sequence[str]) -> dict[str, Payout]:
    """Return payouts by id; absent ones are left out."""
    return store.read_payouts(connection, issuer_id, ids)


def by_uetr(connection: Connection, issuer_id: str, uetrs: Iterable[str]) -> dict[str, str]:
    """Return the payouts that have these UETRs, by UETR."""
    return store.read_payouts_by_uetr(connection, issuer_id, uetrs)


def steps(connection: Connection, issuer_id: str, ids: Sequence[str]) -> dict[str, list[Step]]:
    """Return what moved money for these payouts, in the order of the log."""
    return store.read_steps(connection, issuer_id, ids)


def moved_by(
    connection: Connection, issuer_id: str, entry_ids: Sequence[str]
) -> dict[str, list[tuple[int, int]]]:
    """Return, by the bank's entry, what it settled and returned: places in the log, and what 1100 moved by there."""
    return store.read_moved_by(connection, issuer_id, entry_ids)


def filed(connection: Connection, issuer_id: str, ids: Iterable[str]) -> dict[str, FiledItem]:
    """Return, by payout, its place in the one file that it is in; those in none are left out."""
    return store.read_filed(connection, issuer_id, ids)


def settled_by(connection: Connection, issuer_id: str, settlement_ids: Sequence[str]) -> dict[str, FiledItem]:
    """Return the filed payouts that these instructions settle, or will, by the instruction."""
    return store.read_settling(connection, issuer_id, settlement_ids)


def unsettled(
    connection: Connection, issuer_id: str, token_class_id: str, *, after: str = "", limit: int = 1_000
) -> list[str]:
    """Return a page of the payouts that are in a file, and neither paid nor rejected so far as the books know."""
    return store.read_unsettled(connection, issuer_id, token_class_id, after, limit)


def rejected_since(
    connection: Connection, issuer_id: str, token_class_id: str, since: datetime
) -> list[FiledItem]:
    """Return the payouts that the bank has rejected since a moment, with their places in files."""
    return store.read_rejected_since(connection, issuer_id, token_class_id, since)


def file(connection: Connection, issuer_id: str, file_id: str) -> PayoutFile:
    """Return one file or raise PayoutFileNotFoundError."""
    found = store.read_file(connection, issuer_id, file_id)
    if found is None:
        raise PayoutFileNotFoundError
    return found


def filing_classes(connection: Connection, issuer_id: str) -> list[str]:
    """Return the token classes that have files, whose statements are to be followed."""
    return store.read_filing_classes(connection, issuer_id)


def files(
    connection: Connection,
    issuer_id: str,
    *,
    token_class_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[PayoutFile]:
    """Return a page of files in the order of their ids."""
    return store.read_files(connection, issuer_id, token_class_id, after, limit)


def file_of_message(connection: Connection, issuer_id: str, message_id: str) -> PayoutFile | None:
    """Return the file that a status message names, or None."""
    return store.read_file_by_message(connection, issuer_id, message_id)


def file_items(connection: Connection, issuer_id: str, file_id: str) -> list[FiledItem]:
    """Return a file's payouts in their order."""
    return store.read_file_items(connection, issuer_id, file_id)


def content_of_file(connection: Connection, issuer_id: str, file_id: str) -> bytes:
    """Return a file's bytes, the same ones for ever; raises PayoutFileNotFoundError."""
    found = store.read_content(connection, issuer_id, file_id)
    if found is None:
        raise PayoutFileNotFoundError
    return found


def lock_statuses(connection: Connection, issuer_id: str) -> None:
    """Stand in line with whoever takes in another status message of the issuer, until the transaction ends."""
    store.lock_statuses(connection, issuer_id)


def status_known(
    connection: Connection, issuer_id: str, message_id: str, content_hash: bytes
) -> StatusMessage | None:
    """Return the status message of this content or, if there is none, the one of this name."""
    return store.read_status(connection, issuer_id, content_hash=content_hash) or store.read_status(
        connection, issuer_id, message_id=message_id
    )


def status(connection: Connection, issuer_id: str, status_id: str) -> StatusMessage | None:
    """Return one status message, or None."""
    return store.read_status(connection, issuer_id, id=status_id)


def statuses(
    connection: Connection, issuer_id: str, *, after: str = "", limit: int = 100
) -> list[StatusMessage]:
    """Return a page of status messages in the order in which they came."""
    return store.read_statuses(connection, issuer_id, after, limit)


def add_status(connection: Connection, new: StatusMessage, items: Sequence[NewStatusItem]) -> None:
    """Keep a status message and what it says of each payout."""
    store.insert_status(connection, new, items)


def status_items(connection: Connection, issuer_id: str, payout_ids: Sequence[str]) -> list[StatusItem]:
    """Return what the bank said of these payouts, in the order in which it came."""
    return store.read_status_items(connection, issuer_id, payout_ids=payout_ids)


def status_items_of(connection: Connection, issuer_id: str, status_id: str) -> list[StatusItem]:
    """Return what one status message says, in its order."""
    return store.read_status_items(connection, issuer_id, status_id=status_id)


def add_finding(connection: Connection, new: Finding) -> None:
    """Leave something to people; what was found before is not found again."""
    store.insert_finding(connection, new)


def finding(connection: Connection, issuer_id: str, finding_id: str) -> Finding:
    """Return one finding as it stands or raise PayoutFindingNotFoundError."""
    found = store.read_findings(connection, issuer_id, ids=[finding_id])
    if not found:
        raise PayoutFindingNotFoundError
    return found[0]


def lock_finding(connection: Connection, issuer_id: str, finding_id: str) -> Finding:
    """Return a finding once nobody else works on it, until the transaction ends; raises PayoutFindingNotFoundError."""
    store.lock_finding(connection, issuer_id, finding_id)
    return finding(connection, issuer_id, finding_id)


def findings(
    connection: Connection,
    issuer_id: str,
    *,
    payout_ids: Sequence[str] | None = None,
    states: Sequence[FindingState] | None = None,
    owner_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Finding]:
    """Return a page of what was left to people: all of it, what concerns these payouts, stands so, or is somebody's."""
    return store.read_findings(
        connection,
        issuer_id,
        payout_ids=payout_ids,
        states=states,
        owner_id=owner_id,
        after=after,
        limit=limit,
    )


def add_finding_action(
    connection: Connection,
    locked: Finding,
    kind: FindingActionKind,
    *,
    principal_id: str,
    note: str | None,
    subject_id: str | None,
    done_at: datetime,
) -> Finding:
    """Keep what somebody did about a locked finding, and return it as it stands now."""
    number = store.read_last_action_number(connection, locked.issuer_id, locked.id) + 1
    action = FindingAction(locked.id, number, kind.value, principal_id, note, subject_id, done_at)
    store.insert_finding_action(connection, locked.issuer_id, action)
    return finding(connection, locked.issuer_id, locked.id)


def finding_actions(
    connection: Connection, issuer_id: str, finding_id: str, *, after: int = 0, limit: int = 100
) -> list[FindingAction]:
    """Return what people did about a finding, oldest first."""
    return store.read_finding_actions(connection, issuer_id, finding_id, after, limit)
