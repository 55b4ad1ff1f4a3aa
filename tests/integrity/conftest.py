"""A bank with a past of every kind, sealed, with a witnessed tree; nobody adds to it."""

from collections.abc import Iterator

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.bank import Bank, open_bank
from tests.database import cloned_database
from tests.integrity.lived import live_fully, seal


@pytest.fixture(scope="module")
def lived(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    """The bank that tests look at, and change in transactions that are rolled back."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=3, rooted=True) as bank,
    ):
        live_fully(bank)
        seal(bank)
        yield bank
