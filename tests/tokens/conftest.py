"""Banks for the write path: one that a file shares, where each test brings its money, and one for a crowd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.bank import Bank, open_bank, oracle
from tests.database import cloned_database
from tests.opened import OpenedBanks


@pytest.fixture(scope="module")
def shared_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    """A bank for a whole file, whose books are held against the oracle at the end."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=4) as bank,
    ):
        yield bank
        oracle(bank)


@pytest.fixture
def busy_bank(opened_bank: OpenedBanks, tmp_path: Path) -> Iterator[Bank]:
    """A bank with a connection for everybody."""
    with opened_bank.again(tmp_path / "keys", pool_size=50) as (bank,):
        yield bank
