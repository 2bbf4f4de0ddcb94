"""Tables of endpoints, of messages on their way out, and of the attempts at delivering them."""

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    Interval,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.sql import func

from invoicing.kit.db import metadata
from invoicing.outbox.model import OF_OPS, Channel, MessageState

_when = DateTime(timezone=True)
_OF_OPS = "channel IN ({})".format(", ".join(f"'{one}'" for one in Channel if one in OF_OPS))
_CHANNELS = "channel IN ({})".format(", ".join(f"'{one}'" for one in Channel))

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", ForeignKey("customers.id")),  # none: of ops, which no statement about customers meets
    Column("url", Text, nullable=False),
    Column("description", Text),
    Column("events", ARRAY(Text)),  # none: every event
    Column("secret", Text, nullable=False),
    Column("old_secret", Text),
    Column("old_secret_until", _when),
    Column("created_at", _when, nullable=False, server_default=func.now()),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("open_until", _when),
    Column("disabled_at", _when),
    Column("disabled_why", Text),
    Column("removed_at", _when),
    Column("channel", Text, nullable=False, server_default=Channel.WEBHOOK),
    # of mail addresses: until one is confirmed it wants nothing, and what it will want is kept beside
    Column("language", Text),
    Column("wanted", ARRAY(Text)),
    Column("confirmed_at", _when),
    Column("code_hash", LargeBinary),
    Column("code_until", _when),
    Column("guesses", Integer, nullable=False, server_default="0"),
    Column("codes", Integer, nullable=False, server_default="0"),
    Column("code_sent_at", _when),
    Column("idempotency_key", Text, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    CheckConstraint(_CHANNELS, name="channel"),
    CheckConstraint(f"(customer_id IS NULL) = ({_OF_OPS})", name="owner"),
    CheckConstraint("(code_hash IS NULL) = (code_until IS NULL)", name="code"),
    CheckConstraint("(channel = 'mail') = (wanted IS NOT NULL AND language IS NOT NULL)", name="mail"),
    CheckConstraint("(disabled_at IS NULL) = (disabled_why IS NULL)", name="disabled"),
    CheckConstraint("(old_secret IS NULL) = (old_secret_until IS NULL)", name="old_secret"),
    # how often anybody had a code sent to an address
    Index("ix_endpoints_mailed", "url", postgresql_where=text("channel = 'mail'")),
    # a customer's endpoints, and no two of them for one address
    Index(
        "ix_endpoints_customer_id_url", "customer_id", "url", unique=True, postgresql_where=text("removed_at IS NULL")
    ),
    Index(
        "ix_endpoints_open_until",
        "open_until",
        postgresql_where=text("open_until IS NOT NULL AND removed_at IS NULL"),
    ),
    Index("ix_endpoints_customer_id_idempotency_key", "customer_id", "idempotency_key", unique=True),
    Index("ix_endpoints_idempotency_key", "idempotency_key", unique=True, postgresql_where=text("customer_id IS NULL")),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("channel", Text, nullable=False),
    # no foreign key: every end of a job would lock its customer's endpoint; those are marked removed, never deleted
    Column("endpoint_id", Uuid, nullable=False),
    Column("customer_id", Uuid),
    Column("event", Text, nullable=False),
    Column("job_id", Uuid),
    Column("incident_id", Uuid),
    Column("seq", Integer),  # of the job's timeline, or the incident's revisions
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=MessageState.WAITING),
    Column("created_at", _when, nullable=False, server_default=func.now()),
    Column("due_at", _when, nullable=False, server_default=func.now()),
    Column("gives_up_at", _when, nullable=False, server_default=text("now() + interval '3 days'")),
    Column("lease_until", _when),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),  # attempts since it was written, or last resent
    Column("finished_at", _when),
    Column("repeats", Interval),  # so long after it was delivered it is sent again, until a later one takes its place
    CheckConstraint(_CHANNELS, name="channel"),
    CheckConstraint(f"(customer_id IS NULL) = ({_OF_OPS})", name="owner"),
    CheckConstraint("state IN ({})".format(", ".join(f"'{one}'" for one in MessageState)), name="state"),
    CheckConstraint("(state = 'waiting') = (finished_at IS NULL)", name="finished"),
    CheckConstraint("lease_until IS NULL OR state = 'waiting'", name="lease"),
    CheckConstraint("num_nonnulls(job_id, incident_id) = num_nonnulls(seq)", name="subject"),
    # what waits, endpoint by endpoint: neither another's backlog nor what was delivered is ever looked through
    Index("ix_messages_waiting", "endpoint_id", "due_at", "id", postgresql_where=text("state = 'waiting'")),
    Index("ix_messages_leased", "endpoint_id", postgresql_where=text("lease_until IS NOT NULL")),
    Index("ix_messages_gives_up_at", "gives_up_at", postgresql_where=text("state = 'waiting'")),
    # the messages of a job to an endpoint, in the order of its timeline
    Index("ix_messages_job_id_endpoint_id_seq", "job_id", "endpoint_id", "seq", unique=True),
    Index(
        "ix_messages_incident_id_endpoint_id_seq",
        *("incident_id", "endpoint_id", "seq"),
        unique=True,
        postgresql_where=text("incident_id IS NOT NULL"),
    ),
    Index("ix_messages_endpoint_id_id", "endpoint_id", "id"),
    Index("ix_messages_dead", "channel", postgresql_where=text("state = 'dead'")),
    Index("ix_messages_finished_at", "finished_at", postgresql_where=text("state <> 'waiting'")),
    postgresql_with={"fillfactor": 80},
)

delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("message_id", ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("started_at", _when, nullable=False, server_default=func.now()),
    Column("took_s", Double),
    Column("outcome", Text),  # none: under way
    Column("status", Integer),
    Column("explanation", Text),
    postgresql_with={"fillfactor": 80},
)
