"""Fixtures of every test: the PostgreSQL server of this run, and databases on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tallystick.core.embedded_postgres import EmbeddedPostgres, embedded_postgres
from tests.bank import Bank, open_bank
from tests.database import FAST_SETTINGS, DatabaseUrls, cloned_database, make_template

# A busy machine is slow, not wrong: no property fails for the time it takes.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The server that all test processes of this run share. Not to be killed: start another one for that."""
    run_directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run_directory = run_directory.parent
    with embedded_postgres(run_directory / "shared", settings=FAST_SETTINGS) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with this release's schema and no rows, to clone."""
    return make_template(postgres_server)


@pytest.fixture
def database_urls(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[DatabaseUrls]:
    """A fresh database with this release's schema, for this test alone."""
    with cloned_database(postgres_server, migrated_template) as urls:
        yield urls


@pytest.fixture
def bank(database_urls: DatabaseUrls, tmp_path: Path) -> Iterator[Bank]:
    """A bank of this test's own, newly opened; see tests/bank.py."""
    with open_bank(database_urls, tmp_path / "keys") as opened:
        yield opened
