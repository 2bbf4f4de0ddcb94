"""promises: how each stood when it was last told of, what was told, what was agreed, and how many were kept."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)

# As in 0004, but where promises change and nowhere else: whoever accepts, claims or settles does not pass by here.
_TELL = """
CREATE FUNCTION tell_promises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO messages (id, channel, endpoint_id, customer_id, event, job_id, seq, body)
    SELECT new_message_id(), 'webhook', e.id, j.customer_id, 'job.promise_' || n.news, n.job_id, n.seq,
        json_build_object(
            'type', 'job.promise_' || n.news,
            'timestamp', to_char(n.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'data', json_build_object(
                'id', j.id, 'kind', j.kind, 'reference', j.reference, 'state', j.state,
                'submitted_at', to_char(j.submitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'attempt', j.attempt,
                'promise', json_build_object(
                    'due', to_char(n.due AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                    'moved_from', to_char(n.moved_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                    'status', j.promise_status
                ),
                'expected', CASE WHEN n.latest IS NOT NULL THEN json_build_object(
                    'likely', to_char(n.likely AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                    'latest', to_char(n.latest AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                ) END,
                'reason', CASE WHEN n.cause IS NOT NULL
                          THEN json_build_object('code', n.cause, 'message', n.message) END,
                'href', '/v1/jobs/' || j.id
            )
        )::text
    FROM new_rows n JOIN jobs j ON j.id = n.job_id JOIN endpoints e ON e.customer_id = j.customer_id
    WHERE n.news IN ('at_risk', 'missed', 'moved') AND e.removed_at IS NULL
        AND (e.events IS NULL OR 'job.promise_' || n.news = ANY (e.events))
        AND (j.webhook IS NULL OR j.webhook IN (e.id::text, e.url))
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('invoicing_outbox', '');
    END IF;
    RETURN NULL;
END $$
"""

_TOLD = """
CREATE TRIGGER tell_promises AFTER INSERT ON promise_changes
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tell_promises()
"""


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.add_column("jobs", sa.Column("promise_status", sa.Text(), server_default="on_track", nullable=False))
    op.add_column("jobs", sa.Column("promise_changed_at", _WHEN, nullable=True))
    op.create_check_constraint(
        op.f("ck_jobs_promise_status"), "jobs", "promise_status IN ('on_track', 'at_risk', 'missed')"
    )
    op.create_index(
        "ix_jobs_promise_due",
        "jobs",
        ["promise_due", "id"],
        postgresql_where=sa.text("finished_at IS NULL AND promise_status <> 'missed'"),
    )
    op.create_table(
        "promise_changes",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.Column("news", sa.Text(), nullable=False),
        sa.Column("due", _WHEN, nullable=False),
        sa.Column("moved_from", _WHEN),
        sa.Column("likely", _WHEN),
        sa.Column("latest", _WHEN),
        sa.Column("cause", sa.Text()),
        sa.Column("message", sa.Text()),
        sa.Column("by", sa.Text(), server_default="service", nullable=False),
        sa.Column("actor", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.CheckConstraint("news IN ('at_risk', 'on_track', 'missed', 'moved')", name=op.f("ck_promise_changes_news")),
        sa.CheckConstraint("(news = 'moved') = (moved_from IS NOT NULL)", name=op.f("ck_promise_changes_moved_from")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_promise_changes_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("pk_promise_changes")),
    )
    op.create_table(
        "agreements",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("calendar", JSONB()),
        sa.Column("agreed_at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("size IN ('small', 'medium', 'large', 'huge')", name=op.f("ck_agreements_size")),
        sa.CheckConstraint("seconds > 0", name=op.f("ck_agreements_seconds")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_agreements_customer_id_customers")),
        sa.PrimaryKeyConstraint("customer_id", "kind", "size", name=op.f("pk_agreements")),
    )
    op.create_table(
        "promise_tallies",
        sa.Column("hour", _WHEN, nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("kept", sa.Integer(), server_default="0", nullable=False),
        sa.Column("missed", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("hour", "customer_id", "kind", name=op.f("pk_promise_tallies")),
    )
    op.create_index("ix_promise_tallies_customer_id_hour", "promise_tallies", ["customer_id", "hour"])
    counts = op.create_table(
        "promise_counts",
        sa.Column("single", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("counted_to", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("single", name=op.f("ck_promise_counts_single")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_promise_counts")),
    )
    op.bulk_insert(counts, [{"single": True}])
    for statement in (_TELL, _TOLD):
        op.execute(statement)


def downgrade() -> None:
    """Undo it."""
    for table in ("promise_counts", "promise_tallies", "agreements", "promise_changes"):
        op.drop_table(table)
    op.execute("DROP FUNCTION tell_promises()")
    op.drop_index("ix_jobs_promise_due", "jobs")
    op.drop_column("jobs", "promise_changed_at")
    op.drop_column("jobs", "promise_status")
