"""dependencies: what jobs need from outside, a breaker for each, and when it was out; queues are told apart by it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)
_WAITING = "state IN ('queued', 'retrying') AND released_at IS NULL"

# As in migration 0002, and by what the jobs need: those that are held back are in nobody's way.
_TALLY = """
CREATE OR REPLACE FUNCTION tally_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tally_changes ({columns}, waiting, work_s)
        SELECT {columns}, count(*), sum(predicted_s) FROM new_jobs
        WHERE state IN ('queued', 'retrying')
        GROUP BY {columns};
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO tally_changes ({columns}, waiting, work_s)
        SELECT {columns}, sum(n), sum(n * predicted_s) FROM (
            SELECT {columns}, predicted_s, 1 AS n FROM new_jobs WHERE state IN ('queued', 'retrying')
            UNION ALL SELECT {columns}, predicted_s, -1 FROM old_jobs
            WHERE state IN ('queued', 'retrying')
        ) AS moved
        GROUP BY {columns} HAVING sum(n) <> 0 OR sum(n * predicted_s) <> 0;
    ELSE
        INSERT INTO tally_changes ({columns}, waiting, work_s)
        SELECT {columns}, -count(*), -sum(predicted_s) FROM old_jobs
        WHERE state IN ('queued', 'retrying')
        GROUP BY {columns};
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "dependencies",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("failed_at", _WHEN),
        sa.Column("opened_at", _WHEN),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", _WHEN),
        sa.Column("job_id", sa.Uuid()),
        sa.Column("attempt", sa.Integer()),
        sa.Column("tried_at", _WHEN),
        sa.CheckConstraint("(opened_at IS NULL) = (next_try_at IS NULL)", name=op.f("ck_dependencies_open")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_dependencies")),
    )
    op.create_table(
        "outages",
        sa.Column("dependency", sa.Text(), nullable=False),
        sa.Column("since", _WHEN, nullable=False),
        sa.Column("until", _WHEN),
        sa.Column("title", sa.Text(), nullable=False),
        sa.CheckConstraint("until >= since", name=op.f("ck_outages_until")),
        sa.PrimaryKeyConstraint("dependency", "since", name=op.f("pk_outages")),
    )
    op.create_index("ix_outages_until", "outages", ["until"])
    op.add_column("jobs", sa.Column("needs", sa.Text(), server_default="", nullable=False))
    op.create_index(
        "ix_jobs_needing",
        "jobs",
        ["customer_id", "id"],
        postgresql_where=sa.text("finished_at IS NULL AND needs <> ''"),
    )
    op.drop_index("ix_jobs_backlog", table_name="jobs")
    _backlog("needs")
    op.add_column("tallies", sa.Column("needs", sa.Text(), server_default="", nullable=False))
    op.add_column("tally_changes", sa.Column("needs", sa.Text(), server_default="", nullable=False))
    op.drop_constraint(op.f("pk_tallies"), "tallies")
    op.create_primary_key(op.f("pk_tallies"), "tallies", ["customer_id", "priority", "size", "needs"])
    op.execute(_TALLY.format(columns="customer_id, priority, size, needs"))


def downgrade() -> None:
    """Undo it."""
    op.execute(_TALLY.format(columns="customer_id, priority, size"))
    op.execute("""
        INSERT INTO tally_changes (customer_id, priority, size, waiting, work_s)
        SELECT customer_id, priority, size, waiting, work_s FROM tallies
    """)
    op.execute("DELETE FROM tallies")
    op.drop_constraint(op.f("pk_tallies"), "tallies")
    op.drop_column("tally_changes", "needs")
    op.drop_column("tallies", "needs")
    op.create_primary_key(op.f("pk_tallies"), "tallies", ["customer_id", "priority", "size"])
    op.drop_index("ix_jobs_backlog", table_name="jobs")
    op.drop_index("ix_jobs_needing", table_name="jobs")
    op.drop_column("jobs", "needs")
    _backlog()
    op.drop_table("outages")
    op.drop_table("dependencies")


def _backlog(*more: str) -> None:
    op.create_index(
        "ix_jobs_backlog",
        "jobs",
        ["customer_id", "key_id", "size", "priority", *more, "order_at", "id"],
        postgresql_where=sa.text(_WAITING),
    )
