"""Facts of accounts as one process remembers them, so that a batch need not read again what hardly ever changes.

`facts_version` is raised by everything that changes an account, a holder, a token class, a holder's screening or an
order on an account. A batch reads it under its locks: what was remembered at that version still stands. A change made
past the rooms, by hand in the database, and an order whose time is over count after two seconds.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar

__all__ = ["RememberedFacts"]

Known = TypeVar("Known")

_LIFETIME_SECONDS: Final = 2.0
_ACCOUNTS_MAX: Final = 20_000


class _AtVersion(Generic[Known]):
    __slots__ = ("accounts", "ends_seconds", "version")

    def __init__(self, version: int, ends_seconds: float) -> None:
        self.version = version
        self.ends_seconds = ends_seconds
        self.accounts: dict[str, Known] = {}


class RememberedFacts(Generic[Known]):
    """What is remembered of every issuer's accounts. Safe to be used from several threads at once."""

    def __init__(self) -> None:
        self._issuers: dict[str, _AtVersion[Known]] = {}

    def recall(
        self, issuer_id: str, version: int, account_ids: Iterable[str]
    ) -> tuple[dict[str, Known], list[str]]:
        """Return the facts that stand at this version, by account, and the accounts that must be read."""
        accounts = self._at(issuer_id, version).accounts
        found: dict[str, Known] = {}
        missing = []
        for account_id in account_ids:
            facts = accounts.get(account_id)
            if facts is None:
                missing.append(account_id)
            else:
                found[account_id] = facts
        return found, missing

    def keep(self, issuer_id: str, version: int, facts: Mapping[str, Known]) -> None:
        """Remember what was read at this version or later."""
        accounts = self._at(issuer_id, version).accounts
        if len(accounts) + len(facts) > _ACCOUNTS_MAX:
            accounts.clear()
        accounts.update(facts)

    def _at(self, issuer_id: str, version: int) -> _AtVersion[Known]:
        now_seconds = time.monotonic()
        known = self._issuers.get(issuer_id)
        if known is None or known.version != version or known.ends_seconds < now_seconds:
            # Whoever still holds the one before writes to that, and nobody reads it.
            known = self._issuers[issuer_id] = _AtVersion(version, now_seconds + _LIFETIME_SECONDS)
        return known
