"""waits: what held whole lanes is kept when it changes, and the time that ended jobs took is added up by cause."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "conditions",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("since", _WHEN, nullable=False),
        sa.Column("until", _WHEN),
        sa.Column("evidence", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("spares", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.CheckConstraint("until >= since", name=op.f("ck_conditions_until")),
        sa.PrimaryKeyConstraint("scope", "cause", "since", name=op.f("pk_conditions")),
    )
    op.create_index(
        "ix_conditions_open", "conditions", ["scope", "cause"], unique=True, postgresql_where=sa.text("until IS NULL")
    )
    op.create_index("ix_conditions_until", "conditions", ["until"])
    op.create_index("ix_pauses_lane_since", "pauses", ["lane", "since"])
    op.create_table(
        "places",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.Column("job_id", sa.Uuid()),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_places")),
    )
    op.create_table(
        "waits",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "lane", "customer_id", "cause", name=op.f("pk_waits")),
    )
    op.create_table(
        "waits_booked",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("until", _WHEN, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_waits_booked_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_waits_booked")),
    )
    op.execute("INSERT INTO places (name) VALUES ('watch'), ('waits')")


def downgrade() -> None:
    """Undo it."""
    op.drop_table("waits_booked")
    op.drop_table("waits")
    op.drop_table("places")
    op.drop_index("ix_pauses_lane_since", table_name="pauses")
    op.drop_table("conditions")
