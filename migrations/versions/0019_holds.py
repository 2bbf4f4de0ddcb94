"""holds: reviews by a person, and quotas of customers; jobs that wait for a place are out of the backlog's indexes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)
_NOW = sa.text("now()")

_WAITS = "state IN ('queued', 'retrying')"

# Whatever its columns are by now: what is held is not in it.
_BACKLOG = """
DO $change$
DECLARE
    before text := pg_get_indexdef('ix_jobs_backlog'::regclass);
BEGIN
    DROP INDEX ix_jobs_backlog;
    EXECUTE {changed};
END $change$
"""

# What is held is nobody's work yet: neither admission nor whoever scales the workers counts it.
_TALLIED = """
DO $change$
DECLARE
    before text := pg_get_functiondef('tally_jobs'::regproc);
    after text := replace(before, $${written}$$, $${instead}$$);
BEGIN
    IF after = before THEN
        RAISE EXCEPTION 'tally_jobs does not count as expected';
    END IF;
    EXECUTE after;
END $change$
"""


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.add_column("jobs", sa.Column("held", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint(op.f("ck_jobs_held"), "jobs", "NOT held OR (state = 'queued' AND released_at IS NULL)")
    op.execute(_BACKLOG.format(changed="before || ' AND NOT held'"))
    op.execute(_TALLIED.format(written=_WAITS, instead=f"{_WAITS} AND NOT held"))
    _create_rules()
    _create_holds()


def _create_rules() -> None:
    op.create_table(
        "reviews",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("measure", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Numeric(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("set_at", _WHEN, server_default=_NOW, nullable=False),
        sa.CheckConstraint("seconds > 0 AND threshold >= 0", name=op.f("ck_reviews_bounds")),
        sa.PrimaryKeyConstraint("customer_id", "kind", "measure", name=op.f("pk_reviews")),
    )
    op.create_table(
        "quotas",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=True),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("begun_at", _WHEN, nullable=False),
        sa.Column("ends_at", _WHEN, server_default=_NOW, nullable=False),
        sa.Column("used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("waiting", sa.Integer(), server_default="0", nullable=False),
        sa.Column("set_at", _WHEN, server_default=_NOW, nullable=False),
        sa.CheckConstraint("period IN ('day', 'month')", name=op.f("ck_quotas_period")),
        sa.CheckConstraint("most > 0", name=op.f("ck_quotas_most")),
        sa.CheckConstraint("used >= 0 AND waiting >= 0", name=op.f("ck_quotas_counts")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_quotas_customer_id_customers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quotas")),
        sa.UniqueConstraint("customer_id", "kind", name=op.f("uq_quotas_customer_id_kind")),
    )
    op.create_index("ix_quotas_waiting", "quotas", ["id"], postgresql_where=sa.text("waiting > 0"))


def _create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("since", _WHEN, server_default=_NOW, nullable=False),
        sa.Column("due", _WHEN, nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("measure", sa.Text(), nullable=True),
        sa.Column("threshold", sa.Numeric(), nullable=True),
        sa.Column("value", sa.Numeric(), nullable=True),
        sa.Column("quota_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(quota_id IS NULL) = (due IS NOT NULL AND owner IS NOT NULL AND measure IS NOT NULL"
            " AND threshold IS NOT NULL AND value IS NOT NULL)",
            name=op.f("ck_holds_what"),
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_holds_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_holds")),
    )
    op.create_index("ix_holds_due", "holds", ["due", "job_id"], postgresql_where=sa.text("quota_id IS NULL"))
    op.create_index(
        "ix_holds_quota", "holds", ["quota_id", "since", "job_id"], postgresql_where=sa.text("quota_id IS NOT NULL")
    )
    op.create_table(
        "quota_places",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("quota_id", sa.Uuid(), nullable=False),
        sa.Column("begun_at", _WHEN, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_quota_places_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_quota_places")),
    )


def downgrade() -> None:
    """Undo it; what was held goes on."""
    op.execute("UPDATE jobs SET held = false, state = 'queued' WHERE held OR state = 'in_review'")
    for table in ("quota_places", "holds", "quotas", "reviews"):
        op.drop_table(table)
    op.execute(_TALLIED.format(written=f"{_WAITS} AND NOT held", instead=_WAITS))
    op.execute(_BACKLOG.format(changed="replace(before, ' AND (NOT held)', '')"))
    op.drop_constraint(op.f("ck_jobs_held"), "jobs")
    op.drop_column("jobs", "held")
