"""A bank that did something of every kind, exported once for all tests of the verifier."""

from collections.abc import Iterator

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.bank import Bank, open_bank
from tests.database import cloned_database
from tests.verify.packs import Evidence, export_evidence, live


@pytest.fixture(scope="session")
def lived_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    """A bank with a past that nobody adds to."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("keys"), pool_size=2, rooted=True) as bank,
    ):
        live(bank)
        yield bank


@pytest.fixture(scope="session")
def evidence(lived_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """That bank's pack."""
    return Evidence.of(lived_bank, export_evidence(lived_bank, tmp_path_factory.mktemp("packs")))
