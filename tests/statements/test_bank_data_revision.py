"""The revision that brought parts: what was imported before it is whole."""

import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory

from tallystick.core import migrations
from tests.bank import Bank, oracle
from tests.camt_writer import Entry, statement
from tests.statements.imports import only

CONTENT = statement(Entry("1.00", remittance="HARBOUR-USD"))


def test_statements_from_before_are_complete(bank: Bank) -> None:
    before = only(bank.import_statement(CONTENT))
    bank.database.close()
    engine = sqlalchemy.create_engine(bank.urls.owner_url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        configuration = migrations.alembic_configuration(connection, compare=False)
        own = ScriptDirectory.from_config(configuration).get_revision("0009")
        command.downgrade(configuration, str(own.down_revision))
    with engine.begin() as connection:
        command.upgrade(migrations.alembic_configuration(connection, compare=False), "head")

    again = bank.import_statement(CONTENT)

    assert (again.imported, only(again)) == (False, before)
    oracle(bank)
