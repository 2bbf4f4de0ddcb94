"""What is sent and answered about mail addresses, for reading requests and for the OpenAPI document."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from invoicing.outbox.letters import Language
from invoicing.outbox.model import WebhookEvent

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
ADDRESS = rf"^{_ATOM}(\.{_ATOM})*@({_LABEL}\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]$"
"""A dot-atom (RFC 5322 section 3.2.3) at a name that does not end in a number: no quoted forms, no address literals."""


class MailForm(BaseModel):
    """A mail address to be added."""

    model_config = ConfigDict(extra="forbid")

    address: Annotated[
        str,
        Field(
            min_length=6,
            max_length=254,
            pattern=ADDRESS,
            examples=["billing@example.com"],
            description="One address, ASCII; an international domain in its xn-- form.",
        ),
    ]
    events: Annotated[
        Annotated[list[WebhookEvent], Field(min_length=1, max_length=len(WebhookEvent))] | None,
        Field(description="What to tell it of; left out: how jobs end."),
    ] = None
    language: Annotated[Language, Field(description="What its mails are written in.")] = Language.ENGLISH


class CodeForm(BaseModel):
    """The code that an address was sent."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(min_length=1, max_length=40, examples=["K7QW2MXB"])]


class MailBody(BaseModel):
    """A mail address."""

    id: UUID
    address: str
    events: list[str]
    language: str
    created_at: datetime
    confirmed_at: datetime | None = Field(description="Null: it has been sent nothing but a code.")
    code_until: datetime | None = Field(description="While it is not confirmed: how long the last code is good for.")
    status: Annotated[str, Field(pattern="^(unconfirmed|working|failing)$")]
    failures: int = Field(description="Mails in a row that were not taken for it.")
    held_until: datetime | None = Field(description="While it fails: when it is tried again, with one mail.")


class MailList(BaseModel):
    """A customer's mail addresses, the oldest first."""

    items: list[MailBody]
    next_page_token: None
