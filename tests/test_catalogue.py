"""The schema as the database itself describes it: one tenant per key, nothing that can't be distributed, least rights.

Whatever a later revision adds is held to the same rules without anybody thinking of it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
import sqlalchemy
from alembic import command
from procrastinate.schema import SchemaManager

from tallystick import integrity
from tallystick.core import migrations
from tallystick.core.database import JOB_QUEUE_SCHEMA, SERVICE_ROLE, metadata
from tallystick.core.embedded_postgres import EmbeddedPostgres
from tallystick.core.table_classes import OF_LIBRARIES, TableClass, class_of
from tests.bank import Bank
from tests.database import cloned_database, connect

# Rows that may change after they were written; all others are only ever added.
CHANGEABLE = {
    "account": {"status", "status_reason", "closed_at"},
    "api_key": {"revoked_at", "expires_at", "last_used_at"},
    "approval": {"state"},
    "export_run": {
        "state",
        "attempts",
        "rows_written",
        "rows_to_write",
        "current_file",
        "started_at",
        "ended_at",
        "failure_code",
        "failure_reason",
    },
    "facts_version": {"version"},
    "bank_evidence": {"until_at"},
    "breaker": {"state", "reason", "changed_at", "event_index", "clean_run_id"},
    "audit_head": {"next_number", "last_recorded_at", "last_hash"},
    "client": {"revoked_at"},
    "holder": {"kyc_status", "kyc_expires_on"},
    "instruction": {
        "state",
        "remaining_minor",
        "payee_account_id",
        "reason",
        "settled_at",
        "event_index",
        "value_date",
    },
    "ledger_account": {"balance_minor", "version", "last_event_index"},
    "limit_usage": {"hour", "buckets", "total_minor"},
    "log_head": {"next_index", "last_booked_at"},
    "bank_match": {"state"},
    "match_item": {"match_id", "event_index", "amount_minor"},
    "matching_progress": {"next_event_index", "last_hold_id", "matched_at"},
    "matching_terms": {"tolerance_minor", "days_max", "automatic_from", "changed_at", "event_index"},
    "log_tree": {"size", "edge"},
    "policy_document": {"approved_at", "active_from", "retired_at", "approval_hashes"},
    "principal": {
        "status",
        "status_reason",
        "roles",
        "scopes",
        "access_until",
        "oidc_subject",
        "calls_per_minute_max",
        "signature_required_from_minor",
    },
    "rate_bucket": {"full_at", "leased_count"},
    "reconciliation_break": {
        "type",
        "state",
        "difference_minor",
        "explanation",
        "evidence",
        "last_reconciliation_id",
        "seen_at",
        "owner_id",
        "due_at",
        "instruction_id",
        "accepted_minor",
        "ended_at",
    },
    "restriction": {"restricted_minor", "seized_minor", "state", "ended_at"},
    "schedule_leader": {"looked_at"},
    "scheduled_run": {"missed_at", "done_at", "reconciliation_id"},
    "screening": {"state", "hits", "decided_at", "superseded_by"},
    "screening_scope": {"number"},
    "screening_standing": {"state", "scope_number", "last_number", "changed_at"},
    # A first version that names the wrong roots can be replaced until a key was activated under it.
    "root_manifest": {"document", "sha256", "imported_at"},
    "signing_key": {
        "state",
        "activated_at",
        "retired_at",
        "revoked_at",
        "compromised_at",
        "reason",
        "activated_index",
        "from_index",
        "until_index",
        "revoked_index",
        "compromised_from_index",
        "manifest_version",
    },
    "token_class": {"mode", "terms_version"},
}
# Rows that are of no use and no evidence once they have expired, and then may be deleted.
EPHEMERAL = {"access_token", "client_nonce"}
# Rows that are kept and prove nothing: counters for caches and for limits on calls.
WORTHLESS = {
    "export_run",
    "facts_version",
    "matching_progress",
    "rate_bucket",
    "scheduled_run",
    "schedule_leader",
    "reconciled_statement",
}
PUBLIC_TABLES = "FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"


@pytest.fixture(scope="module")
def catalogue(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[psycopg.Connection[Any]]:
    with (
        cloned_database(postgres_server, migrated_template) as urls,
        connect(urls.superuser_url) as connection,
    ):
        yield connection


def rows(catalogue: psycopg.Connection[Any], query: str) -> Sequence[tuple[Any, ...]]:
    return catalogue.execute(query.encode()).fetchall()


def tables(catalogue: psycopg.Connection[Any]) -> set[str]:
    return {name for (name,) in rows(catalogue, f"SELECT c.relname {PUBLIC_TABLES}")} - {"alembic_version"}


def test_every_table_begins_with_its_tenant(catalogue: psycopg.Connection[Any]) -> None:
    first = dict(
        rows(
            catalogue,
            "SELECT table_name, column_name || ' ' || is_nullable FROM information_schema.columns"
            " WHERE table_schema = 'public' AND ordinal_position = 1",
        )
    )
    assert {name: first[name] for name in tables(catalogue)} == dict.fromkeys(
        tables(catalogue), "issuer_id NO"
    )


def test_every_table_has_a_class(catalogue: psycopg.Connection[Any]) -> None:
    """Logged, derived or ephemeral: what `check-integrity` holds it against. See `core.table_classes`."""
    integrity.know_every_table()
    classes = {name: class_of(table) for name, table in metadata.tables.items()} | OF_LIBRARIES
    assert {name for name in tables(catalogue) if classes.get(name) is None} == set()
    assert {
        name for name in tables(catalogue) if classes[name] == TableClass.EPHEMERAL
    } == EPHEMERAL | WORTHLESS
    # A derived table is one that a replay yields again, or one that is told to be covered by nothing.
    assert integrity.unclassed() == []


def test_every_index_begins_with_the_tenant(catalogue: psycopg.Connection[Any]) -> None:
    """Primary keys and unique constraints are indexes too."""
    found = rows(
        catalogue,
        """SELECT i.indexrelid::regclass::text, a.attname, i.indrelid::regclass::text, i.indisprimary
           FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
           LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
           WHERE c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'""",
    )
    assert {name for name, column, _, _ in found if column != "issuer_id"} == set()
    assert {table for _, _, table, primary in found if primary} == tables(catalogue)


def test_every_foreign_key_stays_within_the_tenant(catalogue: psycopg.Connection[Any]) -> None:
    found = rows(
        catalogue,
        """SELECT c.conname, here.attname, there.attname, c.condeferrable
           FROM pg_constraint c
           JOIN pg_attribute here ON here.attrelid = c.conrelid AND here.attnum = c.conkey[1]
           JOIN pg_attribute there ON there.attrelid = c.confrelid AND there.attnum = c.confkey[1]
           WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace""",
    )
    assert len(found) > 10
    assert {(here, there, deferrable) for _, here, there, deferrable in found} == {
        ("issuer_id", "issuer_id", False)
    }


# Identifiers that others gave out: nobody sorts by them.
FOREIGN_IDS = (
    "('event', 'key_id'), ('signing_key', 'id'), ('statement', 'bank_statement_id'), ('statement', 'message_id'),"
    " ('statement_entry', 'end_to_end_id')"
)
COLUMNS = (
    "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
)
FORBIDDEN = {
    "sequences": (
        "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
    ),
    "identity or generated columns": f"{COLUMNS} AND (is_identity = 'YES' OR is_generated <> 'NEVER')",
    "defaults, for ids and times are the application's to give": f"{COLUMNS} AND column_default IS NOT NULL",
    "exclusion constraints": "SELECT conname FROM pg_constraint WHERE contype = 'x'",
    "deferrable constraints": "SELECT conname FROM pg_constraint WHERE condeferrable",
    "domains, enumerations or ranges": (
        "SELECT typname FROM pg_type"
        " WHERE typnamespace = 'public'::regnamespace AND typtype IN ('d', 'e', 'r', 'm')"
    ),
    "numbers that are not whole": (
        f"{COLUMNS} AND data_type IN ('real', 'double precision', 'numeric', 'money')"
    ),
    "minor units that are no BIGINT": f"{COLUMNS} AND column_name LIKE '%\\_minor' AND data_type <> 'bigint'",
    "moments without a time zone": (
        f"{COLUMNS} AND (data_type = 'timestamp without time zone'"
        "  OR column_name LIKE '%\\_at' AND data_type <> 'timestamp with time zone')"
    ),
    "ids that sort by the database's locale": (
        f"{COLUMNS} AND (column_name = 'id' OR column_name LIKE '%\\_id')"
        f" AND collation_name IS DISTINCT FROM 'C' AND (table_name, column_name) NOT IN ({FOREIGN_IDS})"
    ),
    "functions with another's rights": "SELECT proname FROM pg_proc WHERE prosecdef",
    "rows that are hidden by policy": "SELECT polname FROM pg_policy",
    "unlogged tables": f"SELECT relname {PUBLIC_TABLES} AND relpersistence <> 'p'",
    "tables that hang on others": "SELECT inhrelid FROM pg_inherits",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_there_are_no(catalogue: psycopg.Connection[Any], what: str) -> None:
    assert rows(catalogue, FORBIDDEN[what]) == []


class TestRights:
    def test_the_service_is_nobody_special_and_owns_nothing(self, catalogue: psycopg.Connection[Any]) -> None:
        assert rows(
            catalogue,
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles"
            f" WHERE rolname = '{SERVICE_ROLE}'",
        ) == [(False,) * 5]
        owned = "SELECT classid::regclass, objid FROM pg_shdepend WHERE deptype = 'o' AND refobjid = "
        assert rows(catalogue, f"{owned} '{SERVICE_ROLE}'::regrole") == []
        assert rows(
            catalogue,
            f"SELECT has_schema_privilege('{SERVICE_ROLE}', 'public', 'CREATE'),"
            f" has_database_privilege('{SERVICE_ROLE}', current_database(), 'CREATE')",
        ) == [(False, False)]

    def test_the_service_deletes_what_expired_and_truncates_nothing(
        self, catalogue: psycopg.Connection[Any]
    ) -> None:
        may = rows(
            catalogue,
            "SELECT c.relname, right_ FROM pg_class c, unnest('{DELETE,TRUNCATE,TRIGGER,REFERENCES}'::text[]) right_"
            " WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace = 'public'::regnamespace"
            f" AND has_table_privilege('{SERVICE_ROLE}', c.oid, right_)",
        )
        assert set(may) == {(name, "DELETE") for name in EPHEMERAL}

    def test_the_service_changes_the_columns_that_are_known_to_change(
        self, catalogue: psycopg.Connection[Any]
    ) -> None:
        changeable: dict[str, set[str]] = {}
        for table, column in rows(
            catalogue,
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped"
            f" AND has_column_privilege('{SERVICE_ROLE}', c.oid, a.attnum, 'UPDATE')",
        ):
            changeable.setdefault(table, set()).add(column)
        assert changeable == CHANGEABLE

    def test_what_does_not_change_is_guarded_against_its_owner_too(
        self, catalogue: psycopg.Connection[Any]
    ) -> None:
        guarded = rows(
            catalogue,
            "SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            # Before, for each statement, on update, delete and truncate; and switched on.
            " WHERE t.tgname = 'append_only' AND t.tgtype = 2 + 8 + 16 + 32 AND t.tgenabled = 'O'",
        )
        assert {name for (name,) in guarded} == tables(catalogue) - set(CHANGEABLE) - EPHEMERAL

    def test_the_public_has_no_rights(self, catalogue: psycopg.Connection[Any]) -> None:
        assert (
            rows(
                catalogue,
                f"SELECT c.relname {PUBLIC_TABLES} AND EXISTS"
                " (SELECT 1 FROM aclexplode(c.relacl) WHERE grantee = 0)",
            )
            == []
        )


class TestJobQueue:
    """The queue's tables are its library's, so they have its rules; nothing of the bank's may be there."""

    def test_they_are_what_the_locked_library_writes(self) -> None:
        kept = migrations.migrations_directory() / "job_queue" / "procrastinate-3.10.0.sql"

        assert kept.read_text() == SchemaManager.get_schema(), "a newer library needs a migration of its own"

    def test_the_service_may_do_what_the_library_does(self, catalogue: psycopg.Connection[Any]) -> None:
        may: dict[str, set[str]] = {}
        for table, right in rows(
            catalogue,
            "SELECT c.relname, right_ FROM pg_class c,"
            " unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,TRIGGER,REFERENCES}'::text[]) right_"
            f" WHERE c.relkind = 'r' AND c.relnamespace = '{JOB_QUEUE_SCHEMA}'::regnamespace"
            f" AND has_table_privilege('{SERVICE_ROLE}', c.oid, right_)",
        ):
            may.setdefault(table, set()).add(right)
        assert may == {
            "procrastinate_jobs": {"SELECT", "INSERT", "UPDATE", "DELETE"},
            "procrastinate_workers": {"SELECT", "INSERT", "DELETE"},
            "procrastinate_events": {"INSERT"},
            "procrastinate_periodic_defers": {"SELECT"},
        }

    def test_nobody_else_may_anything(self, catalogue: psycopg.Connection[Any]) -> None:
        for catalog, rights in (("pg_class", "relacl"), ("pg_proc", "proacl")):
            namespace = rights[:3] + "namespace"
            found = rows(
                catalogue,
                f"SELECT DISTINCT grantee::regrole::text FROM {catalog}, aclexplode({rights})"
                f" WHERE {namespace} = '{JOB_QUEUE_SCHEMA}'::regnamespace",
            )
            assert {name for (name,) in found} == {SERVICE_ROLE, "tallystick_owner"}

    def test_the_service_makes_nothing_there(self, catalogue: psycopg.Connection[Any]) -> None:
        privilege = f"has_schema_privilege('{SERVICE_ROLE}', '{JOB_QUEUE_SCHEMA}', 'CREATE')"
        assert rows(catalogue, f"SELECT {privilege}") == [(False,)]


def test_down_with_data_and_up_again(bank: Bank) -> None:
    bank.mint("HARBOUR-USD", "5.00")
    bank.database.close()
    engine = sqlalchemy.create_engine(bank.urls.owner_url, poolclass=sqlalchemy.NullPool)
    for verb, revision in ((command.downgrade, "base"), (command.upgrade, "head")):
        with engine.begin() as connection:
            verb(migrations.alembic_configuration(connection, compare=False), revision)
    with connect(bank.urls.superuser_url) as connection_now:
        assert "event" in tables(connection_now)
        assert rows(connection_now, "SELECT count(*) FROM event") == [(0,)]
