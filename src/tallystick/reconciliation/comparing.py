"""Gathering what a tie-out compares, all as of one index of the log."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick import ledger, liabilities, statements
from tallystick.participants import Principal, TokenClass
from tallystick.reconciliation.breaks import BreakCollector, Money
from tallystick.reconciliation.control_account import ControlAccount, covered_statements
from tallystick.reconciliation.replay import replay
from tallystick.reconciliation.tie_out import BankFacts, BooksFacts

__all__ = ["Compared", "gather"]

_PAGE = 1_000


class Compared(NamedTuple):
    """The facts, and the statement whose closing balance they hold."""

    books: BooksFacts
    bank: BankFacts
    statement_id: str | None


def gather(
    connection: Connection,
    actor: Principal,
    of_class: TokenClass,
    money: Money,
    *,
    last_index: int,
    imported_until: datetime | None,
) -> Compared:
    """Read log, journal, balances, register and statements of a class.

    Everything is bound to `last_index`, and statements to `imported_until`, so that what is committed meanwhile does
    not matter.
    """
    issuer_id, class_id = actor.issuer_id, of_class.id
    trial_minor = {
        row.id: row.balance_minor for row in ledger.trial_balance(connection, issuer_id, class_id, last_index)
    }
    imported = statements.statements_in_order(connection, issuer_id, class_id, imported_until=imported_until)
    covered = covered_statements(imported)
    of_log, of_bank = BreakCollector(money), BreakCollector(money)
    imported_ids = frozenset(one.id for one in imported)
    control = ControlAccount(connection, issuer_id, money, of_bank, covered, imported_ids, last_index)
    replayed = replay(
        connection,
        issuer_id,
        class_id,
        money,
        ledger_ids=frozenset(trial_minor),
        last_index=last_index,
        found=of_log,
        take_movement=control.take,
    )
    control.finish(replayed.unproven)
    register_minor, register_account_ids = _register(connection, actor, class_id, last_index)
    books = BooksFacts(
        minted_minor=replayed.minted_minor,
        redeemed_minor=replayed.redeemed_minor,
        seized_minor=replayed.seized_minor,
        events_verified_count=replayed.events_verified_count,
        journal_minor=replayed.journal_minor,
        trial_minor=trial_minor,
        stored_minor=_stored_balances(connection, issuer_id, class_id, last_index),
        register_minor=register_minor,
        register_account_ids=register_account_ids,
        log_breaks=of_log.collected(),
    )
    bank = BankFacts(
        control.closing_minor, control.difference_minor, control.timing_minor, of_bank.collected()
    )
    return Compared(books, bank, covered[-1].id if covered else None)


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
