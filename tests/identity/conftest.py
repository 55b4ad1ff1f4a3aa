"""Fixtures of this room's tests."""

from collections.abc import Iterator

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.bank import Bank, open_bank
from tests.database import cloned_database


@pytest.fixture(scope="module")
def shared_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    """A bank that a module's tests share."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=8) as bank,
    ):
        yield bank
