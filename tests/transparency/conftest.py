"""One database for each module: every test has an issuer of its own on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.database import DatabaseUrls, cloned_database
from tests.transparency.logs import Issuer, open_issuer


@pytest.fixture(scope="module")
def shared_urls(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[DatabaseUrls]:
    with cloned_database(postgres_server, migrated_template) as urls:
        yield urls


@pytest.fixture
def issuer(shared_urls: DatabaseUrls, tmp_path: Path) -> Iterator[Issuer]:
    """An issuer with an empty log, among those of the module's other tests."""
    with open_issuer(shared_urls, tmp_path / "keys") as opened:
        yield opened
