"""A bank that the tests of one file share: each brings the money it needs, and none counts on what is there."""

from collections.abc import Iterator

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.bank import Bank, open_bank, oracle
from tests.database import cloned_database


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
