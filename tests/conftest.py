"""Fixtures of every test: the PostgreSQL server of this run, and databases on it."""

import gc
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tallystick.core.embedded_postgres import EmbeddedPostgres, embedded_postgres
from tests.bank import Bank
from tests.database import FAST_SETTINGS, DatabaseUrls, cloned_database, make_template
from tests.opened import OpenedBanks, opened_banks

# A busy machine is slow, not wrong: no property fails for the time it takes.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


# Cloning a database makes hundreds of files, which takes ten times as long on a disk as in memory.
_MEMORY: Final = Path("/dev/shm")
_MEMORY_MIN_BYTES: Final = 3 * 1024**3
_SERVER_DIRECTORY: Final = "PYTEST_POSTGRES_DIRECTORY"
# As the service has it: core.interpreter.
_OBJECTS_BETWEEN_WALKS: Final = 50_000


def _is_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ


def pytest_configure() -> None:
    """Let the run's server live in memory, where there is enough of it; the workers inherit where."""
    if not _is_worker() and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).total >= _MEMORY_MIN_BYTES:
        os.environ[_SERVER_DIRECTORY] = tempfile.mkdtemp(prefix="tallystick-tests-", dir=_MEMORY)


def pytest_unconfigure() -> None:
    """Give the memory back."""
    if not _is_worker() and (directory := os.environ.pop(_SERVER_DIRECTORY, None)):
        shutil.rmtree(directory, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Let the collector of garbage never walk what the tests are made of, and the rest less often."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()
        gc.set_threshold(_OBJECTS_BETWEEN_WALKS, 10, 10)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The server that all test processes of this run share. Not to be killed: start another one for that."""
    run_directory = tmp_path_factory.getbasetemp()
    if _is_worker():
        run_directory = run_directory.parent
    directory = Path(os.environ.get(_SERVER_DIRECTORY, run_directory / "shared"))
    with embedded_postgres(directory, settings=FAST_SETTINGS) as server:
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


@pytest.fixture(scope="session")
def opened_bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenedBanks]:
    """A bank that this process opened once, for the tests to begin with."""
    with opened_banks(postgres_server, migrated_template, tmp_path_factory.mktemp("opened")) as opened:
        yield opened


@pytest.fixture
def bank(opened_bank: OpenedBanks, tmp_path: Path) -> Iterator[Bank]:
    """A bank of this test's own, newly opened, on a database of its own; see tests/bank.py."""
    with opened_bank.again(tmp_path / "keys") as (again,):
        yield again
