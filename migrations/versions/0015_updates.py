"""updates: by when there is news of a job, reasons apart from their language, when the backlog was looked at."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WITHOUT_WORDING = "'message', n.message)"
_WITH_WORDING = "'message', n.message, 'wording', n.wording, 'fields', n.fields)"

# Nothing else of the function changes, whatever it says by now.
_REASON = """
DO $change$
DECLARE
    before text := pg_get_functiondef('tell_promises'::regproc);
    after text := replace(before, $${written}$$, $${instead}$$);
BEGIN
    IF after = before THEN
        RAISE EXCEPTION 'tell_promises does not write a reason as expected';
    END IF;
    EXECUTE after;
END $change$
"""


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.add_column("jobs", sa.Column("updates", sa.Integer(), server_default="0", nullable=False))
    op.add_column("promise_changes", sa.Column("wording", sa.Text(), nullable=True))
    op.add_column("promise_changes", sa.Column("fields", JSONB(), nullable=True))
    for column in ("updates_kept", "updates_missed"):
        op.add_column("promise_tallies", sa.Column(column, sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "news_due",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "revision", name=op.f("pk_news_due")),
    )
    op.create_index(op.f("ix_news_due_due"), "news_due", ["due"])
    op.execute(_REASON.format(written=_WITHOUT_WORDING, instead=_WITH_WORDING))
    dispatching = op.create_table(
        "dispatching",
        sa.Column("single", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("single", name=op.f("ck_dispatching_single")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_dispatching")),
    )
    op.bulk_insert(dispatching, [{"single": True}])


def downgrade() -> None:
    """Undo it; reasons stay as they were told first."""
    op.drop_table("dispatching")
    op.execute(_REASON.format(written=_WITH_WORDING, instead=_WITHOUT_WORDING))
    op.drop_table("news_due")
    for column in ("updates_missed", "updates_kept"):
        op.drop_column("promise_tallies", column)
    op.drop_column("promise_changes", "fields")
    op.drop_column("promise_changes", "wording")
    op.drop_column("jobs", "updates")
