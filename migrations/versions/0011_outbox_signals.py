"""outbox signals: dead letters and endpoints left alone are counted without looking at all that was delivered."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_index("ix_messages_dead", "messages", ["channel"], postgresql_where=sa.text("state = 'dead'"))
    op.create_index(
        "ix_endpoints_open_until",
        "endpoints",
        ["open_until"],
        postgresql_where=sa.text("open_until IS NOT NULL AND removed_at IS NULL"),
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_index("ix_endpoints_open_until", "endpoints")
    op.drop_index("ix_messages_dead", "messages")
