"""Tables of payouts: whom each is for, what became of it step by step, the files that carried it, and the bank's word.

Nothing here is ever changed. Where a payout stands is in its row of `instruction`; these rows tell the same a second
time, and their keys allow each step once, at the payout's own amount.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from tallystick.core.columns import (
    bytes_column,
    date_column,
    id_column,
    integer_column,
    moment_column,
    text_column,
)
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED

payout = Table(
    "payout",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    id_column("account_id"),
    integer_column("amount_minor"),
    text_column("uetr"),
    text_column("beneficiary_name"),
    text_column("iban", nullable=True),
    text_column("account_number", nullable=True),
    text_column("bic", nullable=True),
    text_column("street_name", nullable=True),
    text_column("building_number", nullable=True),
    text_column("post_code", nullable=True),
    text_column("town_name"),
    text_column("country"),
    text_column("remittance", nullable=True),
    text_column("purpose", nullable=True),
    moment_column("created_at"),
    ForeignKeyConstraint(["issuer_id", "account_id"], ["account.issuer_id", "account.id"]),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    UniqueConstraint("issuer_id", "uetr"),
    # What a step refers to, so that none has another amount.
    UniqueConstraint("issuer_id", "id", "amount_minor"),
    CheckConstraint("amount_minor > 0", name="amount"),
    CheckConstraint("(iban IS NULL) <> (account_number IS NULL)", name="account_number"),
    CheckConstraint("iban IS NOT NULL OR bic IS NOT NULL", name="bic"),
    info=LOGGED,
)

payout_step = Table(
    "payout_step",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("payout_id", primary_key=True),
    Column("step", Text, primary_key=True),
    integer_column("amount_minor"),
    integer_column("event_index"),
    # The statement's entry, or the status message, that says so.
    id_column("source_id", nullable=True),
    text_column("reason_code", nullable=True),
    text_column("reason", nullable=True),
    id_column("done_by"),
    moment_column("done_at"),
    ForeignKeyConstraint(
        ["issuer_id", "payout_id", "amount_minor"], ["payout.issuer_id", "payout.id", "payout.amount_minor"]
    ),
    # What an entry of the bank brought about.
    Index(
        "ix_payout_step_source",
        "issuer_id",
        "source_id",
        postgresql_where=text("source_id IS NOT NULL"),
    ),
    # The bank has paid it, or the tokens were given back without that.
    Index(
        "uq_payout_step_left_transit",
        "issuer_id",
        "payout_id",
        unique=True,
        postgresql_where=text("step IN ('settled', 'cancelled', 'rejected')"),
    ),
    # Tokens are given back once, whatever the reason.
    Index(
        "uq_payout_step_given_back",
        "issuer_id",
        "payout_id",
        unique=True,
        postgresql_where=text("step IN ('cancelled', 'rejected', 'given_back')"),
    ),
    CheckConstraint(
        "step IN ('accepted', 'cancelled', 'rejected', 'settled', 'returned', 'given_back')", name="step"
    ),
    # What the bank did, something of the bank's says.
    CheckConstraint(
        "step NOT IN ('rejected', 'settled', 'returned') OR source_id IS NOT NULL", name="source_id"
    ),
    info=LOGGED,
)

payout_file = Table(
    "payout_file",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("token_class_id"),
    # Without gaps per class, and so per control account: given out under the issuer's log head.
    integer_column("sequence"),
    text_column("format"),
    id_column("message_id"),
    date_column("execution_date"),
    integer_column("payout_count"),
    integer_column("control_sum_minor"),
    bytes_column("content_hash"),
    bytes_column("content"),
    id_column("made_by"),
    integer_column("event_index"),
    moment_column("made_at"),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    UniqueConstraint("issuer_id", "token_class_id", "sequence"),
    UniqueConstraint("issuer_id", "message_id"),
    CheckConstraint("sequence > 0", name="sequence"),
    CheckConstraint("format IN ('pain.001.001.09', 'pacs.008.001.08')", name="format"),
    CheckConstraint("payout_count > 0 AND control_sum_minor > 0", name="sums"),
    CheckConstraint("content_hash = sha256(content)", name="content_hash"),
    info=LOGGED,
)

# The key is the payout's: it can be in one file only, for ever.
payout_file_item = Table(
    "payout_file_item",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("payout_id", primary_key=True),
    id_column("file_id"),
    integer_column("number"),
    # The instruction that will take the payment from the control account, so that matching can expect it.
    id_column("settlement_id"),
    ForeignKeyConstraint(["issuer_id", "payout_id"], ["payout.issuer_id", "payout.id"]),
    ForeignKeyConstraint(["issuer_id", "file_id"], ["payout_file.issuer_id", "payout_file.id"]),
    UniqueConstraint("issuer_id", "file_id", "number"),
    UniqueConstraint("issuer_id", "settlement_id"),
    info=LOGGED,
)

# One message of the bank about files of ours (pain.002, pacs.002), taken in once.
payout_status = Table(
    "payout_status",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("message_id"),
    bytes_column("content_hash"),
    text_column("said_to_be_of", nullable=True),
    id_column("received_by"),
    moment_column("received_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    UniqueConstraint("issuer_id", "message_id"),
    UniqueConstraint("issuer_id", "content_hash"),
    info=LOGGED,
)

payout_status_item = Table(
    "payout_status_item",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("status_id", primary_key=True),
    integer_column("number", primary_key=True),
    id_column("payout_id"),
    text_column("status"),
    text_column("reason_code", nullable=True),
    text_column("reason", nullable=True),
    ForeignKeyConstraint(["issuer_id", "status_id"], ["payout_status.issuer_id", "payout_status.id"]),
    ForeignKeyConstraint(["issuer_id", "payout_id"], ["payout.issuer_id", "payout.id"]),
    Index(None, "issuer_id", "payout_id", "status_id", "number"),
    info=LOGGED,
)

# What the bank said and nobody acts on by itself: for people.
payout_finding = Table(
    "payout_finding",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    text_column("kind"),
    # What it was said in, and about which payout: the same is found once.
    id_column("source_id"),
    text_column("subject"),
    id_column("payout_id", nullable=True),
    text_column("detail"),
    moment_column("found_at"),
    ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"]),
    ForeignKeyConstraint(["issuer_id", "payout_id"], ["payout.issuer_id", "payout.id"]),
    UniqueConstraint("issuer_id", "kind", "source_id", "subject"),
    Index(None, "issuer_id", "payout_id", "id"),
    info=LOGGED,
)

# What people did about a finding; from this follows where it stands. It is resolved once, and for ever.
payout_finding_action = Table(
    "payout_finding_action",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("finding_id", primary_key=True),
    integer_column("action_number", primary_key=True),
    text_column("kind"),
    id_column("principal_id"),
    text_column("note", nullable=True),
    # What it names: the new owner, or the instruction.
    id_column("subject_id", nullable=True),
    moment_column("done_at"),
    ForeignKeyConstraint(["issuer_id", "finding_id"], ["payout_finding.issuer_id", "payout_finding.id"]),
    Index(
        "uq_payout_finding_action_resolved",
        "issuer_id",
        "finding_id",
        unique=True,
        postgresql_where=text("kind = 'resolved'"),
    ),
    CheckConstraint("kind IN ('assigned', 'noted', 'resolved')", name="kind"),
    CheckConstraint("kind <> 'assigned' OR subject_id IS NOT NULL", name="owner"),
    CheckConstraint("kind = 'assigned' OR note IS NOT NULL", name="note"),
    info=LOGGED,
)
