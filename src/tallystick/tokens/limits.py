"""What the rules let through before they say no: every limit in force, held against policy's counts and the books."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from tallystick import ledger, policy
from tallystick.participants import Account, TokenClass
from tallystick.policy import ClassFacts, Issued, LimitState
from tallystick.tokens import store

__all__ = ["limits"]


def limits(
    connection: Connection,
    of_class: TokenClass,
    at: datetime,
    *,
    account: Account | None = None,
    minter_id: str | None = None,
) -> tuple[str, list[LimitState]]:
    """Return the policy version in force in a class, and its limits with what is used of them by `at`.

    Amounts are in minor units. Nothing is locked. What is counted by account or holder is told for `account`, an
    account of the class; `minter_id` keeps of the allowances that maker's alone.
    """
    issuer_id, class_id = of_class.issuer_id, of_class.id

    def issued(window_seconds: int | None) -> Issued:
        mints, minted_minor = 0, 0
        if window_seconds is not None:
            since = at - timedelta(seconds=window_seconds)
            mints, minted_minor = store.read_minted_since(connection, issuer_id, class_id, since)
        return Issued(ledger.supply_minor(connection, issuer_id, class_id), mints, minted_minor)

    return policy.limits(
        connection,
        issuer_id,
        ClassFacts(class_id, of_class.mode, of_class.currency, of_class.scale),
        at,
        tell_issued=issued,
        payer=None if account is None else (account.id, account.holder_id),
        minter_id=minter_id,
    )
