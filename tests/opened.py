"""Banks that are opened once for many tests: each test has them on a database of its own, a clone, with copied keys.

The banks of two tests bear the same ids, and know nothing of each other.
"""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tallystick import signing
from tallystick.core.clock import FixedClock
from tallystick.core.database import Database
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.tokens import Settler
from tests.bank import APPROVAL_LIFETIME, Bank, open_bank
from tests.database import DatabaseUrls, cloned_database

__all__ = ["OpenedBanks", "opened_banks"]


@dataclass(frozen=True, slots=True)
class OpenedBanks:
    """A database in which banks have just opened, which nobody uses, and the folder of their keys."""

    server: EmbeddedPostgres
    template: str
    key_path: Path
    banks: tuple[Bank, ...]

    @contextmanager
    def again(self, key_path: Path, *, pool_size: int = 12) -> Iterator[tuple[Bank, ...]]:
        """Yield the same banks as they were, on a database of their own, with their keys in `key_path`."""
        shutil.copytree(self.key_path, key_path)
        with cloned_database(self.server, self.template) as urls, ExitStack() as databases:
            again = []
            for bank in self.banks:
                database = Database(urls.service_url, pool_size=pool_size)
                databases.callback(database.close)
                again.append(_again(bank, urls, database, key_path))
            yield tuple(again)


@contextmanager
def opened_banks(
    server: EmbeddedPostgres,
    migrated_template: str,
    key_path: Path,
    *,
    count: int = 1,
    rooted: bool = False,
    then: Callable[[Bank], object] = lambda _: None,
) -> Iterator[OpenedBanks]:
    """Yield banks that have just opened, in one database, to be had again by each test that wants them.

    `then` is what each does before, all of which is acknowledged.
    """
    with cloned_database(server, migrated_template) as urls:
        banks = []
        for _ in range(count):
            with open_bank(urls, key_path, pool_size=1, rooted=rooted) as bank:
                then(bank)
                banks.append(bank)
        yield OpenedBanks(server, urls.name, key_path, tuple(banks))


def _again(bank: Bank, urls: DatabaseUrls, database: Database, key_path: Path) -> Bank:
    clock = FixedClock(bank.clock.at)
    # No request and no deposit of what it did before, each of which was acknowledged, had this number.
    first = len(bank.acknowledged)
    key_directory = signing.KeyDirectory(key_path)
    return replace(
        bank,
        urls=urls,
        database=database,
        clock=clock,
        key_directory=key_directory,
        roots=signing.KeyDirectory(key_path / "roots"),
        settler=Settler.of(clock, key_directory, APPROVAL_LIFETIME),
        classes=dict(bank.classes),
        holders=dict(bank.holders),
        accounts=dict(bank.accounts),
        acknowledged=list(bank.acknowledged),
        _keys=itertools.count(first),
        _entries=itertools.count(first + 1),
    )
