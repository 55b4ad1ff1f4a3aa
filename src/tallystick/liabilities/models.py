"""Table of the liability register: what the bank owes a holder in a class, as a record of its own.

Amounts are not kept here: they are the holder's 21xx balances, so the register can't differ from the books.
"""

from sqlalchemy import ForeignKeyConstraint, Table, UniqueConstraint

from tallystick.core.columns import id_column, integer_column, moment_column
from tallystick.core.database import metadata
from tallystick.core.table_classes import LOGGED

liability = Table(
    "liability",
    metadata,
    id_column("issuer_id", primary_key=True),
    id_column("id", primary_key=True),
    id_column("holder_id"),
    id_column("token_class_id"),
    integer_column("terms_version"),
    moment_column("opened_at"),
    ForeignKeyConstraint(["issuer_id", "holder_id"], ["holder.issuer_id", "holder.id"]),
    ForeignKeyConstraint(["issuer_id", "token_class_id"], ["token_class.issuer_id", "token_class.id"]),
    UniqueConstraint("issuer_id", "token_class_id", "holder_id"),
    info=LOGGED,
)
