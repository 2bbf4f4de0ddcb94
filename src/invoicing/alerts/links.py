"""Links that acknowledge an incident: signed with the secret of the channel that they are sent to."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from invoicing.alerts.model import Alert, AlertState, Said, body_of, data_of

GOOD_FOR = timedelta(days=30)
"""From the beginning of the incident; a link is the same however often it is written."""

_SIGNATURE_BYTES = 24


@dataclass(frozen=True)
class Ticket:
    """What a link says of itself."""

    incident_id: UUID
    channel_id: UUID
    until: int
    """Seconds since the epoch."""
    signature: str


def link(public_url: str, said: Said, channel_id: UUID, secret: str) -> str | None:
    """Write the link by which an alert is acknowledged; None where there is nothing to acknowledge."""
    alert = said.alert
    if said.tests or alert.state is not AlertState.OPEN:
        return None
    until = int((alert.since + GOOD_FOR).timestamp())
    signed = signature(secret, alert.incident_id, channel_id, until)
    query = urlencode({"channel": channel_id, "until": until, "signature": signed})
    return f"{public_url}/v1/alerts/{alert.incident_id}/acknowledgement?{query}"


def incident_url(public_url: str, alert: Alert) -> str:
    """Say where the incident itself can be read, with a key."""
    return f"{public_url}/v1/incidents/{alert.incident_id}"


def signature(secret: str, incident_id: UUID, channel_id: UUID, until: int) -> str:
    """Sign what a link says."""
    signed = f"acknowledge.{incident_id}.{channel_id}.{until}".encode()
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()[: 2 * _SIGNATURE_BYTES]


def holds(ticket: Ticket, secret: str, now_s: float) -> bool:
    """Tell whether a link was written by us, for this channel, and is still good."""
    ours = signature(secret, ticket.incident_id, ticket.channel_id, ticket.until)
    return hmac.compare_digest(ours.encode(), ticket.signature.encode()) and now_s < ticket.until


def webhook_body(body: str, said: Said, acknowledge: str | None) -> bytes:
    """Give what a signed webhook is sent: the message as it was written, with the link where there is one."""
    if acknowledge is None:
        return body.encode()
    data = data_of(said.alert, said.earlier) | {"acknowledge": acknowledge}
    return body_of(said.event, said.at, data).encode()


def pagerduty_signed(header: str, secret: str, body: bytes) -> bool:
    """Tell whether PagerDuty signed a message (webhooks V3: any of the `v1=` values, as secrets are rotated)."""
    ours = "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(ours.encode(), one.strip().encode()) for one in header.split(","))


def pagerduty_said(body: bytes) -> tuple[UUID, str] | None:
    """Read which incident was acknowledged in PagerDuty, and by whom; None: it tells of something else."""
    try:
        event = json.loads(body)["event"]
        if event["event_type"] != "incident.acknowledged":
            return None
        incident_id = UUID(event["data"]["incident_key"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    agent = event.get("agent")
    name = agent.get("summary") if isinstance(agent, dict) else None
    return incident_id, " ".join(str(name or "somebody").split())[:100] + " in PagerDuty"
