"""Root manifests, and where in the log each signing key began and ended.

Keys that are there already keep their state and get no index: no event of them was recorded. An issuer brings them
under a root with `tallystick keys root` and `tallystick keys activate` (docs/operators.md); until then it signs on as
before.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA

revision: Final = "0014"
down_revision: Final = "0013"
branch_labels: Final = None
depends_on: Final = None

SERVICE: Final = "tallystick_service"
INDEXES: Final = (
    "activated_index",
    "from_index",
    "until_index",
    "revoked_index",
    "compromised_from_index",
    "manifest_version",
)
# A first version that names the wrong roots can be replaced until a key was activated under it.
CHANGEABLE: Final = ("document", "sha256", "imported_at")

ACTIVATED_AT: Final = (
    "CASE state WHEN 'prepared' THEN activated_at IS NULL WHEN 'revoked' THEN TRUE "
    "ELSE activated_at IS NOT NULL END"
)


def upgrade() -> None:
    for name in INDEXES:
        op.add_column("signing_key", sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=True))
    op.alter_column("signing_key", "activated_at", nullable=True)
    op.drop_constraint(op.f("ck_signing_key_state"), "signing_key", type_="check")
    op.drop_constraint(op.f("ck_signing_key_active"), "signing_key", type_="check")
    for name, condition in (
        ("state", "state IN ('prepared', 'active', 'retired', 'revoked')"),
        ("active", "(state IN ('prepared', 'active')) = (retired_at IS NULL AND revoked_at IS NULL)"),
        ("activated_at", ACTIVATED_AT),
        ("compromised_from_index", "compromised_from_index IS NULL OR state = 'revoked'"),
        ("manifest_version", "(activated_index IS NULL) = (manifest_version IS NULL)"),
    ):
        op.create_check_constraint(op.f(f"ck_signing_key_{name}"), "signing_key", condition)
    op.execute(f"GRANT UPDATE (activated_at, {', '.join(INDEXES)}) ON signing_key TO {SERVICE}")
    op.create_table(
        "root_manifest",
        sa.Column("issuer_id", sa.Text(collation="C"), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("sha256", BYTEA(), nullable=False),
        sa.Column("imported_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("ck_root_manifest_version")),
        sa.CheckConstraint("octet_length(sha256) = 32", name=op.f("ck_root_manifest_sha256")),
        sa.ForeignKeyConstraint(["issuer_id"], ["issuer.issuer_id"], name=op.f("fk_root_manifest_issuer")),
        sa.PrimaryKeyConstraint("issuer_id", "version", name=op.f("pk_root_manifest")),
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE ({', '.join(CHANGEABLE)}) ON root_manifest TO {SERVICE}")


def downgrade() -> None:
    op.drop_table("root_manifest")
    for name in ("manifest_version", "compromised_from_index", "activated_at", "active", "state"):
        op.drop_constraint(op.f(f"ck_signing_key_{name}"), "signing_key", type_="check")
    # A key that may sign nothing yet is not known to the release before.
    op.execute("DELETE FROM signing_key WHERE activated_at IS NULL")
    for name in INDEXES:
        op.drop_column("signing_key", name)
    op.execute(f"REVOKE UPDATE (activated_at) ON signing_key FROM {SERVICE}")
    op.alter_column("signing_key", "activated_at", nullable=False)
    for name, condition in (
        ("state", "state IN ('active', 'retired', 'revoked')"),
        ("active", "(state = 'active') = (retired_at IS NULL AND revoked_at IS NULL)"),
    ):
        op.create_check_constraint(op.f(f"ck_signing_key_{name}"), "signing_key", condition)
