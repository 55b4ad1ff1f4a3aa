"""Breaks that are carried from run to run and worked on, and a breaker that follows the log whatever the code does.

What a run found stands in `reconciliation_finding`, which only grows; `reconciliation_break` is one difference for as
long as its cause is the same. Breaks of before this revision become findings: the next run names what is still there.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

revision: Final = "0017"
down_revision: Final = "0016"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
APPEND_ONLY: Final = ("reconciliation_finding", "break_action", "break_evidence")
#: What a run or a person may make of a break.
CHANGEABLE: Final = (
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
)
STATES: Final = "'open', 'assigned', 'explained', 'resolved', 'written_off', 'cleared'"

# Whoever acts as the service can't let issuance go on, or mint while it is suspended, without an event of the log;
# and an event that nobody signed is found by the next run and by every verifier.
BREAKER_FOLLOWS_LOG: Final = """
CREATE FUNCTION breaker_follows_log() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before breaker;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        before := OLD;
    ELSE
        -- An insertion that meets a row goes on as its update.
        SELECT * INTO before FROM breaker
        WHERE issuer_id = NEW.issuer_id AND token_class_id = NEW.token_class_id;
    END IF;
    IF (NEW.state, NEW.reason, NEW.changed_at, NEW.event_index)
       IS DISTINCT FROM (before.state, before.reason, before.changed_at, before.event_index) THEN
        IF NEW.event_index <= before.event_index OR NOT EXISTS (
            SELECT 1 FROM event WHERE issuer_id = NEW.issuer_id AND event_index = NEW.event_index
            AND type = CASE NEW.state WHEN 'tripped' THEN 'breaker.tripped' ELSE 'breaker.reset' END
        ) THEN
            RAISE EXCEPTION 'a breaker changes with its event'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_breaker_event';
        END IF;
        IF NEW.state = 'closed' AND before.clean_run_id IS NULL THEN
            RAISE EXCEPTION 'a breaker is reset behind a clean run'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_breaker_clean_run';
        END IF;
    END IF;
    IF NEW.clean_run_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM reconciliation WHERE issuer_id = NEW.issuer_id AND id = NEW.clean_run_id
        AND token_class_id = NEW.token_class_id AND verdict = 'tied' AND event_index >= NEW.event_index
    ) THEN
        RAISE EXCEPTION 'no such run was clean'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_breaker_clean_run';
    END IF;
    RETURN NEW;
END
$$
"""
NO_MINT_WHILE_SUSPENDED: Final = """
CREATE FUNCTION no_mint_while_suspended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM breaker WHERE issuer_id = NEW.issuer_id AND token_class_id = NEW.token_class_id
        AND state = 'tripped'
    ) THEN
        RAISE EXCEPTION 'issuance of this token class is suspended'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_event_issuance';
    END IF;
    RETURN NEW;
END
$$
"""


def upgrade() -> None:
    for name, kind in (
        ("bank_as_of", sa.TIMESTAMP(timezone=True)),
        ("backing", sa.Text()),
        ("suspended_because", sa.Text()),
        ("current", sa.Boolean()),
    ):
        op.add_column("reconciliation", sa.Column(name, kind, nullable=True))
    op.create_index(
        "ix_reconciliation_current",
        "reconciliation",
        ["issuer_id", "token_class_id", "created_at"],
        unique=False,
        postgresql_where=sa.text("current"),
    )
    _create_findings()
    op.drop_table("reconciliation_break")
    _create_breaks()
    _create_work()
    _create_bank_evidence()
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ({', '.join(CHANGEABLE)}) ON reconciliation_break TO {SERVICE}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE (until_at) ON bank_evidence TO {SERVICE}")
    op.add_column("breaker", sa.Column("clean_run_id", sa.Text(collation="C"), nullable=True))
    op.execute(f"GRANT UPDATE (clean_run_id) ON breaker TO {SERVICE}")
    op.execute(BREAKER_FOLLOWS_LOG)
    op.execute(
        "CREATE TRIGGER follows_log BEFORE INSERT OR UPDATE ON breaker "
        "FOR EACH ROW EXECUTE FUNCTION breaker_follows_log()"
    )
    op.execute(NO_MINT_WHILE_SUSPENDED)
    op.execute(
        "CREATE TRIGGER no_mint_while_suspended BEFORE INSERT ON event "
        "FOR EACH ROW WHEN (NEW.type = 'token.minted') EXECUTE FUNCTION no_mint_while_suspended()"
    )


def _create_findings() -> None:
    op.create_table(
        "reconciliation_finding",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("reconciliation_id", sa.Text(collation="C"), nullable=False),
        sa.Column("finding_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("break_id", sa.Text(collation="C"), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("difference_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "reconciliation_id"],
            ["reconciliation.issuer_id", "reconciliation.id"],
            name=op.f("fk_reconciliation_finding_reconciliation"),
        ),
        sa.PrimaryKeyConstraint(
            "issuer_id", "reconciliation_id", "finding_number", name=op.f("pk_reconciliation_finding")
        ),
    )
    op.create_index(
        op.f("ix_reconciliation_finding_issuer_id_break_id"),
        "reconciliation_finding",
        ["issuer_id", "break_id"],
        unique=False,
    )
    op.execute(
        "INSERT INTO reconciliation_finding (issuer_id, reconciliation_id, finding_number, break_id, type,"
        " difference_minor, explanation, evidence)"
        " SELECT issuer_id, reconciliation_id,"
        " row_number() OVER (PARTITION BY issuer_id, reconciliation_id ORDER BY id),"
        " NULL, type, difference_minor, explanation, evidence FROM reconciliation_break"
    )


def _create_breaks() -> None:
    op.create_table(
        "reconciliation_break",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("difference_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False),
        sa.Column("reconciliation_id", sa.Text(collation="C"), nullable=False),
        sa.Column("last_reconciliation_id", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("seen_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("owner_id", sa.Text(collation="C"), nullable=True),
        sa.Column("due_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("instruction_id", sa.Text(collation="C"), nullable=True),
        sa.Column("accepted_minor", sa.BigInteger(), autoincrement=False, nullable=True),
        sa.Column("ended_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_reconciliation_break_state")),
        sa.CheckConstraint(
            "(state IN ('open', 'assigned', 'explained')) = (ended_at IS NULL)",
            name=op.f("ck_reconciliation_break_ended"),
        ),
        sa.CheckConstraint(
            "state <> 'resolved' OR instruction_id IS NOT NULL",
            name=op.f("ck_reconciliation_break_resolution"),
        ),
        sa.CheckConstraint(
            "(state = 'written_off') = (accepted_minor IS NOT NULL)",
            name=op.f("ck_reconciliation_break_accepted"),
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_reconciliation_break_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_reconciliation_break")),
        sa.UniqueConstraint(
            "issuer_id",
            "token_class_id",
            "cause",
            name=op.f("uq_reconciliation_break_issuer_id_token_class_id_cause"),
        ),
    )
    op.create_index(
        op.f("ix_reconciliation_break_issuer_id_state_id"),
        "reconciliation_break",
        ["issuer_id", "state", "id"],
        unique=False,
    )
    op.create_index(
        "ix_reconciliation_break_waiting",
        "reconciliation_break",
        ["issuer_id", "token_class_id", "due_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _create_work() -> None:
    op.create_table(
        "break_action",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("break_id", sa.Text(collation="C"), nullable=False),
        sa.Column("action_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(collation="C"), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("subject_id", sa.Text(collation="C"), nullable=True),
        sa.Column("done_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["issuer_id", "break_id"],
            ["reconciliation_break.issuer_id", "reconciliation_break.id"],
            name=op.f("fk_break_action_reconciliation_break"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "break_id", "action_number", name=op.f("pk_break_action")),
    )
    op.create_table(
        "break_evidence",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("break_id", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", BYTEA(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", BYTEA(), nullable=False),
        sa.Column("added_by", sa.Text(collation="C"), nullable=False),
        sa.Column("added_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("sha256(content) = content_hash", name=op.f("ck_break_evidence_hash")),
        sa.CheckConstraint("octet_length(content) = size_bytes", name=op.f("ck_break_evidence_size")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "break_id"],
            ["reconciliation_break.issuer_id", "reconciliation_break.id"],
            name=op.f("fk_break_evidence_reconciliation_break"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "break_id", "content_hash", name=op.f("pk_break_evidence")),
    )


def _create_bank_evidence() -> None:
    op.create_table(
        "bank_evidence",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("until_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('statement', 'hold')", name=op.f("ck_bank_evidence_kind")),
        sa.ForeignKeyConstraint(
            ["issuer_id", "token_class_id"],
            ["token_class.issuer_id", "token_class.id"],
            name=op.f("fk_bank_evidence_token_class"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "token_class_id", "kind", name=op.f("pk_bank_evidence")),
    )
    op.execute(
        "INSERT INTO bank_evidence (issuer_id, token_class_id, kind, until_at)"
        " SELECT s.issuer_id, s.token_class_id, 'statement',"
        " max(least((s.closed_on + 1)::timestamp AT TIME ZONE 'UTC', c.completed_at))"
        " FROM statement s JOIN statement_completion c ON c.issuer_id = s.issuer_id AND c.statement_id = s.id"
        " WHERE s.closing_minor IS NOT NULL AND s.closed_on IS NOT NULL"
        " AND s.message_type NOT IN ('camt.052', 'camt.054', 'MT942')"
        " GROUP BY s.issuer_id, s.token_class_id"
    )
    op.execute(
        "INSERT INTO bank_evidence (issuer_id, token_class_id, kind, until_at)"
        " SELECT issuer_id, token_class_id, 'hold', max(as_of) FROM deposit_balance"
        " WHERE kind = 'hold' AND account_id IS NOT NULL GROUP BY issuer_id, token_class_id"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER no_mint_while_suspended ON event")
    op.execute("DROP FUNCTION no_mint_while_suspended")
    op.execute("DROP TRIGGER follows_log ON breaker")
    op.execute("DROP FUNCTION breaker_follows_log")
    op.drop_column("breaker", "clean_run_id")
    op.drop_table("bank_evidence")
    op.drop_table("break_evidence")
    op.drop_table("break_action")
    op.drop_table("reconciliation_break")
    _restore_breaks()
    op.drop_table("reconciliation_finding")
    op.drop_index("ix_reconciliation_current", "reconciliation")
    for name in ("current", "suspended_because", "backing", "bank_as_of"):
        op.drop_column("reconciliation", name)


def _restore_breaks() -> None:
    op.create_table(
        "reconciliation_break",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("reconciliation_id", sa.Text(collation="C"), nullable=False),
        sa.Column("token_class_id", sa.Text(collation="C"), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("difference_minor", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'explained', 'closed')", name=op.f("ck_reconciliation_break_state")
        ),
        sa.ForeignKeyConstraint(
            ["issuer_id", "reconciliation_id"],
            ["reconciliation.issuer_id", "reconciliation.id"],
            name=op.f("fk_reconciliation_break_reconciliation"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_reconciliation_break")),
    )
    for columns in (["issuer_id", "state", "id"], ["issuer_id", "reconciliation_id", "id"]):
        op.create_index(
            op.f(f"ix_reconciliation_break_{'_'.join(columns)}"),
            "reconciliation_break",
            columns,
            unique=False,
        )
    # Their ids are of the run and the place in it, since the break that they belonged to is gone.
    op.execute(
        "INSERT INTO reconciliation_break (issuer_id, id, reconciliation_id, token_class_id, type, state,"
        " difference_minor, explanation, evidence, created_at)"
        " SELECT f.issuer_id, f.reconciliation_id || '.' || f.finding_number, f.reconciliation_id, r.token_class_id,"
        " f.type, CASE f.type WHEN 'timing' THEN 'explained' ELSE 'open' END, f.difference_minor, f.explanation,"
        " f.evidence, r.created_at FROM reconciliation_finding f"
        " JOIN reconciliation r ON r.issuer_id = f.issuer_id AND r.id = f.reconciliation_id"
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE (state) ON reconciliation_break TO {SERVICE}")
