"""Accounts as decisions see them: their facts, and with what screening and orders say the party that rules judge."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from tallystick import orders, participants, screening
from tallystick.core.pipeline import pipelined
from tallystick.participants import AccountFacts
from tallystick.policy import Party

__all__ = ["KnownAccount", "read_accounts"]


class KnownAccount(NamedTuple):
    """One account, twice: as the books and callers know it, and as the rules judge it."""

    facts: AccountFacts
    party: Party


def read_accounts(
    connection: Connection, issuer_id: str, account_ids: Iterable[str], now: datetime
) -> dict[str, KnownAccount]:
    """Return what decisions need to know of these accounts, by id; absent ones are left out."""
    ids = list(account_ids)
    with pipelined(connection) as pipeline:
        asked = participants.account_facts(pipeline, issuer_id, ids)
        standings = screening.standing_of_accounts(pipeline, issuer_id, ids)
        blocks = orders.blocks(pipeline, issuer_id, ids, now)
    standing_of, blocked = standings.result(), blocks.result()
    known = {}
    for account_id, facts in asked.result().items():
        on_it = blocked.get(account_id)
        party = Party(
            account_id=account_id,
            account_status=facts.status,
            holder_id=facts.holder_id,
            holder_kind=facts.holder_kind,
            platform_id=facts.platform_id,
            country=facts.country,
            residency=facts.residency,
            kyc_status=facts.kyc_status,
            kyc_expires_on=facts.kyc_expires_on,
            screening=str(standing_of.get(account_id, "unscreened")),
            debit_blocked=on_it is not None and on_it.debit_blocked,
            credit_blocked=on_it is not None and on_it.credit_blocked,
        )
        known[account_id] = KnownAccount(facts, party)
    return known
