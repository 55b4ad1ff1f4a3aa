"""Banks whose three busy days are exported."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.bank import Bank
from tests.exports.exported import live_three_days
from tests.opened import OpenedBanks, opened_banks


@pytest.fixture(scope="session")
def lived_once(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenedBanks]:
    """The bank that tests of their own begin with."""
    key_path = tmp_path_factory.mktemp("lived")
    with opened_banks(postgres_server, migrated_template, key_path, then=live_three_days) as opened:
        yield opened


@pytest.fixture
def lived(lived_once: OpenedBanks, tmp_path: Path) -> Iterator[Bank]:
    """A bank of this test's own."""
    with lived_once.again(tmp_path / "keys") as (bank,):
        yield bank


@pytest.fixture(scope="module")
def shared(lived_once: OpenedBanks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """A bank that a module's tests share: for those that do nothing to it but export."""
    with lived_once.again(tmp_path_factory.mktemp("shared") / "keys") as (bank,):
        yield bank
