"""Acknowledging from outside: by a link in an alert, or in PagerDuty. Neither needs a key; both are signed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import escape
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import HTMLResponse

from invoicing.alerts import service
from invoicing.alerts.links import Ticket, holds, pagerduty_said, pagerduty_signed
from invoicing.alerts.model import Alert, AlertState
from invoicing.alerts.words import one_line
from invoicing.kit.clock import now
from invoicing.kit.http.answers import answer
from invoicing.kit.http.bodies import received
from invoicing.kit.http.headers import prefers
from invoicing.kit.problems import Problem
from invoicing.outbox.api.paging import id_in

Acknowledge = Callable[[UUID, str], Awaitable[bool]]
"""Takes an incident as seen by somebody; False when there is no such incident. One that is taken already stays so."""

_LARGEST = 256 * 1024
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",  # the address is what acknowledges
    "Cache-Control": "no-store",
}
_STYLE = (
    ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}h1{font-size:1.4rem}"
    "body{max-width:40rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}button{font:inherit;padding:.8rem 1.2rem}"
)


@dataclass(frozen=True)
class Answers:
    """Where acknowledgements come back."""

    engine: AsyncEngine
    acknowledge: Acknowledge

    async def page(self, request: Request) -> Response:
        """Answer `GET /v1/alerts/{incident_id}/acknowledgement`: nothing happens yet, as mail scanners follow links."""
        _, alert = await self._meant(request)
        if alert.state is AlertState.OPEN:
            button = '<form method="post"><button>Acknowledge: somebody is on it</button></form>'
            return _page(alert.title, f"<p>{escape(one_line(alert.summary))}</p>{button}")
        return _page(alert.title, f"<p>This incident is {alert.state} already.</p>")

    async def press(self, request: Request) -> Response:
        """Answer `POST /v1/alerts/{incident_id}/acknowledgement`."""
        receiver, alert = await self._meant(request)
        done = await self.acknowledge(alert.incident_id, f"whoever got the link sent to {receiver}")
        if not prefers(request.headers.get("accept"), "text/html"):
            return answer({"incident_id": alert.incident_id, "acknowledged": done}, headers=_HEADERS)
        return _page(alert.title, "<p>Acknowledged.</p>" if done else "<p>There is no such incident any more.</p>")

    async def _meant(self, request: Request) -> tuple[str, Alert]:
        """Find what a link is about, and whom it was sent to.

        Raises `Problem`, always the same, unless it is ours and still good.
        """
        ticket = _ticket(request)
        async with self.engine.connect() as session:
            secret = await service.link_secret(session, ticket.channel_id)
            if secret is None or not holds(ticket, secret, now().timestamp()):
                raise _no_such_link()
            receiver = await service.receiver(session, ticket.channel_id)
            alert = await service.last_announced(session, ticket.incident_id)
        if alert is None:
            raise _no_such_link()
        return receiver, alert

    async def pagerduty(self, request: Request) -> Response:
        """Answer `POST /v1/channels/{channel_id}/pagerduty`, which PagerDuty calls (webhooks V3)."""
        channel_id = id_in(request, "channel_id", service.no_such_channel)
        async with received(request, _LARGEST) as body:
            whole = body.whole if body.file is None else body.file.read_bytes()
        async with self.engine.connect() as session:
            secret = await service.answer_secret(session, channel_id)
        if secret is None:
            raise service.no_such_channel()
        if not pagerduty_signed(request.headers.get("x-pagerduty-signature", ""), secret, whole):
            raise Problem(
                "forbidden",
                "The signature does not hold.",
                field="/headers/X-PagerDuty-Signature",
                remedy="POST /v1/channels/{id}:trust with the secret that PagerDuty showed when the webhook was made.",
            )
        said = pagerduty_said(whole)
        if said is not None:
            await self.acknowledge(*said)
        return Response(status_code=204)


def _ticket(request: Request) -> Ticket:
    incident_id = id_in(request, "incident_id", _no_such_link)
    query = request.query_params
    try:
        until = query.get("until", "")
        if not (until.isascii() and until.isdigit() and len(until) <= 12):
            raise _no_such_link()
        return Ticket(incident_id, UUID(query.get("channel", "")), int(until), query.get("signature", "")[:100])
    except ValueError as error:
        raise _no_such_link() from error


def _no_such_link() -> Problem:
    return Problem(
        "not_found",
        "This link was not written by us, or is over its time, or its channel is gone.",
        remedy="Use the link of a later message, or POST /v1/incidents/{id}:acknowledge with a key.",
    )


def _page(title: str, body: str) -> Response:
    name = escape(one_line(title))
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{name}</h1>{body}</body></html>",
        headers=_HEADERS,
    )
