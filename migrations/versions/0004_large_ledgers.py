"""What large ledgers need to answer quickly: whose leases there are, and what a manifest was when it was planned."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        op.f("ix_jobs_state_lease_owner"),
        "jobs",
        ["state", "lease_owner"],
        unique=False,
        sqlite_where=sa.text("lease_owner IS NOT NULL"),
        postgresql_where=sa.text("lease_owner IS NOT NULL"),
    )
    op.add_column("manifests", sa.Column("entries", sa.BigInteger(), nullable=True))
    op.add_column("manifests", sa.Column("seal", sa.String(length=64), nullable=True))
    op.execute(
        "UPDATE manifests SET entries ="
        " (SELECT count(*) FROM manifest_entries WHERE manifest_entries.manifest_id = manifests.id)"
    )
