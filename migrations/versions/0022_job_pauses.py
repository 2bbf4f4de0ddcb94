"""job pauses: our staff stop a single job until a time; it is held, whether it was tried already or not."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_HELD = "NOT held OR (state {states} AND released_at IS NULL)"
_WHAT = (
    "num_nonnulls(quota_id, owner, reason) = 1 AND (quota_id IS NULL) = (due IS NOT NULL)"
    " AND num_nonnulls(owner, measure, threshold, value) IN (0, 4) AND (reason IS NULL) = (by IS NULL)"
)
_WHAT_BEFORE = (
    "(quota_id IS NULL) = (due IS NOT NULL AND owner IS NOT NULL AND measure IS NOT NULL"
    " AND threshold IS NOT NULL AND value IS NOT NULL)"
)


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    for column in ("reason", "message", "by"):
        op.add_column("holds", sa.Column(column, sa.Text(), nullable=True))
    _check("holds", "what", _WHAT)
    op.create_index("ix_holds_paused", "holds", ["due", "job_id"], postgresql_where=sa.text("reason IS NOT NULL"))
    _check("jobs", "held", _HELD.format(states="IN ('queued', 'retrying')"))


def downgrade() -> None:
    """Undo it; what was paused goes on."""
    op.execute("UPDATE jobs SET held = false FROM holds WHERE holds.job_id = jobs.id AND holds.reason IS NOT NULL")
    op.execute("DELETE FROM holds WHERE reason IS NOT NULL")
    _check("jobs", "held", _HELD.format(states="= 'queued'"))
    op.drop_index("ix_holds_paused", "holds")
    _check("holds", "what", _WHAT_BEFORE)
    for column in ("by", "message", "reason"):
        op.drop_column("holds", column)


def _check(table: str, name: str, condition: str) -> None:
    """Put another check in the place of the one of that name."""
    named = op.f(f"ck_{table}_{name}")
    op.drop_constraint(named, table)
    op.create_check_constraint(named, table, condition)
