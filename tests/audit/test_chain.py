"""The chain: one hash for one entry, whoever computes it, and no change that goes unseen."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
import rfc8785

from tallystick import audit
from tallystick.audit import Decision, Draft, Entry
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tests.bank import Bank, open_bank
from tests.database import cloned_database, connect

FULL = Draft(
    operation="transfer",
    decision=Decision.REFUSED,
    method="POST",
    status=409,
    principal_id="principal_01h455vb4pex5vsknk084sn02q",
    person="Mára Maker",
    key_id="key_01h455vb4pex5vsknk084sn02q",
    subject_id="account_01h455vb4pex5vsknk084sn02q",
    source="192.0.2.1",
    request_id="request-1",
    request_hash=bytes(range(32)),
    code="insufficient_funds",
    reasons={"kyc_expired": 2, "account_frozen": 1},
)


def test_a_hash_is_what_any_rfc_8785_library_makes_of_it() -> None:
    entry = Entry(
        "issuer_1", "audit_1", datetime(2026, 11, 20, 8, tzinfo=UTC), FULL, 7, b"not part of what is hashed"
    )
    told = audit.resource(entry)
    del told["hash"]
    told["previous_hash"] = "00" * 32

    digest = audit.entry_hash(entry, audit.FIRST_PREVIOUS_HASH)

    assert digest == hashlib.sha256(rfc8785.dumps(dict(told))).digest()
    # Promised for ever: who kept a hash must be able to compare it with any later release.
    assert digest.hex() == "242556fb332fa6266acc0f6ba23875428ffe57b9269da0a9e76904f47e291927"
    assert audit.entry_hash(entry, b"\1" * 32) != digest


COLUMNS = {
    "id": "'audit_00000000000000000000000000'",
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "operation": "'mint'",
    "method": "'GET'",
    "decision": "'failed'",
    "status": "status + 1",
    "principal_id": "NULL",
    "person": "'Chen Checker'",
    "key_id": "NULL",
    "subject_id": "'account_00000000000000000000000000'",
    "source": "'192.0.2.2'",
    "request_id": "NULL",
    "request_hash": "decode('00', 'hex')",
    "code": "'denied'",
    "event_index": "0",
    "reasons": "'{}'",
    "hash": "sha256(hash)",
    "entry_number": "entry_number + 10",
}


@pytest.fixture(scope="module")
def bank(
    postgres_server: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    """A bank with three entries in its trail, which every test leaves as they were."""
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        open_bank(urls, tmp_path_factory.mktemp("chain") / "keys") as opened,
    ):
        for drafts in ([FULL], [FULL, FULL]):
            opened.database.run(
                lambda connection, new=drafts: audit.append(connection, opened.clock, opened.issuer_id, new)  # type: ignore[misc]
            )
        yield opened


@pytest.fixture
def insider(bank: Bank) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """Somebody who may do anything to the database, and whose deeds are undone afterwards."""
    with connect(bank.urls.superuser_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("CREATE TABLE kept AS SELECT * FROM audit_entry")
        connection.execute("CREATE TABLE kept_head AS SELECT * FROM audit_head")
        yield connection
        for table, kept in (("audit_entry", "kept"), ("audit_head", "kept_head")):
            connection.execute(f"DELETE FROM {table}".encode())
            connection.execute(f"INSERT INTO {table} SELECT * FROM {kept}".encode())
            connection.execute(f"DROP TABLE {kept}".encode())


def broken(bank: Bank) -> int | None:
    with bank.database.read() as connection:
        return audit.first_broken_number(connection, bank.issuer_id)


def test_a_whole_chain_holds(bank: Bank) -> None:
    assert broken(bank) is None
    with bank.database.read() as connection:
        assert audit.first_broken_number(connection, "issuer_00000000000000000000000000") is None


def test_the_list_of_columns_is_whole(insider: "psycopg.Connection[tuple[object, ...]]") -> None:
    found = insider.execute(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = 'audit_entry'"
    )
    assert {str(name) for (name,) in found} == COLUMNS.keys() | {"issuer_id"}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_change_of_any_column_is_noticed(
    bank: Bank, insider: "psycopg.Connection[tuple[object, ...]]", column: str
) -> None:
    insider.execute(f"UPDATE audit_entry SET {column} = {COLUMNS[column]} WHERE entry_number = 1".encode())

    assert broken(bank) == 1


@pytest.mark.parametrize(
    ("deed", "number"),
    [
        ("DELETE FROM audit_entry WHERE entry_number = 0", 0),
        ("DELETE FROM audit_entry WHERE entry_number = 1", 1),
        ("DELETE FROM audit_entry WHERE entry_number = 2", 2),
        (
            (
                "INSERT INTO audit_entry SELECT issuer_id, 3, id, recorded_at, operation, method, decision, status,"
                " principal_id, person, key_id, subject_id, source, request_id, request_hash, code, event_index,"
                " reasons, hash FROM audit_entry WHERE entry_number = 2"
            ),
            3,
        ),
        ("UPDATE audit_head SET last_hash = sha256(last_hash)", 3),
        ("DELETE FROM audit_head", 3),
    ],
)
def test_what_is_removed_or_added_is_noticed(
    bank: Bank, insider: "psycopg.Connection[tuple[object, ...]]", deed: str, number: int
) -> None:
    insider.execute(deed.encode())

    assert broken(bank) == number


def test_two_entries_that_change_places_are_noticed(
    bank: Bank, insider: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    for before, after in ((1, 99), (2, 1), (99, 2)):
        insider.execute("UPDATE audit_entry SET entry_number = %s WHERE entry_number = %s", [after, before])

    assert broken(bank) == 1


@pytest.mark.parametrize(
    "deed",
    [
        "UPDATE audit_entry SET code = 'denied'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "DELETE FROM audit_head",
    ],
)
def test_the_service_can_neither_change_nor_delete(bank: Bank, deed: str) -> None:
    with connect(bank.urls.service_url) as connection:
        connection.execute("SET ROLE tallystick_service")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(deed.encode())


@pytest.mark.parametrize("deed", ["UPDATE audit_entry SET code = 'denied'", "DELETE FROM audit_entry"])
def test_nor_can_the_owner_by_accident(bank: Bank, deed: str) -> None:
    with (
        connect(bank.urls.owner_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
    ):
        connection.execute(deed.encode())
