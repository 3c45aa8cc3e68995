"""The jobs that somebody works on are found without a look at all the others."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    leased = sa.text("lease_owner IS NOT NULL")
    op.create_index("ix_jobs_lease_owner", "jobs", ["lease_owner"], sqlite_where=leased, postgresql_where=leased)
