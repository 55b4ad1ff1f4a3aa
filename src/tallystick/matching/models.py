"""Tables of matches: what each side knows, in one shape, and what was found to belong together.

Items are made from statements, pushed holds and the log, and can be made again from those. What people decided about a
match is only ever added.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from tallystick.core.columns import (
    date_column,
    id_column,
    integer_column,
    moment_column,
    text_column,
)
from tallystick.core.database import metadata
from tallystick.core.table_classes import DERIVED, EPHEMERAL, LOGGED

# How far a class's items were taken in; its row is also what runs and decisions stand in line behind. Without it a run
# begins anew and makes nothing twice.
matching_progress = Table(
    "matching_progress",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("token_class_id", primary_key=True),
    integer_column("next_event_index"),
    id_column("last_hold_id", nullable=True),
    moment_column("matched_at", nullable=True),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    info=EPHEMERAL,
)

match_statement = Table(
    "match_statement",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("statement_id", primary_key=True),
    moment_column("taken_in_at"),
    ForeignKeyConstraint(["issuer_id", "statement_id"], ["statement.issuer_id", "statement.id"]),
    info=LOGGED,
)

# What one side knows of: of the bank an entry or a change of a hold, of the books a deposit, a release, a redemption,
# a payout, a fee. A credit and its deposit that its evidence ties have no item: their match is all there is.
match_item = Table(
    "match_item",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    text_column("side"),
    text_column("kind"),
    # On the control account: positive for what came in.
    integer_column("amount_minor"),
    date_column("day", nullable=True),
    # By what items of one day are put in order: what the bank wrote, never when it was imported.
    Column("place", Text(collation="C"), nullable=False),
    text_column("counterparty", nullable=True),
    id_column("account_id", nullable=True),
    Column("reversal", Boolean, nullable=False),
    moment_column("known_at", nullable=True),
    integer_column("event_index", nullable=True),
    id_column("match_id", nullable=True),
    CheckConstraint("side IN ('bank', 'books')", name="side"),
    Index(
        "ix_match_item_open",
        "issuer_id",
        "token_class_id",
        "side",
        "id",
        postgresql_where=text("match_id IS NULL AND amount_minor <> 0"),
    ),
    # What may have been tied for want of a reference.
    Index(
        "ix_match_item_amount",
        "issuer_id",
        "token_class_id",
        "amount_minor",
        postgresql_where=text("match_id IS NOT NULL AND counterparty IS NOT NULL"),
    ),
    # Entries are found by their statement, which their id begins with.
    Index(
        "ix_match_item_known_at",
        "issuer_id",
        "token_class_id",
        "known_at",
        postgresql_where=text("kind = 'hold'"),
    ),
    Index(
        "ix_match_item_event_index",
        "issuer_id",
        "token_class_id",
        "event_index",
        postgresql_where=text("side = 'books'"),
    ),
    info=DERIVED,
)

match_reference = Table(
    "match_reference",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("token_class_id", primary_key=True),
    Column("reference", Text(collation="C"), primary_key=True),
    id_column("item_id", primary_key=True),
    Index(None, "issuer_id", "item_id"),
    info=DERIVED,
)

# `event_index` is of a tie of one credit and its deposit: its deposit's place in the log.
bank_match = Table(
    "bank_match",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    text_column("kind"),
    text_column("rule"),
    text_column("confidence"),
    text_column("state"),
    Column("bank_item_ids", ARRAY(Text(collation="C")), nullable=False),
    Column("book_item_ids", ARRAY(Text(collation="C")), nullable=False),
    integer_column("bank_minor"),
    integer_column("difference_minor"),
    id_column("statement_id", nullable=True),
    integer_column("event_index", nullable=True),
    text_column("compared", nullable=True),
    id_column("made_by", nullable=True),
    moment_column("made_at"),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    CheckConstraint(
        "state IN ('proposed', 'pending_approval', 'accepted', 'rejected', 'undone', 'superseded')",
        name="state",
    ),
    CheckConstraint("confidence IN ('exact', 'strong', 'fair', 'weak', 'person')", name="confidence"),
    CheckConstraint("cardinality(bank_item_ids) + cardinality(book_item_ids) >= 2", name="sides"),
    Index(None, "issuer_id", "statement_id", "event_index"),
    Index(
        "ix_bank_match_evidence",
        "issuer_id",
        "token_class_id",
        "event_index",
        postgresql_where=text("event_index IS NOT NULL"),
    ),
    Index(
        "ix_bank_match_not_accepted",
        "issuer_id",
        "token_class_id",
        "state",
        "id",
        postgresql_where=text("state <> 'accepted'"),
    ),
    info=LOGGED,
)

match_decision = Table(
    "match_decision",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("match_id", primary_key=True),
    integer_column("decision_number", primary_key=True),
    text_column("decision"),
    id_column("decided_by", nullable=True),
    text_column("person", nullable=True),
    text_column("reason", nullable=True),
    moment_column("decided_at"),
    ForeignKeyConstraint(["issuer_id", "match_id"], ["bank_match.issuer_id", "bank_match.id"]),
    info=LOGGED,
)
