"""Fixtures of the HTTP edge's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.api.edge import Edge, open_edge
from tests.database import DatabaseUrls, cloned_database


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
