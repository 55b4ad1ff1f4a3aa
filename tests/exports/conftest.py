"""Banks whose three busy days are exported."""

from collections.abc import Iterator

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.bank import Bank, open_bank
from tests.database import cloned_database
from tests.exports.exported import live_three_days


@pytest.fixture
def lived(bank: Bank) -> Bank:
    """A bank of this test's own."""
    live_three_days(bank)
    return bank


@pytest.fixture(scope="module")
def shared(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    """A bank that a module's tests share: for those that do nothing to it but export."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys")) as bank,
    ):
        live_three_days(bank)
        yield bank
