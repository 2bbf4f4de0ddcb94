"""outbox: endpoints of customers, messages written with the change that they tell of, attempts at delivering them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)
_NOW = sa.text("now()")

# UUIDv7 (RFC 9562 section 5.7), which PostgreSQL makes by itself from version 18 on: the milliseconds, then chance.
_NEW_ID = """
CREATE FUNCTION new_message_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(
        uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6
    ), 52, 1), 53, 1), 'hex')::uuid
$$
"""

# Whoever ends a job tells its endpoints with the same commit. The body is written here, once, so that all attempts at
# delivering it say the same of the job as it was then, whatever happens to it later. Rows that are no end, as every
# claim inserts them, are let go first.
_TELL = """
CREATE FUNCTION tell_endpoints() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM new_rows WHERE event IN ('succeeded', 'dead', 'cancelled')) THEN
        RETURN NULL;
    END IF;
    INSERT INTO messages (id, channel, endpoint_id, customer_id, event, job_id, seq, body)
    SELECT new_message_id(), 'webhook', e.id, j.customer_id, 'job.' || n.event, n.job_id, n.seq,
        json_build_object(
            'type', 'job.' || n.event,
            'timestamp', to_char(n.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'data', json_build_object(
                'id', j.id, 'kind', j.kind, 'reference', j.reference, 'state', n.state,
                'submitted_at', to_char(j.submitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'finished_at', to_char(n.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'attempt', j.attempt, 'result', j.result, 'error', j.error, 'href', '/v1/jobs/' || j.id
            )
        )::text
    FROM new_rows n JOIN jobs j ON j.id = n.job_id JOIN endpoints e ON e.customer_id = j.customer_id
    WHERE n.event IN ('succeeded', 'dead', 'cancelled') AND e.removed_at IS NULL
        AND (e.events IS NULL OR 'job.' || n.event = ANY (e.events))
        AND (j.webhook IS NULL OR j.webhook IN (e.id::text, e.url))
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('invoicing_outbox', '');
    END IF;
    RETURN NULL;
END $$
"""

_TOLD = """
CREATE TRIGGER tell_endpoints AFTER INSERT ON timeline
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tell_endpoints()
"""


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("events", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until", _WHEN, nullable=True),
        sa.Column("created_at", _WHEN, server_default=_NOW, nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("open_until", _WHEN, nullable=True),
        sa.Column("disabled_at", _WHEN, nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        sa.Column("removed_at", _WHEN, nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("(disabled_at IS NULL) = (disabled_why IS NULL)", name=op.f("ck_endpoints_disabled")),
        sa.CheckConstraint("(old_secret IS NULL) = (old_secret_until IS NULL)", name=op.f("ck_endpoints_old_secret")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_endpoints_customer_id_customers")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
    )
    op.create_index(
        "ix_endpoints_customer_id_url",
        "endpoints",
        ["customer_id", "url"],
        unique=True,
        postgresql_where=sa.text("removed_at IS NULL"),
    )
    op.create_index(
        "ix_endpoints_customer_id_idempotency_key", "endpoints", ["customer_id", "idempotency_key"], unique=True
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("created_at", _WHEN, server_default=_NOW, nullable=False),
        sa.Column("due_at", _WHEN, server_default=_NOW, nullable=False),
        sa.Column("gives_up_at", _WHEN, server_default=sa.text("now() + interval '3 days'"), nullable=False),
        sa.Column("lease_until", _WHEN, nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("finished_at", _WHEN, nullable=True),
        sa.CheckConstraint("channel IN ('webhook')", name=op.f("ck_messages_channel")),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name=op.f("ck_messages_state")),
        sa.CheckConstraint("(state = 'waiting') = (finished_at IS NULL)", name=op.f("ck_messages_finished")),
        sa.CheckConstraint("lease_until IS NULL OR state = 'waiting'", name=op.f("ck_messages_lease")),
        sa.CheckConstraint("(job_id IS NULL) = (seq IS NULL)", name=op.f("ck_messages_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        postgresql_with={"fillfactor": 80},
    )
    waiting = sa.text("state = 'waiting'")
    op.create_index("ix_messages_waiting", "messages", ["endpoint_id", "due_at", "id"], postgresql_where=waiting)
    op.create_index(
        "ix_messages_leased", "messages", ["endpoint_id"], postgresql_where=sa.text("lease_until IS NOT NULL")
    )
    op.create_index("ix_messages_gives_up_at", "messages", ["gives_up_at"], postgresql_where=waiting)
    op.create_index("ix_messages_job_id_endpoint_id_seq", "messages", ["job_id", "endpoint_id", "seq"], unique=True)
    op.create_index("ix_messages_endpoint_id_id", "messages", ["endpoint_id", "id"])
    op.create_index(
        "ix_messages_finished_at", "messages", ["finished_at"], postgresql_where=sa.text("state <> 'waiting'")
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", _WHEN, server_default=_NOW, nullable=False),
        sa.Column("took_s", sa.Double(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_delivery_attempts_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", "number", name=op.f("pk_delivery_attempts")),
        postgresql_with={"fillfactor": 80},
    )
    for statement in (_NEW_ID, _TELL, _TOLD):
        op.execute(statement)


def downgrade() -> None:
    """Undo it."""
    op.execute("DROP TRIGGER tell_endpoints ON timeline")
    op.execute("DROP FUNCTION tell_endpoints()")
    op.execute("DROP FUNCTION new_message_id()")
    for table in ("delivery_attempts", "messages", "endpoints"):
        op.drop_table(table)
