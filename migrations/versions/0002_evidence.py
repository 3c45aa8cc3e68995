"""What a held job can be judged by: balances that can be compared, and a project that is one submission's alone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("balances", sa.Column("last_entry", sa.BigInteger(), nullable=True))
    op.add_column("balances", sa.Column("quiet", sa.Boolean(), nullable=True))
    op.create_index(op.f("ix_submissions_outcome"), "submissions", ["outcome"], unique=False)
    op.create_index(op.f("ix_submissions_project_id"), "submissions", ["project_id"], unique=True)
