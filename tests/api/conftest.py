"""Fixtures of the HTTP edge's tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.api.edge import Edge, counted_rows, open_edge
from tests.api.examples import Example, examples
from tests.database import DatabaseUrls, cloned_database, connect


@pytest.fixture
async def edge(anyio_backend: str, database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Edge]:
    """The service on a database of this test's own."""
    async with open_edge(database_urls, tmp_path / "state") as opened:
        yield opened


@pytest.fixture(scope="module")
async def shared_edge(
    anyio_backend: str,
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Edge]:
    """The service on a database that a module's tests share: for those that leave nothing behind."""
    with cloned_database(postgres_server, migrated_template) as urls:
        async with open_edge(urls, tmp_path_factory.mktemp("state")) as opened:
            yield opened


@pytest.fixture
async def served_edge(anyio_backend: str, database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Edge]:
    """The service on a database of this test's own, behind a real server."""
    async with open_edge(database_urls, tmp_path / "state", over_network=True) as opened:
        yield opened


@pytest.fixture(scope="module")
async def shared_served_edge(
    anyio_backend: str,
    postgres_server: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Edge]:
    """The service behind a real server, on a database that a module's tests share."""
    with cloned_database(postgres_server, migrated_template) as urls:
        async with open_edge(urls, tmp_path_factory.mktemp("state"), over_network=True) as opened:
            yield opened


@pytest.fixture(scope="module")
def prepared(shared_edge: Edge) -> dict[str, Example]:
    """A request for each operation that would settle if it weren't spoiled."""
    return {path: make() for path, make in examples(shared_edge.bank).items()}


@pytest.fixture(scope="module")
def rows(shared_edge: Edge, prepared: dict[str, Example]) -> Iterator[Callable[[], dict[str, int]]]:
    """How to count every table's rows, on one connection for all tests of a module."""
    with connect(shared_edge.urls.superuser_url) as connection:
        yield lambda: counted_rows(connection)


@pytest.fixture
def nothing_written(rows: Callable[[], dict[str, int]]) -> Iterator[None]:
    """Assert that the test leaves no row behind, in any table."""
    before = rows()
    yield
    assert rows() == before
