"""Gathering what a tie-out compares, all as of one index of the log and one moment of the bank's data."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick import events, ledger, liabilities, statements
from tallystick.core.money import parse_amount
from tallystick.ledger import CLAIM_CODES, Code, ledger_account_id
from tallystick.liabilities import AttestationNotFoundError
from tallystick.participants import Principal, TokenClass
from tallystick.reconciliation.breaks import Money
from tallystick.reconciliation.control_account import (
    ControlAccount,
    bank_time_of,
    covered_statements,
    gaps_between,
)
from tallystick.reconciliation.holds import Held, compare_holds
from tallystick.reconciliation.in_parts import NOTHING_VERIFIED, Replayed, VerifiedLog, replay
from tallystick.reconciliation.pairing import Cutoff
from tallystick.reconciliation.pushed import PushedBalance
from tallystick.reconciliation.records import Backing
from tallystick.reconciliation.replay import Scope, proven_payload
from tallystick.reconciliation.tie_out import AttestedRoot, BankFacts, BooksFacts
from tallystick.statements import DepositBalanceKind

__all__ = ["AsOf", "Compared", "gather"]

_PAGE = 1_000
_OWED_CODES = (Code.DEPOSITS_AVAILABLE, *CLAIM_CODES)


class AsOf(NamedTuple):
    """The two times that are looked at: the books up to an index of the log, the bank as far as its data tell.

    `known_at` leaves out what was imported later; `bank_as_of` what tells of a later moment. None leaves out nothing.
    """

    last_index: int
    known_at: datetime | None
    bank_as_of: datetime | None
    now: datetime


class Compared(NamedTuple):
    """The facts, and the statement whose closing balance they hold.

    `bank_as_of` is up to which moment the bank's data reach; `gaps` are numbers of statements that don't follow each
    other.
    """

    books: BooksFacts
    bank: BankFacts
    log: Replayed
    statement_id: str | None
    bank_as_of: datetime | None
    gaps: Sequence[tuple[int, int]] = ()


def gather(
    connection: Connection,
    actor: Principal,
    of_class: TokenClass,
    money: Money,
    backing: Backing,
    as_of: AsOf,
    *,
    earlier: VerifiedLog = NOTHING_VERIFIED,
) -> Compared:
    """Read log, journal, balances, register and the bank's data of a class.

    Everything is bound to `as_of`, so that what is committed meanwhile does not matter. `earlier` is how much of the
    log was verified before.
    """
    issuer_id, class_id, last_index = actor.issuer_id, of_class.id, as_of.last_index
    trial_minor = {
        row.id: row.balance_minor for row in ledger.trial_balance(connection, issuer_id, class_id, last_index)
    }
    in_order = (
        _statements(connection, issuer_id, class_id, as_of) if backing is Backing.CONTROL_ACCOUNT else []
    )
    covered = covered_statements(in_order)
    scope = Scope(
        issuer_id,
        class_id,
        money,
        frozenset(trial_minor),
        frozenset(one.id for one in covered),
        frozenset(one.id for one in in_order),
    )
    log = replay(connection, scope, last_index, earlier)
    part = log.part
    register_minor, register_account_ids = _register(connection, actor, class_id, last_index)
    books = BooksFacts(
        minted_minor=part.minted_minor,
        redeemed_minor=part.redeemed_minor,
        seized_minor=part.seized_minor,
        paid_out_minor=part.paid_out_minor,
        events_verified_count=part.events_verified_count,
        journal_minor=part.journal_minor,
        trial_minor=trial_minor,
        stored_minor=_stored_balances(connection, issuer_id, class_id, last_index),
        register_minor=register_minor,
        register_account_ids=register_account_ids,
        root_minor=liabilities.total_minor_at(connection, issuer_id, class_id, last_index),
        attested=_attested_root(connection, of_class, last_index),
        log_breaks=part.found.collected(),
    )
    if backing is Backing.CUSTOMER_HOLDS:
        bank, bank_as_of = _holds(connection, actor, of_class, money, trial_minor, as_of)
        return Compared(books, bank, log, None, bank_as_of)
    return Compared(
        books,
        ControlAccount(
            connection, scope, covered, last_index, _pushed(connection, scope, covered, as_of)
        ).compare(part),
        log,
        covered[-1].id if covered else None,
        bank_time_of(covered[-1]) if covered else None,
        gaps_between(in_order),
    )


def _statements(
    connection: Connection, issuer_id: str, token_class_id: str, as_of: AsOf
) -> list[statements.Statement]:
    found = statements.statements_in_order(
        connection, issuer_id, token_class_id, imported_until=as_of.known_at
    )
    if as_of.bank_as_of is None:
        return found
    return [one for one in found if bank_time_of(one) <= as_of.bank_as_of]


def _pushed(
    connection: Connection, scope: Scope, covered: Sequence[statements.Statement], as_of: AsOf
) -> PushedBalance | None:
    """Return what the core told last of the control account itself, unless the latest statement reaches further."""
    told = statements.latest_deposit_balance(
        connection,
        scope.issuer_id,
        scope.token_class_id,
        DepositBalanceKind.BALANCE,
        until=as_of.bank_as_of or as_of.known_at or as_of.now,
        recorded_until=as_of.known_at or as_of.now,
    )
    if told is None or not covered or told.as_of <= bank_time_of(covered[-1]):
        return None
    index = min(events.index_as_of(connection, scope.issuer_id, told.as_of), as_of.last_index)
    return PushedBalance(
        told.id, covered[-1].id, told.as_of, told.amount_minor, Cutoff(index, told.as_of.date())
    )


def _holds(
    connection: Connection,
    actor: Principal,
    of_class: TokenClass,
    money: Money,
    trial_minor: Mapping[str, int],
    as_of: AsOf,
) -> tuple[BankFacts, datetime | None]:
    """Compare the accounts with the core's holds; the bank's data are as old as the oldest hold that matters."""
    issuer_id, class_id = actor.issuer_id, of_class.id
    told = statements.latest_holds(
        connection,
        issuer_id,
        class_id,
        as_of=as_of.bank_as_of or as_of.known_at or as_of.now,
        recorded_until=as_of.known_at or as_of.now,
    )
    books_minor: dict[str, int] = {}
    for ledger_id, minor in trial_minor.items():
        if ledger_id[:4] in _OWED_CODES:
            books_minor[ledger_id[5:]] = books_minor.get(ledger_id[5:], 0) + minor
    index_at = {
        at: min(events.index_as_of(connection, issuer_id, at), as_of.last_index)
        for at in {one.as_of for one in told}
    }
    by_index: dict[int, list[str]] = {}
    for one in told:
        by_index.setdefault(index_at[one.as_of], []).append(one.account_id or "")
    then_minor: dict[str, int] = {}
    for index, account_ids in by_index.items():
        ledger_ids = [
            ledger_account_id(code, account_id) for account_id in account_ids for code in _OWED_CODES
        ]
        for ledger_id, position in ledger.positions(connection, issuer_id, ledger_ids, index).items():
            owner = ledger_id[5:]
            then_minor[owner] = then_minor.get(owner, 0) + position.balance_minor
    held = {
        one.account_id or "": Held(
            one.amount_minor, one.as_of, then_minor.get(one.account_id or "", 0), one.id
        )
        for one in told
    }
    owed = {account_id: minor for account_id, minor in books_minor.items() if minor or account_id in held}
    in_transit_minor = trial_minor.get(ledger_account_id(Code.PAYMENTS_IN_TRANSIT, class_id), 0)
    oldest = min((one.as_of for one in held.values()), default=None)
    return compare_holds(money, owed, held, in_transit_minor), oldest


def _stored_balances(
    connection: Connection, issuer_id: str, token_class_id: str, last_index: int
) -> dict[str, int]:
    """Return the balances that are kept beside the journal, of accounts that no later event has touched."""
    found: dict[str, int] = {}
    after = ""
    while page := ledger.accounts(
        connection, issuer_id, token_class_id=token_class_id, after=after, limit=_PAGE
    ):
        after = page[-1].id
        for account in page:
            if account.last_event_index is None or account.last_event_index <= last_index:
                found[account.id] = account.balance_minor
    return found


def _register(
    connection: Connection, actor: Principal, token_class_id: str, last_index: int
) -> tuple[int, frozenset[str]]:
    """Return what the register says is owed in all, and the accounts that its records cover."""
    total_minor, account_ids = 0, set[str]()
    after = ""
    while page := liabilities.liabilities(
        connection, actor.issuer_id, token_class_id=token_class_id, after=after, limit=_PAGE
    ):
        after = page[-1].id
        for claim in liabilities.claims(connection, actor, page, last_index):
            total_minor += claim.total_minor
            account_ids.update(claim.account_ids)
    return total_minor, frozenset(account_ids)


def _attested_root(connection: Connection, of_class: TokenClass, last_index: int) -> AttestedRoot | None:
    """Return what the newest signed tree of a class says, up to an index of the log; None where none is signed.

    The row only says where to look: what counts is the signed event.
    """
    issuer_id = of_class.issuer_id
    try:
        newest = liabilities.newest_attestation(connection, issuer_id, of_class.id, last_index)
    except AttestationNotFoundError:
        return None
    said = proven_payload(connection, issuer_id, newest.event_index) or {}
    if said.get("type") != "liabilities.attested" or said.get("token_class_id") != of_class.id:
        # That the event is missing or invalid is a break of the log.
        return None
    index = said["as_of_index"]
    trial = ledger.trial_balance(connection, issuer_id, of_class.id, index)
    return AttestedRoot(
        newest.tree.id,
        index,
        said["root_hash"],
        parse_amount(said["total"], said["scale"]),
        sum(row.balance_minor for row in trial if row.code in CLAIM_CODES),
    )
