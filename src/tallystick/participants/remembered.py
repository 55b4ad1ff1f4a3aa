"""Facts of accounts as one process remembers them, so that a batch need not read again what hardly ever changes.

`facts_version` is raised by everything that changes an account, a holder or a token class. A batch reads it under its
locks: what was remembered at that version still stands. A change made past this room, by hand in the database, counts
after two seconds.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Final

from tallystick.participants.parties import AccountFacts

__all__ = ["RememberedFacts"]

_LIFETIME_SECONDS: Final = 2.0
_ACCOUNTS_MAX: Final = 20_000


class _AtVersion:
    __slots__ = ("accounts", "ends_seconds", "version")

    def __init__(self, version: int, ends_seconds: float) -> None:
        self.version = version
        self.ends_seconds = ends_seconds
        self.accounts: dict[str, AccountFacts] = {}


class RememberedFacts:
    """What is remembered of every issuer's accounts. Safe to be used from several threads at once."""

    def __init__(self) -> None:
        self._issuers: dict[str, _AtVersion] = {}

    def recall(
        self, issuer_id: str, version: int, account_ids: Iterable[str]
    ) -> tuple[dict[str, AccountFacts], list[str]]:
        """Return the facts that stand at this version, by account, and the accounts that must be read."""
        accounts = self._at(issuer_id, version).accounts
        found: dict[str, AccountFacts] = {}
        missing = []
        for account_id in account_ids:
            facts = accounts.get(account_id)
            if facts is None:
                missing.append(account_id)
            else:
                found[account_id] = facts
        return found, missing

    def keep(self, issuer_id: str, version: int, facts: Mapping[str, AccountFacts]) -> None:
        """Remember what was read at this version or later."""
        accounts = self._at(issuer_id, version).accounts
        if len(accounts) + len(facts) > _ACCOUNTS_MAX:
            accounts.clear()
        accounts.update(facts)

    def _at(self, issuer_id: str, version: int) -> _AtVersion:
        now_seconds = time.monotonic()
        known = self._issuers.get(issuer_id)
        if known is None or known.version != version or known.ends_seconds < now_seconds:
            # Whoever still holds the one before writes to that, and nobody reads it.
            known = self._issuers[issuer_id] = _AtVersion(version, now_seconds + _LIFETIME_SECONDS)
        return known
