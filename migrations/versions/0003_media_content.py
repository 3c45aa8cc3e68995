"""What a local file really is, by its content; files that were read before this are looked at again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("media", sa.Column("format", sa.String(length=16), nullable=True))
    op.add_column("media", sa.Column("kind", sa.String(length=16), nullable=True))
