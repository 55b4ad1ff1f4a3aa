"""The schema's version: upgrades that hold, and refusals of what this release does not know."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy
from alembic import command
from sqlalchemy import Engine

from tallystick.core import migrations
from tallystick.core.database import metadata
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.database import DatabaseUrls, cloned_database, connect

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def empty_database_urls(postgres_server: EmbeddedPostgres) -> Iterator[DatabaseUrls]:
    with cloned_database(postgres_server, "template0") as urls:
        yield urls


@pytest.fixture
def owner_engine(database_urls: DatabaseUrls) -> Iterator[Engine]:
    engine = sqlalchemy.create_engine(database_urls.owner_url, poolclass=sqlalchemy.NullPool)
    yield engine
    engine.dispose()


def test_upgrade_brings_an_empty_database_to_head(empty_database_urls: DatabaseUrls) -> None:
    engine = sqlalchemy.create_engine(empty_database_urls.owner_url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        assert migrations.current_revision(connection) is None
        with pytest.raises(migrations.SchemaMismatchError, match="tallystick migrate"):
            migrations.require_head(connection)

    migrations.upgrade(empty_database_urls.owner_url)

    with engine.connect() as connection:
        assert migrations.current_revision(connection) == migrations.head_revision()
        migrations.require_head(connection)
    engine.dispose()


def test_upgrade_understands_a_plain_url_and_finds_nothing_to_do_twice(database_urls: DatabaseUrls) -> None:
    plain = database_urls.owner_url.replace("postgresql+psycopg://", "postgresql://")
    migrations.upgrade(plain)
    migrations.upgrade(plain)


def test_upgrades_at_once_wait_for_each_other(empty_database_urls: DatabaseUrls) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(migrations.upgrade, empty_database_urls.owner_url) for _ in range(4)]:
            done.result(timeout=60)


def test_the_service_may_check_the_schema(database_urls: DatabaseUrls) -> None:
    engine = sqlalchemy.create_engine(database_urls.service_url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        migrations.require_head(connection)
    engine.dispose()


def test_an_unknown_revision_is_refused_and_left_alone(
    database_urls: DatabaseUrls, owner_engine: Engine
) -> None:
    with connect(database_urls.owner_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")

    with pytest.raises(migrations.SchemaMismatchError, match="from_the_future"):
        migrations.upgrade(database_urls.owner_url)
    with owner_engine.connect() as connection_now:
        with pytest.raises(migrations.SchemaMismatchError, match="newer release"):
            migrations.require_head(connection_now)
        assert migrations.current_revision(connection_now) == "from_the_future"


def test_two_revisions_at_once_are_refused(database_urls: DatabaseUrls, owner_engine: Engine) -> None:
    with connect(database_urls.owner_url) as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('another')")

    with (
        owner_engine.connect() as connection_now,
        pytest.raises(migrations.SchemaMismatchError, match="at once"),
    ):
        migrations.current_revision(connection_now)


def test_a_failed_revision_leaves_nothing_behind(empty_database_urls: DatabaseUrls) -> None:
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    name = min(metadata.tables) if metadata.tables else "alembic_version"
    with connect(empty_database_urls.owner_url) as connection:
        # A relation that is in the way of the first revision.
        connection.execute(f'CREATE TABLE "{name}" (in_the_way text)')
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            migrations.upgrade(empty_database_urls.owner_url)
        assert connection.execute(tables).fetchall() == [(name,)]


def test_down_and_up_again_give_the_same_schema(owner_engine: Engine) -> None:
    def columns() -> list[tuple[object, ...]]:
        with owner_engine.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name"
                " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
            )
            return [tuple(row) for row in found]

    before = columns()
    with owner_engine.begin() as connection:
        command.downgrade(migrations.alembic_configuration(connection, compare=False), "base")
    assert {table for table, *_ in columns()} <= {"alembic_version"}
    with owner_engine.begin() as connection:
        command.upgrade(migrations.alembic_configuration(connection, compare=False), "head")
    assert columns() == before


def test_the_migrated_schema_is_the_metadata(owner_engine: Engine) -> None:
    with owner_engine.begin() as connection:
        command.check(migrations.alembic_configuration(connection))


def test_the_alembic_command_works_on_the_database_of_the_environment(database_urls: DatabaseUrls) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "current"],
        cwd=REPOSITORY,
        env=os.environ | {"TALLYSTICK_DATABASE_OWNER_URL": database_urls.owner_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (migrations.head_revision() or "") in done.stdout
