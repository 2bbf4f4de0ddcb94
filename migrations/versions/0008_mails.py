"""mails: addresses of customers beside their webhooks, and what monitoring counts of the outbox."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)

# A message takes the way of its endpoint. Nothing else of the functions changes, whatever they say by now.
_CHANNEL_OF_ENDPOINT = """
DO $change$
DECLARE
    teller regproc;
    before text;
    after text;
BEGIN
    FOREACH teller IN ARRAY ARRAY['tell_endpoints', 'tell_promises']::regproc[] LOOP
        before := pg_get_functiondef(teller);
        after := replace(before, $${written}, e.id,$$, $${instead}, e.id,$$);
        IF after = before THEN
            RAISE EXCEPTION '% does not write a channel as expected', teller;
        END IF;
        EXECUTE after;
    END LOOP;
END $change$
"""


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.add_column("endpoints", sa.Column("channel", sa.Text(), server_default="webhook", nullable=False))
    for column in (
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("wanted", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("confirmed_at", _WHEN, nullable=True),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("code_until", _WHEN, nullable=True),
        sa.Column("guesses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("codes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("code_sent_at", _WHEN, nullable=True),
    ):
        op.add_column("endpoints", column)
    op.create_check_constraint(op.f("ck_endpoints_channel"), "endpoints", "channel IN ('webhook', 'mail')")
    op.create_check_constraint(op.f("ck_endpoints_code"), "endpoints", "(code_hash IS NULL) = (code_until IS NULL)")
    op.create_check_constraint(
        op.f("ck_endpoints_mail"), "endpoints", "(channel = 'mail') = (wanted IS NOT NULL AND language IS NOT NULL)"
    )
    op.drop_constraint(op.f("ck_messages_channel"), "messages")
    op.create_check_constraint(op.f("ck_messages_channel"), "messages", "channel IN ('webhook', 'mail')")
    op.create_index("ix_endpoints_mailed", "endpoints", ["url"], postgresql_where=sa.text("channel = 'mail'"))
    op.create_index("ix_messages_dead", "messages", ["channel"], postgresql_where=sa.text("state = 'dead'"))
    op.create_index(
        "ix_endpoints_open_until",
        "endpoints",
        ["open_until"],
        postgresql_where=sa.text("open_until IS NOT NULL AND removed_at IS NULL"),
    )
    op.execute(_CHANNEL_OF_ENDPOINT.format(written="'webhook'", instead="e.channel"))


def downgrade() -> None:
    """Undo it; mails and their addresses go."""
    op.execute(_CHANNEL_OF_ENDPOINT.format(written="e.channel", instead="'webhook'"))
    op.drop_index("ix_endpoints_open_until", "endpoints")
    op.drop_index("ix_messages_dead", "messages")
    op.drop_index("ix_endpoints_mailed", "endpoints")
    op.execute("DELETE FROM messages WHERE channel = 'mail'")
    op.execute("DELETE FROM endpoints WHERE channel = 'mail'")
    op.drop_constraint(op.f("ck_messages_channel"), "messages")
    op.create_check_constraint(op.f("ck_messages_channel"), "messages", "channel IN ('webhook')")
    for constraint in ("mail", "code", "channel"):
        op.drop_constraint(op.f(f"ck_endpoints_{constraint}"), "endpoints")
    for column in (
        *("code_sent_at", "codes", "guesses", "code_until", "code_hash", "confirmed_at", "wanted", "language"),
        "channel",
    ):
        op.drop_column("endpoints", column)
