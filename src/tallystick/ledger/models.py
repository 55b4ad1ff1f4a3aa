"""Tables of the books: ledger accounts with their balances, and the journal's lines.

A journal entry is the set of lines that one event posted: its header (why, when, by whom) is the event's, told once.
The database checks on its own that an entry balances per currency (a statement trigger), that floors hold, that each
line moves its account by its amount, and that lines are never changed (grants first, triggers second).
"""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, SmallInteger, Table, text

from tallystick.core.columns import date_column, id_column, integer_column, moment_column, text_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import DERIVED
from tallystick.ledger.chart import DEBIT_NORMAL_CODES

_DEBIT_NORMAL = ", ".join(f"'{code}'" for code in sorted(DEBIT_NORMAL_CODES))

ledger_account = Table(
    "ledger_account",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    text_column("code"),
    id_column("token_class_id"),
    text_column("currency"),
    id_column("account_id", nullable=True),
    integer_column("balance_minor"),
    integer_column("version"),
    integer_column("last_event_index", nullable=True),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    ForeignKeyConstraint(["issuer_id", "account_id"], ["account.issuer_id", "account.id"]),
    CheckConstraint("balance_minor >= 0 OR NOT (code = '2010' OR code LIKE '21%')", name="floor"),
    CheckConstraint("version >= 0", name="version"),
    # Room on each page keeps an updated balance beside its old version, so that indexes need no new entry.
    postgresql_with={"fillfactor": "50"},
    info=DERIVED,
)

journal_line = Table(
    "journal_line",
    metadata,
    id_column("issuer_id", primary_key=True),
    integer_column("event_index", primary_key=True),
    Column("line_number", SmallInteger, primary_key=True, autoincrement=False),
    id_column("ledger_account_id"),
    text_column("currency"),
    integer_column("debit_minor"),
    integer_column("credit_minor"),
    integer_column("previous_balance_minor"),
    integer_column("balance_minor"),
    integer_column("account_version"),
    moment_column("booked_at"),
    date_column("value_date"),
    Index(
        "uq_journal_line_account", "issuer_id", "ledger_account_id", "event_index", "line_number", unique=True
    ),
    # The journal grows in the order of days, so a summary of its pages finds a day's entries at next to no cost.
    Index(
        "ix_journal_line_value_date",
        "issuer_id",
        "value_date",
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    ),
    # What counts from another day than it was booked on, by how many days: few lines, deposits mostly of the night
    # before, that every question about value dates has to look at.
    Index(
        "ix_journal_line_days_late",
        "issuer_id",
        text("((booked_at AT TIME ZONE 'UTC')::date - value_date)"),
        "value_date",
        "event_index",
        postgresql_where=text("value_date <> (booked_at AT TIME ZONE 'UTC')::date"),
    ),
    CheckConstraint(
        "debit_minor >= 0 AND credit_minor >= 0 AND (debit_minor = 0) <> (credit_minor = 0)", name="one_side"
    ),
    CheckConstraint(
        "balance_minor - previous_balance_minor = CASE WHEN left(ledger_account_id, 4) IN "
        f"({_DEBIT_NORMAL}) THEN debit_minor - credit_minor ELSE credit_minor - debit_minor END",
        name="moves_by_amount",
    ),
    CheckConstraint("account_version > 0", name="account_version"),
    info=DERIVED,
)
