"""Tables of the write path: what participants asked, and the answers that were given for ever.

A transfer's answer is made of its own row; `answer` holds those of everything else.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, SmallInteger, Table, Text, text

from tallystick.core.columns import (
    bytes_column,
    date_column,
    id_column,
    integer_column,
    moment_column,
    text_column,
)
from tallystick.core.database import metadata
from tallystick.core.table_classes import DERIVED, LOGGED, logged

instruction = Table(
    "instruction",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    text_column("kind"),
    text_column("state"),
    id_column("principal_id"),
    id_column("token_class_id", nullable=True),
    integer_column("amount_minor"),
    integer_column("remaining_minor", nullable=True),
    id_column("payer_account_id", nullable=True),
    id_column("payee_account_id", nullable=True),
    id_column("related_id", nullable=True),
    text_column("reference", nullable=True),
    text_column("reason", nullable=True),
    bytes_column("request_hash"),
    date_column("value_date", nullable=True),
    moment_column("created_at"),
    moment_column("expires_at", nullable=True),
    moment_column("settled_at", nullable=True),
    integer_column("event_index", nullable=True),
    # What a change does; null for what moves money.
    text_column("operation", nullable=True),
    text_column("purpose", nullable=True),
    # A transfer's own key, and what was answered to it first where that is not what the settled row says.
    bytes_column("key_digest", nullable=True),
    text_column("first_answer", nullable=True),
    # Where it came from: the caller's address.
    text_column("source", nullable=True),
    Index(
        "uq_instruction_key",
        "issuer_id",
        "key_digest",
        unique=True,
        postgresql_where=text("key_digest IS NOT NULL"),
    ),
    # Only what still waits for somebody is searched by state, so the index stays small while settled rows pile up.
    Index(
        "ix_instruction_open",
        "issuer_id",
        "kind",
        "state",
        "id",
        postgresql_where=text("kind <> 'transfer'"),
    ),
    Index(
        "ix_instruction_related",
        "issuer_id",
        "related_id",
        "id",
        postgresql_where=text("related_id IS NOT NULL"),
    ),
    # Deposits confirmed by hand are few; among all the deposits of statements they could not be found in bounded time.
    Index(
        "ix_instruction_by_hand",
        "issuer_id",
        "payee_account_id",
        "id",
        postgresql_where=text("kind = 'deposit' AND related_id IS NULL"),
    ),
    # A bank's debit may bear the reference of a redemption, and most redemptions have none.
    Index(
        "ix_instruction_redemption_reference",
        "issuer_id",
        "reference",
        postgresql_where=text("kind = 'redemption' AND reference IS NOT NULL"),
    ),
    # What waits for time to pass, and what was issued lately.
    Index(
        "ix_instruction_expires_at",
        "issuer_id",
        "expires_at",
        postgresql_where=text("state = 'held' AND expires_at IS NOT NULL"),
    ),
    Index(
        "ix_instruction_mints",
        "issuer_id",
        "token_class_id",
        "settled_at",
        postgresql_where=text("kind = 'mint'"),
    ),
    CheckConstraint("(kind = 'change') = (token_class_id IS NULL)", name="of_class"),
    CheckConstraint("(kind = 'change') = (operation IS NOT NULL)", name="operation"),
    CheckConstraint("octet_length(key_digest) = 32", name="key_digest"),
    CheckConstraint("amount_minor >= 0", name="amount"),
    CheckConstraint("remaining_minor BETWEEN 0 AND amount_minor", name="remaining"),
    CheckConstraint("(event_index IS NULL) = (settled_at IS NULL)", name="settled"),
    info=logged(along="event_index", also=("reason", "value_date")),
)

# Whether a class's issuance is suspended; a class without a row never tripped.
breaker = Table(
    "breaker",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("token_class_id", primary_key=True),
    text_column("state"),
    text_column("reason"),
    moment_column("changed_at"),
    integer_column("event_index"),
    # The run that a reset rests on.
    id_column("clean_run_id", nullable=True),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    CheckConstraint("state IN ('closed', 'tripped')", name="state"),
    info=DERIVED,
)

# Up to which moment the bank's data of a class reach, so that a mint sees how old they are.
bank_evidence = Table(
    "bank_evidence",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("token_class_id", primary_key=True),
    Column("kind", Text, primary_key=True),
    moment_column("until_at"),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    CheckConstraint("kind IN ('statement', 'hold')", name="kind"),
    info=LOGGED,
)

# How a class's bank data is matched with its books; a class without a row has the default terms.
matching_terms = Table(
    "matching_terms",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("token_class_id", primary_key=True),
    integer_column("tolerance_minor"),
    Column("days_max", SmallInteger, nullable=False),
    text_column("automatic_from"),
    moment_column("changed_at"),
    integer_column("event_index"),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    CheckConstraint("tolerance_minor >= 0", name="tolerance"),
    CheckConstraint("days_max BETWEEN 0 AND 31", name="days_max"),
    CheckConstraint("automatic_from IN ('exact', 'strong')", name="automatic_from"),
    info=DERIVED,
)

answer = Table(
    "answer",
    metadata,
    id_column("issuer_id", primary_key=True),
    bytes_column("key_digest", primary_key=True),
    bytes_column("request_hash"),
    id_column("resource_id"),
    Column("status", SmallInteger, nullable=False),
    text_column("body"),
    integer_column("event_index", nullable=True),
    moment_column("answered_at"),
    # A batch that settles at once has no row of its own: what was answered is all there is of it.
    Index(
        "ix_answer_batch",
        "issuer_id",
        "resource_id",
        postgresql_where=text(r"resource_id LIKE 'batch\_%'"),
    ),
    CheckConstraint("octet_length(key_digest) = 32", name="key_digest"),
    info=logged(along="event_index"),
)
