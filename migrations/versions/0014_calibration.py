"""calibration: the ranges that were said are kept beside the points, and what came of them is added up by the day."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SAID = ("earliest_s", "likely_s", "latest_s", "naive_s", "slow_after_s")
_COUNTS = ("scored", "ranged", "early", "late", "bounded", "slow")


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.add_column("foreseen", sa.Column("kind", sa.Text(), server_default="", nullable=False))
    for name in _SAID:
        op.add_column("foreseen", sa.Column(name, sa.Double()))
    op.create_table(
        "calibration",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _COUNTS),
        sa.Column("errors", postgresql.JSONB(), nullable=False),
        sa.Column("naive_errors", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", "size", "stage", name=op.f("pk_calibration")),
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_table("calibration")
    for name in reversed(_SAID):
        op.drop_column("foreseen", name)
    op.drop_column("foreseen", "kind")
