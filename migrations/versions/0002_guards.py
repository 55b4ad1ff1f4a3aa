"""What the database enforces by itself: balanced entries, append-only rows, and a service role that owns nothing.

Grants come first: the service may not update or delete what is signed or answered. Triggers come second and also bind
the owner; a superuser can bypass both, which is what the signed log is for.
"""

from typing import Final

from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"

APPEND_ONLY: Final = (
    "answer",
    "approval_vote",
    "event",
    "export",
    "issuer",
    "journal_line",
    "liability",
    "reconciliation",
    "statement",
    "statement_entry",
    "statement_finding",
)
# table: the columns that may change after a row is written
CHANGEABLE: Final = {
    "account": ("status", "status_reason", "closed_at"),
    "api_key": ("revoked_at",),
    "approval": ("state",),
    "holder": ("kyc_status", "kyc_expires_on"),
    "instruction": ("state", "remaining_minor", "payee_account_id", "reason", "settled_at", "event_index"),
    "ledger_account": ("balance_minor", "version", "last_event_index"),
    "log_head": ("next_index", "last_booked_at"),
    "principal": ("status",),
    "reconciliation_break": ("state",),
    "signing_key": ("state", "retired_at", "revoked_at", "compromised_at", "reason"),
    "token_class": ("mode", "terms_version"),
}

CREATE_ROLE: Final = f"""
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{SERVICE}') THEN
        CREATE ROLE {SERVICE} NOLOGIN;
    END IF;
    -- Whoever may migrate may also act as the service, so that one URL is enough for a trial.
    IF NOT pg_has_role(current_user, '{SERVICE}', 'USAGE') THEN
        EXECUTE format('GRANT {SERVICE} TO %I', current_user);
    END IF;
END
$$
"""  # noqa: S608 The name is the constant above.

ENTRY_BALANCES: Final = """
CREATE FUNCTION journal_entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM added GROUP BY issuer_id, event_index, currency HAVING sum(debit_minor) <> sum(credit_minor)
    ) THEN
        RAISE EXCEPTION 'a journal entry does not balance'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_journal_entry_balances';
    END IF;
    RETURN NULL;
END
$$
"""

REFUSE_CHANGE: Final = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$
"""


def upgrade() -> None:
    op.execute(ENTRY_BALANCES)
    op.execute(
        "CREATE TRIGGER entry_balances AFTER INSERT ON journal_line "
        "REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION journal_entry_balances()"
    )
    op.execute(REFUSE_CHANGE)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(CREATE_ROLE)
    op.execute(f"GRANT USAGE ON SCHEMA public TO {SERVICE}")
    op.execute(f"GRANT SELECT ON alembic_version TO {SERVICE}")
    for table in APPEND_ONLY:
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")
    for table, columns in CHANGEABLE.items():
        op.execute(f"GRANT SELECT, INSERT, UPDATE ({', '.join(columns)}) ON {table} TO {SERVICE}")


def downgrade() -> None:
    for table in (*APPEND_ONLY, *CHANGEABLE, "alembic_version"):
        op.execute(f"REVOKE ALL ON {table} FROM {SERVICE}")
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER append_only ON {table}")
    op.execute("DROP TRIGGER entry_balances ON journal_line")
    op.execute("DROP FUNCTION journal_entry_balances")
    op.execute("DROP FUNCTION refuse_change")
