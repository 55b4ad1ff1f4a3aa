"""The job queue in a schema of its own, and exports that are asked for now and made later.

The queue's tables are procrastinate's, as its release 3.10.0 writes them; a test holds the file against the library.
"""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: Final = "0015"
down_revision: Final = "0014"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
QUEUE: Final = "job_queue"
QUEUE_SQL: Final = Path(__file__).resolve().parents[1] / "job_queue" / "procrastinate-3.10.0.sql"
# What the library's functions do in the name of whoever calls them, and no more.
QUEUE_RIGHTS: Final = {
    "procrastinate_jobs": "SELECT, INSERT, UPDATE, DELETE",
    "procrastinate_workers": "SELECT, INSERT, UPDATE (last_heartbeat), DELETE",
    "procrastinate_events": "INSERT",
    "procrastinate_periodic_defers": "SELECT, UPDATE (job_id)",
}
QUEUE_SEQUENCES: Final = ("procrastinate_jobs_id_seq", "procrastinate_events_id_seq")


def upgrade() -> None:
    _create_queue()
    op.create_table(
        "export_run",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("export_id", sa.Text(collation="C"), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rows_written", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rows_to_write", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("current_file", sa.Text(), nullable=True),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ended_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'finished', 'failed', 'cancelled')",
            name=op.f("ck_export_run_state"),
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "export_id"],
            ["export.issuer_id", "export.id"],
            name=op.f("fk_export_run_export"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "export_id", name=op.f("pk_export_run")),
    )
    op.create_index(
        "ix_export_run_open",
        "export_run",
        ["issuer_id", "export_id"],
        unique=False,
        postgresql_where=sa.text("state IN ('pending', 'running')"),
    )
    op.create_table(
        "export_result",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("export_id", sa.Text(collation="C"), nullable=False),
        sa.Column("manifest", JSONB(), nullable=False),
        sa.Column("manifest_jws", sa.Text(), nullable=True),
        sa.Column("event_index", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.ForeignKeyConstraint(
            ["issuer_id", "export_id"],
            ["export.issuer_id", "export.id"],
            name=op.f("fk_export_result_export"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "export_id", name=op.f("pk_export_result")),
    )
    # Until now an export was recorded once it was made.
    op.execute(
        "INSERT INTO export_run (issuer_id, export_id, state, attempts, rows_written, started_at, ended_at)"
        " SELECT issuer_id, id, 'finished', 1, 0, created_at, created_at FROM export"
    )
    op.execute(
        "INSERT INTO export_result (issuer_id, export_id, manifest, manifest_jws)"
        " SELECT issuer_id, id, manifest, arguments #>> '{evidence,manifest_jws}' FROM export"
    )
    op.drop_column("export", "manifest")
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON export_result "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    op.execute(f"GRANT SELECT, INSERT ON export_result TO {SERVICE}")
    op.execute(
        "GRANT SELECT, INSERT, UPDATE (state, attempts, rows_written, rows_to_write, current_file, started_at,"
        f" ended_at, failure_code, failure_reason) ON export_run TO {SERVICE}"
    )


def _create_queue() -> None:
    op.execute(f"CREATE SCHEMA {QUEUE}")
    op.execute(f"SET LOCAL search_path = {QUEUE}")
    op.execute(QUEUE_SQL.read_text(encoding="utf-8"))
    op.execute("RESET search_path")
    op.execute(f"GRANT USAGE ON SCHEMA {QUEUE} TO {SERVICE}")
    for table, rights in QUEUE_RIGHTS.items():
        op.execute(f"GRANT {rights} ON {QUEUE}.{table} TO {SERVICE}")
    for sequence in QUEUE_SEQUENCES:
        op.execute(f"GRANT USAGE ON SEQUENCE {QUEUE}.{sequence} TO {SERVICE}")
    op.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {QUEUE} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {QUEUE} TO {SERVICE}")


def downgrade() -> None:
    """Go back to where exports are recorded once they are made: those that are not finished are forgotten."""
    op.add_column("export", sa.Column("manifest", JSONB(), nullable=True))
    op.execute("ALTER TABLE export DISABLE TRIGGER append_only")
    op.execute(
        "UPDATE export SET manifest = r.manifest, arguments = CASE WHEN r.manifest_jws IS NULL THEN arguments"
        " ELSE jsonb_set(arguments, '{evidence,manifest_jws}', to_jsonb(r.manifest_jws)) END"
        " FROM export_result r WHERE r.issuer_id = export.issuer_id AND r.export_id = export.id"
    )
    op.drop_table("export_result")
    op.drop_table("export_run")
    op.execute("DELETE FROM export WHERE manifest IS NULL")
    op.execute("ALTER TABLE export ENABLE TRIGGER append_only")
    op.alter_column("export", "manifest", nullable=False)
    op.execute(f"DROP SCHEMA {QUEUE} CASCADE")
