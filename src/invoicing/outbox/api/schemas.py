"""What is sent and answered about webhooks, for reading requests and for the OpenAPI document."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from invoicing.outbox.model import MessageState, WebhookEvent


class WebhookForm(BaseModel):
    """A webhook to be added."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2000,
            pattern=r"^https?://[!-~]+$",
            examples=["https://example.com/hooks/invoicing"],
            description="Where to send messages: https, on the public internet.",
        ),
    ]
    description: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = None
    events: Annotated[
        Annotated[list[WebhookEvent], Field(min_length=1, max_length=len(WebhookEvent))] | None,
        Field(description="What to tell it of; left out: every event, those to come too."),
    ] = None


class DisabledBody(BaseModel):
    """Since when a webhook gets nothing, and why."""

    since: datetime
    why: str


class WebhookBody(BaseModel):
    """A webhook, without its secret."""

    id: UUID
    url: str
    description: str | None
    events: list[str] | None = Field(description="Null: every event.")
    created_at: datetime
    status: Annotated[str, Field(pattern="^(working|failing|disabled)$")]
    failures: int = Field(description="Attempts that failed in a row, over all messages.")
    held_until: datetime | None = Field(description="While it fails: when it is tried again, with one message.")
    disabled: DisabledBody | None
    old_secret_until: datetime | None = Field(description="After a rotation: how long the secret before signs too.")


class WebhookWithSecret(WebhookBody):
    """A webhook with its secret, which is shown this once."""

    secret: str | None = Field(description="`whsec_` and base64; null where the request was a repetition.")


class WebhookList(BaseModel):
    """A customer's webhooks, the oldest first."""

    items: list[WebhookBody]
    next_page_token: None


class AttemptBody(BaseModel):
    """One try at delivering a message."""

    number: int
    at: datetime
    took_s: float | None
    outcome: str | None = Field(
        description="`delivered`, `refused` (see status), `timeout`, `connect`, `dns`, `tls`, `address_not_allowed`, "
        "`bad_url`, `protocol`, `broken`, `lost` (our relay died meanwhile), `internal`; null while it is under way."
    )
    status: int | None = Field(description="What the endpoint answered.")
    explanation: str | None


class DeliveryBody(BaseModel):
    """A message to a webhook; its id is what the endpoint is sent as `webhook-id`, at every attempt."""

    id: UUID
    type: str
    job_id: UUID | None
    state: MessageState
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="While it waits: not before this time.")
    gives_up_at: datetime = Field(description="It is tried until then.")
    finished_at: datetime | None
    attempts: list[AttemptBody]


class DeliveryPage(BaseModel):
    """A page of messages, the newest first."""

    items: list[DeliveryBody]
    next_page_token: str | None
