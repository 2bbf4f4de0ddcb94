"""What is sent and answered about channels of ops, for reading requests and for the OpenAPI document."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from invoicing.alerts.model import ChannelKind, Severity
from invoicing.outbox.api.mail_schemas import ADDRESS
from invoicing.outbox.api.schemas import AttemptBody
from invoicing.outbox.model import MessageState

Secret = Annotated[str, Field(min_length=16, max_length=200, pattern=r"^[!-~]+$")]


class ChannelForm(BaseModel):
    """A channel to be added; which of the optional fields are needed depends on its kind."""

    model_config = ConfigDict(extra="forbid")

    kind: ChannelKind
    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["night shift"])]
    least_severity: Annotated[
        Severity, Field(description="It is told of incidents at least so bad; S4 means all of them.")
    ] = Severity.S4
    url: Annotated[
        Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[a-z][a-z0-9]*://[!-~]+$")] | None,
        Field(
            description="Alertmanager: its address, without `/api/v2/alerts`. Webhook: where to send. Chat: a URL of "
            "Apprise. PagerDuty: only for another region than the usual."
        ),
    ] = None
    address: Annotated[
        Annotated[str, Field(min_length=6, max_length=254, pattern=ADDRESS)] | None,
        Field(description="Mail: one address.", examples=["oncall@example.com"]),
    ] = None
    routing_key: Annotated[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9]{32}$")] | None,
        Field(description="PagerDuty: the integration key of an integration of the kind Events API V2."),
    ] = None
    webhook_secret: Annotated[
        Secret | None,
        Field(description="PagerDuty: what its V3 webhook to us signs with, so that acknowledging comes back."),
    ] = None

    def given(self) -> dict[str, str]:
        """Give those of the optional fields that are there."""
        optional = {
            "url": self.url,
            "address": self.address,
            "routing_key": self.routing_key,
            "webhook_secret": self.webhook_secret,
        }
        return {name: value for name, value in optional.items() if value is not None}


class TrustForm(BaseModel):
    """What PagerDuty's webhook to us signs with."""

    model_config = ConfigDict(extra="forbid")

    webhook_secret: Secret


class ChannelBody(BaseModel):
    """A channel, without its secrets."""

    id: UUID
    name: str
    kind: ChannelKind
    target: str = Field(description="Where it leads, as far as that is no secret.")
    least_severity: Severity
    acknowledges: bool = Field(description="Whether acknowledging comes back from there by a webhook of its own.")
    from_environment: bool = Field(description="Added by INVOICING_ALERTMANAGER_URL, and goes with it.")
    created_at: datetime
    status: Annotated[str, Field(pattern="^(working|failing)$")]
    failures: int = Field(description="Attempts that failed in a row, over all messages.")
    held_until: datetime | None = Field(description="While it fails: when it is tried again.")


class ChannelWithSecret(ChannelBody):
    """A channel that was just added."""

    secret: str | None = Field(
        description="Of a webhook, this once: `whsec_` and base64, which its messages are signed with; else null."
    )


class ChannelList(BaseModel):
    """All channels, the oldest first."""

    items: list[ChannelBody]
    next_page_token: None


class AlertDeliveryBody(BaseModel):
    """A message to a channel."""

    id: UUID
    type: str
    incident_id: UUID | None
    revision: int | None = Field(description="Which of the incident's changes it tells of.")
    state: MessageState
    created_at: datetime
    next_attempt_at: datetime | None = Field(description="While it waits, or is repeated: not before this time.")
    gives_up_at: datetime = Field(description="It is tried until then.")
    finished_at: datetime | None
    attempts: list[AttemptBody] = Field(description="Of a message that is repeated the last 20.")


class AlertDeliveryPage(BaseModel):
    """A page of messages, the newest first."""

    items: list[AlertDeliveryBody]
    next_page_token: str | None


class TrialBody(BaseModel):
    """What came of a test."""

    arrived: bool = Field(description="Whether the receiver has taken all of it.")
    deliveries: list[AlertDeliveryBody]


class AcknowledgedBody(BaseModel):
    """An incident that was acknowledged."""

    incident_id: UUID
    acknowledged: bool
