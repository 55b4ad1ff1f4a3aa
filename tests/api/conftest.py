"""Fixtures of the HTTP edge's tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.api.edge import Edge, OpenedEdge, counted_rows, opened_edge
from tests.api.examples import Example, examples
from tests.database import connect


@pytest.fixture(scope="session")
def edge_to_clone(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenedEdge]:
    """Two banks that this process opened once, for the tests to begin with."""
    with opened_edge(postgres_server, migrated_template, tmp_path_factory.mktemp("opened")) as opened:
        yield opened


@pytest.fixture
async def edge(anyio_backend: str, edge_to_clone: OpenedEdge, tmp_path: Path) -> AsyncIterator[Edge]:
    """The service on a database of this test's own."""
    async with edge_to_clone.again(tmp_path / "state") as again:
        yield again


@pytest.fixture(scope="module")
async def shared_edge(
    anyio_backend: str, edge_to_clone: OpenedEdge, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Edge]:
    """The service on a database that a module's tests share: for those that leave nothing behind."""
    async with edge_to_clone.again(tmp_path_factory.mktemp("shared") / "state") as again:
        yield again


@pytest.fixture
async def served_edge(anyio_backend: str, edge_to_clone: OpenedEdge, tmp_path: Path) -> AsyncIterator[Edge]:
    """The service on a database of this test's own, behind a real server."""
    async with edge_to_clone.again(tmp_path / "state", over_network=True) as again:
        yield again


@pytest.fixture(scope="module")
async def shared_served_edge(
    anyio_backend: str, edge_to_clone: OpenedEdge, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Edge]:
    """The service behind a real server, on a database that a module's tests share."""
    directory = tmp_path_factory.mktemp("shared") / "state"
    async with edge_to_clone.again(directory, over_network=True) as again:
        yield again


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
