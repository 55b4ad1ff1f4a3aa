"""What the bank says against what the books know: matches; and statements that are abandoned or told in parts."""

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision: Final = "0016"
down_revision: Final = "0015"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
APPEND_ONLY: Final = (
    "statement_abandonment",
    "statement_entry_deposit",
    "match_statement",
    "match_reference",
    "match_decision",
)
# table: the columns that may change after a row is written
CHANGEABLE: Final = {
    "matching_terms": ("tolerance_minor", "days_max", "automatic_from", "changed_at", "event_index"),
    "matching_progress": ("next_event_index", "last_hold_id", "matched_at"),
    # Which match stands for it; where the log has it once it is booked; and how much a hold changed by, if a figure
    # comes late.
    "match_item": ("match_id", "event_index", "amount_minor"),
    "bank_match": ("state",),
}


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=nullable)


def _integer(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.TIMESTAMP(timezone=True), nullable=nullable)


def upgrade() -> None:
    _extend_statements()
    _create_terms()
    _create_items()
    _create_matches()
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")
    for table, columns in CHANGEABLE.items():
        op.execute(f"GRANT SELECT, INSERT ON {table} TO {SERVICE}")
        op.execute(f"GRANT UPDATE ({', '.join(columns)}) ON {table} TO {SERVICE}")


def _extend_statements() -> None:
    # A statement that is abandoned leaves deposits that wait for an account.
    op.alter_column("notified_deposit", "account_id", nullable=True)
    op.create_index(
        "ix_statement_entry_retold",
        "statement_entry",
        ["issuer_id", "deposit_id"],
        unique=False,
        postgresql_where=sa.text("matched_by = 'retold'"),
    )
    for name, columns in (
        (
            "statement_abandonment",
            (_id("statement_id"), _id("abandoned_by"), _text("reason"), _moment("abandoned_at")),
        ),
        ("statement_entry_deposit", (_id("statement_id"), _integer("entry_number"), _id("deposit_id"))),
    ):
        keys = [one.name for one in columns if one.name in ("statement_id", "entry_number", "deposit_id")]
        op.create_table(
            name,
            _id("issuer_id"),
            *columns,
            sa.ForeignKeyConstraint(
                ["issuer_id", "statement_id"],
                ["statement.issuer_id", "statement.id"],
                name=op.f(f"fk_{name}_statement"),
            ),
            sa.PrimaryKeyConstraint("issuer_id", *keys, name=op.f(f"pk_{name}")),
        )
    op.create_index(
        op.f("ix_statement_entry_deposit_issuer_id_deposit_id"),
        "statement_entry_deposit",
        ["issuer_id", "deposit_id"],
        unique=False,
    )
    op.create_index(
        "ix_deposit_balance_holds",
        "deposit_balance",
        ["issuer_id", "account_id", "as_of"],
        unique=False,
        postgresql_where=sa.text("kind = 'hold' AND account_id IS NOT NULL"),
    )
    op.create_index(
        "ix_instruction_redemption_reference",
        "instruction",
        ["issuer_id", "reference"],
        unique=False,
        postgresql_where=sa.text("kind = 'redemption' AND reference IS NOT NULL"),
    )


def _create_terms() -> None:
    op.create_table(
        "matching_terms",
        _id("issuer_id"),
        _id("token_class_id"),
        _integer("tolerance_minor"),
        sa.Column("days_max", sa.SmallInteger(), nullable=False),
        _text("automatic_from"),
        _moment("changed_at"),
        _integer("event_index"),
        _of_class("matching_terms"),
        sa.PrimaryKeyConstraint("issuer_id", "token_class_id", name=op.f("pk_matching_terms")),
        sa.CheckConstraint("tolerance_minor >= 0", name=op.f("ck_matching_terms_tolerance")),
        sa.CheckConstraint("days_max BETWEEN 0 AND 31", name=op.f("ck_matching_terms_days_max")),
        sa.CheckConstraint(
            "automatic_from IN ('exact', 'strong')", name=op.f("ck_matching_terms_automatic_from")
        ),
    )


def _create_items() -> None:
    op.create_table(
        "matching_progress",
        _id("issuer_id"),
        _id("token_class_id"),
        _integer("next_event_index"),
        _id("last_hold_id", nullable=True),
        _moment("matched_at", nullable=True),
        _of_class("matching_progress"),
        sa.PrimaryKeyConstraint("issuer_id", "token_class_id", name=op.f("pk_matching_progress")),
    )
    op.create_table(
        "match_statement",
        _id("issuer_id"),
        _id("statement_id"),
        _moment("taken_in_at"),
        sa.ForeignKeyConstraint(
            ["issuer_id", "statement_id"],
            ["statement.issuer_id", "statement.id"],
            name=op.f("fk_match_statement_statement"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "statement_id", name=op.f("pk_match_statement")),
    )
    op.create_table(
        "match_item",
        _id("issuer_id"),
        _id("id"),
        _id("token_class_id"),
        _text("side"),
        _text("kind"),
        _integer("amount_minor"),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("place", sa.Text(collation="C"), nullable=False),
        _text("counterparty", nullable=True),
        _id("account_id", nullable=True),
        sa.Column("reversal", sa.Boolean(), nullable=False),
        _moment("known_at", nullable=True),
        _integer("event_index", nullable=True),
        _id("match_id", nullable=True),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_match_item")),
        sa.CheckConstraint("side IN ('bank', 'books')", name=op.f("ck_match_item_side")),
    )
    op.create_index(
        "ix_match_item_open",
        "match_item",
        ["issuer_id", "token_class_id", "side", "id"],
        unique=False,
        postgresql_where=sa.text("match_id IS NULL AND amount_minor <> 0"),
    )
    op.create_index(
        "ix_match_item_amount",
        "match_item",
        ["issuer_id", "token_class_id", "amount_minor"],
        unique=False,
        postgresql_where=sa.text("match_id IS NOT NULL AND counterparty IS NOT NULL"),
    )
    for column, condition in (("known_at", "kind = 'hold'"), ("event_index", "side = 'books'")):
        op.create_index(
            f"ix_match_item_{column}",
            "match_item",
            ["issuer_id", "token_class_id", column],
            unique=False,
            postgresql_where=sa.text(condition),
        )
    op.create_table(
        "match_reference",
        _id("issuer_id"),
        _id("token_class_id"),
        sa.Column("reference", sa.Text(collation="C"), nullable=False),
        _id("item_id"),
        sa.PrimaryKeyConstraint(
            "issuer_id", "token_class_id", "reference", "item_id", name=op.f("pk_match_reference")
        ),
    )
    op.create_index(
        op.f("ix_match_reference_issuer_id_item_id"),
        "match_reference",
        ["issuer_id", "item_id"],
        unique=False,
    )


def _create_matches() -> None:
    op.create_table(
        "bank_match",
        _id("issuer_id"),
        _id("id"),
        _id("token_class_id"),
        _text("kind"),
        _text("rule"),
        _text("confidence"),
        _text("state"),
        sa.Column("bank_item_ids", ARRAY(sa.Text(collation="C")), nullable=False),
        sa.Column("book_item_ids", ARRAY(sa.Text(collation="C")), nullable=False),
        _integer("bank_minor"),
        _integer("difference_minor"),
        _id("statement_id", nullable=True),
        _integer("event_index", nullable=True),
        _text("compared", nullable=True),
        _id("made_by", nullable=True),
        _moment("made_at"),
        _of_class("bank_match"),
        sa.PrimaryKeyConstraint("issuer_id", "id", name=op.f("pk_bank_match")),
        sa.CheckConstraint(
            "state IN ('proposed', 'pending_approval', 'accepted', 'rejected', 'undone', 'superseded')",
            name=op.f("ck_bank_match_state"),
        ),
        sa.CheckConstraint(
            "confidence IN ('exact', 'strong', 'fair', 'weak', 'person')",
            name=op.f("ck_bank_match_confidence"),
        ),
        sa.CheckConstraint(
            "cardinality(bank_item_ids) + cardinality(book_item_ids) >= 2", name=op.f("ck_bank_match_sides")
        ),
    )
    op.create_index(
        op.f("ix_bank_match_issuer_id_statement_id_event_index"),
        "bank_match",
        ["issuer_id", "statement_id", "event_index"],
        unique=False,
    )
    op.create_index(
        "ix_bank_match_evidence",
        "bank_match",
        ["issuer_id", "token_class_id", "event_index"],
        unique=False,
        postgresql_where=sa.text("event_index IS NOT NULL"),
    )
    op.create_index(
        "ix_bank_match_not_accepted",
        "bank_match",
        ["issuer_id", "token_class_id", "state", "id"],
        unique=False,
        postgresql_where=sa.text("state <> 'accepted'"),
    )
    op.create_table(
        "match_decision",
        _id("issuer_id"),
        _id("match_id"),
        _integer("decision_number"),
        _text("decision"),
        _id("decided_by", nullable=True),
        _text("person", nullable=True),
        _text("reason", nullable=True),
        _moment("decided_at"),
        sa.ForeignKeyConstraint(
            ["issuer_id", "match_id"],
            ["bank_match.issuer_id", "bank_match.id"],
            name=op.f("fk_match_decision_bank_match"),
        ),
        sa.PrimaryKeyConstraint("issuer_id", "match_id", "decision_number", name=op.f("pk_match_decision")),
    )


def _of_class(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["issuer_id", "token_class_id"],
        ["token_class.issuer_id", "token_class.id"],
        name=op.f(f"fk_{table}_token_class"),
    )


def downgrade() -> None:
    for table in (
        "match_decision",
        "bank_match",
        "match_reference",
        "match_item",
        "match_statement",
        "matching_progress",
        "matching_terms",
        "statement_entry_deposit",
        "statement_abandonment",
    ):
        op.drop_table(table)
    op.drop_index("ix_instruction_redemption_reference", table_name="instruction")
    op.drop_index("ix_deposit_balance_holds", table_name="deposit_balance")
    op.drop_index("ix_statement_entry_retold", table_name="statement_entry")
    # Deposits of abandoned statements that wait for an account could not be told again by an older release.
    op.execute("ALTER TABLE notified_deposit DISABLE TRIGGER append_only")
    op.execute("UPDATE notified_deposit SET account_id = '' WHERE account_id IS NULL")
    op.execute("ALTER TABLE notified_deposit ENABLE TRIGGER append_only")
    op.alter_column("notified_deposit", "account_id", nullable=False)
