"""money: what a job is about, where its kind knows, so that it can be told how much an incident holds up."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.add_column("jobs", sa.Column("amount", sa.Numeric()))
    op.add_column("jobs", sa.Column("currency", sa.Text()))


def downgrade() -> None:
    """Undo it."""
    op.drop_column("jobs", "currency")
    op.drop_column("jobs", "amount")
