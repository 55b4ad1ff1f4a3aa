"""The liability register: what the bank owes each holder in each token class, always equal to the books.

A record has identity, terms and age of its own. Its amounts are the holder's 21xx balances, looked up as of an index
of the log, so the register can't drift from the ledger: their sum *is* supply.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from tallystick import ledger, participants
from tallystick.core.clock import Clock
from tallystick.core.ids import new_id
from tallystick.ledger import CLAIM_CODES, INDEX_MAX, ledger_account_id
from tallystick.liabilities import store
from tallystick.liabilities.attesting import (
    TOLD_OF_A_TREE,
    TREE_FORMAT,
    attest,
    attestation,
    attestations,
    check_attestation,
    newest_attestation,
    proof,
    rebuilt,
    told,
    total_minor_at,
    tree_for,
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
from tallystick.liabilities.register import Claim, Liability, LiabilityNotFoundError
from tallystick.participants import HolderNotFoundError, Principal

__all__ = [
    "TOLD_OF_A_TREE",
    "TREE_FORMAT",
    "Attestation",
    "AttestationConflictError",
    "AttestationNotFoundError",
    "Claim",
    "Liability",
    "LiabilityNotAttestedError",
    "LiabilityNotFoundError",
    "LiabilityProof",
    "PreparedTree",
    "TooManyLiabilitiesError",
    "attest",
    "attestation",
    "attestations",
    "check_attestation",
    "claims",
    "liabilities",
    "liability",
    "newest_attestation",
    "open_liability",
    "proof",
    "rebuilt",
    "told",
    "total_minor_at",
    "tree_for",
]


def open_liability(
    connection: Connection,
    clock: Clock,
    issuer_id: str,
    *,
    holder_id: str,
    token_class_id: str,
    terms_version: int,
) -> None:
    """Begin the record of a holder's first account in a class; a second account joins the same record."""
    store.insert_unless_present(
        connection,
        Liability(issuer_id, new_id("liability"), holder_id, token_class_id, terms_version, clock.now()),
    )


def liability(connection: Connection, viewer: Principal, liability_id: str) -> Liability:
    """Return one record that `viewer` may know of, or raise LiabilityNotFoundError."""
    found = store.read_liability(connection, viewer.issuer_id, liability_id)
    if found is None:
        raise LiabilityNotFoundError
    try:
        participants.holder(connection, viewer, found.holder_id)
    except HolderNotFoundError as error:
        raise LiabilityNotFoundError from error
    return found


def liabilities(
    connection: Connection,
    issuer_id: str,
    *,
    holder_ids: list[str] | None = None,
    token_class_id: str | None = None,
    after: str = "",
    limit: int = 100,
) -> list[Liability]:
    """Return a page of records in the order of their ids; `holder_ids` keeps those of these holders."""
    return store.read_liabilities(
        connection, issuer_id, holder_ids=holder_ids, token_class_id=token_class_id, after=after, limit=limit
    )


def claims(
    connection: Connection, viewer: Principal, records: Sequence[Liability], event_index: int = INDEX_MAX
) -> list[Claim]:
    """Return what is owed under each record as of an index of the log, in the order of `records`."""
    accounts_of = {
        record.id: tuple(
            account.id
            for account in participants.accounts(
                connection,
                viewer,
                holder_id=record.holder_id,
                token_class_id=record.token_class_id,
                limit=1_000,
            )
        )
        for record in records
    }
    positions = ledger.positions(
        connection,
        viewer.issuer_id,
        [
            ledger_account_id(code, account_id)
            for account_ids in accounts_of.values()
            for account_id in account_ids
            for code in CLAIM_CODES
        ],
        event_index,
    )
    found = []
    for record in records:
        by_code = dict.fromkeys(CLAIM_CODES, 0)
        touched = []
        for account_id in accounts_of[record.id]:
            for code in CLAIM_CODES:
                position = positions.get(ledger_account_id(code, account_id))
                if position is not None:
                    by_code[code] += position.balance_minor
                    touched.append(position)
        found.append(
            Claim(
                record,
                by_code,
                sum(by_code.values()),
                min((position.first_booked_at for position in touched), default=None),
                max((position.last_event_index for position in touched), default=None),
                accounts_of[record.id],
            )
        )
    return found
