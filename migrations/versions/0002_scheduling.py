"""scheduling: fair order, service received, tallies of what waits, live policies, learned sizes."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NOBODY = "00000000-0000-0000-0000-000000000000"
_WAITING = "state IN ('queued', 'retrying')"
_WHEN = sa.DateTime(timezone=True)

# What waits is counted where it changes, whoever changes it: one row for each statement, customer and lane. Adding to
# a shared counter instead would have every commit wait for the one before it. Folded into `tallies` by the dispatcher.
_TALLY = """
CREATE FUNCTION tally_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tally_changes (customer_id, priority, size, waiting, work_s)
        SELECT customer_id, priority, size, count(*), sum(predicted_s) FROM new_jobs
        WHERE state IN ('queued', 'retrying')
        GROUP BY customer_id, priority, size;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO tally_changes (customer_id, priority, size, waiting, work_s)
        SELECT customer_id, priority, size, sum(n), sum(n * predicted_s) FROM (
            SELECT customer_id, priority, size, predicted_s, 1 AS n FROM new_jobs WHERE state IN ('queued', 'retrying')
            UNION ALL SELECT customer_id, priority, size, predicted_s, -1 FROM old_jobs
            WHERE state IN ('queued', 'retrying')
        ) AS moved
        GROUP BY customer_id, priority, size HAVING sum(n) <> 0 OR sum(n * predicted_s) <> 0;
    ELSE
        INSERT INTO tally_changes (customer_id, priority, size, waiting, work_s)
        SELECT customer_id, priority, size, -count(*), -sum(predicted_s) FROM old_jobs
        WHERE state IN ('queued', 'retrying')
        GROUP BY customer_id, priority, size;
    END IF;
    RETURN NULL;
END $$
"""

_TRIGGERS = (
    """CREATE TRIGGER tally_inserted AFTER INSERT ON jobs
    REFERENCING NEW TABLE AS new_jobs FOR EACH STATEMENT EXECUTE FUNCTION tally_jobs()""",
    """CREATE TRIGGER tally_updated AFTER UPDATE ON jobs
    REFERENCING OLD TABLE AS old_jobs NEW TABLE AS new_jobs FOR EACH STATEMENT EXECUTE FUNCTION tally_jobs()""",
    """CREATE TRIGGER tally_deleted AFTER DELETE ON jobs
    REFERENCING OLD TABLE AS old_jobs FOR EACH STATEMENT EXECUTE FUNCTION tally_jobs()""",
)

_FIRST_TALLY = """
INSERT INTO tallies (customer_id, priority, size, waiting, work_s)
    SELECT customer_id, priority, size, count(*), sum(predicted_s) FROM jobs WHERE state IN ('queued', 'retrying')
    GROUP BY customer_id, priority, size
"""


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.add_column("customers", sa.Column("weight", sa.Double(), server_default="1", nullable=False))
    op.add_column("customers", sa.Column("max_running", sa.Integer(), nullable=True))
    op.add_column("customers", sa.Column("max_waiting", sa.Integer(), nullable=True))
    op.create_check_constraint("weight", "customers", "weight > 0")
    op.create_check_constraint("caps", "customers", "max_running > 0 AND max_waiting > 0")
    op.add_column("jobs", sa.Column("key_id", sa.Uuid(), server_default=_NOBODY, nullable=False))
    op.add_column("jobs", sa.Column("estimated_s", sa.Double(), nullable=True))
    op.add_column("jobs", sa.Column("parked_at", _WHEN, nullable=True))
    op.add_column("jobs", sa.Column("expedited_at", _WHEN, nullable=True))
    op.drop_index("ix_jobs_backlog", table_name="jobs")
    op.create_index(
        "ix_jobs_backlog",
        "jobs",
        ["customer_id", "key_id", "size", "priority", "order_at", "id"],
        postgresql_where=sa.text(f"{_WAITING} AND released_at IS NULL"),
    )
    op.create_index(
        "ix_jobs_expedited",
        "jobs",
        ["expedited_at", "id"],
        postgresql_where=sa.text(f"{_WAITING} AND released_at IS NULL AND expedited_at IS NOT NULL"),
    )
    op.create_table(
        "tallies",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("work_s", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "priority", "size", name=op.f("pk_tallies")),
    )
    op.create_table(
        "tally_changes",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("work_s", sa.Double(), nullable=False),
    )
    op.create_table(
        "accounts",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("served_s", sa.Double(), nullable=False),
        sa.Column("updated_at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "policies",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_policies")),
    )
    op.create_table(
        "size_models",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), server_default=_NOBODY, nullable=False),
        sa.Column("learned", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("kind", "customer_id", name=op.f("pk_size_models")),
    )
    op.create_index("ix_size_models_updated_at", "size_models", ["updated_at"])
    op.create_table(
        "learning",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_learning")),
    )
    op.create_index("ix_jobs_finished", "jobs", ["finished_at", "id"], postgresql_where=sa.text("state = 'succeeded'"))
    # what each claim and each end of an attempt pays for: an index that nothing needs, and asking whether the row is
    # there that the same statement has just changed
    op.drop_index("ix_jobs_worker_id", table_name="jobs")
    op.drop_constraint("fk_timeline_job_id_jobs", "timeline", type_="foreignkey")
    op.drop_constraint("fk_attempts_job_id_jobs", "attempts", type_="foreignkey")
    op.execute("ALTER TABLE attempts SET (fillfactor = 80)")
    for statement in (_TALLY, *_TRIGGERS, _FIRST_TALLY):
        op.execute(statement)


def downgrade() -> None:
    """Undo it."""
    for trigger in ("tally_inserted", "tally_updated", "tally_deleted"):
        op.execute(f"DROP TRIGGER {trigger} ON jobs")
    op.execute("DROP FUNCTION tally_jobs()")
    op.execute("ALTER TABLE attempts RESET (fillfactor)")
    for table in ("timeline", "attempts"):
        op.create_foreign_key(f"fk_{table}_job_id_jobs", table, "jobs", ["job_id"], ["id"], ondelete="CASCADE")
    op.create_index("ix_jobs_worker_id", "jobs", ["worker_id"], postgresql_where=sa.text("state = 'running'"))
    op.drop_index("ix_jobs_finished", table_name="jobs")
    for table in ("learning", "size_models", "policies", "accounts", "tally_changes", "tallies"):
        op.drop_table(table)
    op.drop_index("ix_jobs_backlog", table_name="jobs")
    op.create_index(
        "ix_jobs_backlog",
        "jobs",
        ["priority", "size", "order_at", "id"],
        postgresql_where=sa.text(f"{_WAITING} AND released_at IS NULL"),
    )
    op.drop_index("ix_jobs_expedited", table_name="jobs")
    op.drop_column("jobs", "expedited_at")
    op.drop_column("jobs", "parked_at")
    op.drop_column("jobs", "estimated_s")
    op.drop_column("jobs", "key_id")
    op.drop_constraint(op.f("ck_customers_caps"), "customers")
    op.drop_constraint(op.f("ck_customers_weight"), "customers")
    op.drop_column("customers", "max_waiting")
    op.drop_column("customers", "max_running")
    op.drop_column("customers", "weight")
