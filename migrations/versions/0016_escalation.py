"""escalation: how far ops have been told of an incident, and who was called about it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)
_BEFORE = (
    "'opened', 'severity_raised', 'eased', 'returned', 'acknowledged', 'assigned', 'noted', 'estimated', 'merged', "
    "'resolved', 'reopened'"
)
_ADDED = "'silenced', 'announced', 'escalated'"


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "incident_escalations",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("reopenings", sa.Integer(), nullable=False),
        sa.Column("silenced_by", sa.Uuid()),
        sa.Column("since", _WHEN),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incidents.id"],
            name=op.f("fk_incident_escalations_incident_id_incidents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_incident_escalations")),
    )
    op.create_table(
        "incident_calls",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("reopenings", sa.Integer(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("at", _WHEN, nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incidents.id"],
            name=op.f("fk_incident_calls_incident_id_incidents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("incident_id", "reopenings", "person", name=op.f("pk_incident_calls")),
    )
    _allow(f"{_BEFORE}, {_ADDED}")


def downgrade() -> None:
    """Undo it; what was told of it is not kept."""
    op.execute("DELETE FROM incident_changes WHERE change IN ('silenced', 'announced', 'escalated')")
    _allow(_BEFORE)
    op.drop_table("incident_calls")
    op.drop_table("incident_escalations")


def _allow(changes: str) -> None:
    name = op.f("ck_incident_changes_change")
    op.drop_constraint(name, "incident_changes")
    op.create_check_constraint(name, "incident_changes", f"change IN ({changes})")
