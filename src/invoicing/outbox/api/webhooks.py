"""Webhooks: added, listed, removed, tried out; their messages listed and resent."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Principal
from invoicing.kit.clock import now
from invoicing.kit.cursor import token_of
from invoicing.kit.db import Session, transaction
from invoicing.kit.egress import Network
from invoicing.kit.http.answers import answer
from invoicing.kit.http.forms import form
from invoicing.kit.http.headers import idempotency_key
from invoicing.kit.http.queries import page_size_of
from invoicing.outbox import service
from invoicing.outbox.api.paging import continued, id_in, state_of
from invoicing.outbox.api.schemas import WebhookForm
from invoicing.outbox.api.views import delivery_view, webhook_view
from invoicing.outbox.model import Endpoint
from invoicing.outbox.service import Added, Wish

Result = TypeVar("Result")


@dataclass(frozen=True)
class PostOffice:
    """Where customers look after their webhooks."""

    gate: Gate
    engine: AsyncEngine
    allowed: Sequence[Network] = ()
    """Networks beside the public internet that may be given as addresses."""

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/webhooks`."""
        principal = await self.gate.customer(request)
        async with self.engine.connect() as session:
            found = await service.endpoints_of(session, service.tenant(principal))
        moment = now()
        return answer({"items": [webhook_view(one, moment) for one in found], "next_page_token": None})

    async def add(self, request: Request) -> Response:
        """Answer `POST /v1/webhooks`."""
        principal = await self.gate.customer(request)
        key = idempotency_key(request.headers.get("idempotency-key"))
        asked = await form(request, WebhookForm)
        wish = Wish(asked.url, asked.description, asked.events and sorted(set(asked.events)))
        async with transaction(self.engine) as session:
            added = await service.add(session, principal, wish, key, self.allowed)
        headers = {"Location": f"/v1/webhooks/{added.endpoint.id}"}
        if added.secret is None:
            headers["Idempotency-Replayed"] = "true"
        return _with_secret(added, 201, headers)

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/webhooks/{webhook_id}`."""
        principal = await self.gate.customer(request)
        async with self.engine.connect() as session:
            found = await service.get(session, principal, _webhook_id(request))
        return answer(webhook_view(found, now()))

    async def remove(self, request: Request) -> Response:
        """Answer `DELETE /v1/webhooks/{webhook_id}`."""
        principal = await self.gate.customer(request)
        async with transaction(self.engine) as session:
            await service.remove(session, principal, _webhook_id(request))
        return Response(status_code=204)

    async def enable(self, request: Request) -> Response:
        """Answer `POST /v1/webhooks/{webhook_id}:enable`."""
        found: Endpoint = await self._do(request, service.enable)
        return answer(webhook_view(found, now()))

    async def rotate(self, request: Request) -> Response:
        """Answer `POST /v1/webhooks/{webhook_id}:rotate-secret`."""
        return _with_secret(await self._do(request, service.rotate), 200)

    async def _do(self, request: Request, act: Callable[[Session, Principal, UUID], Awaitable[Result]]) -> Result:
        principal = await self.gate.customer(request)
        async with transaction(self.engine) as session:
            return await act(session, principal, _webhook_id(request))

    async def test(self, request: Request) -> Response:
        """Answer `POST /v1/webhooks/{webhook_id}:test`."""
        principal, webhook_id, moment = await self.gate.customer(request), _webhook_id(request), now()
        async with transaction(self.engine) as session:
            endpoint = await service.get(session, principal, webhook_id)
            delivery = await service.test(session, principal, webhook_id, moment)
        return answer(delivery_view(delivery, endpoint, moment), 202)

    async def deliveries(self, request: Request) -> Response:
        """Answer `GET /v1/webhooks/{webhook_id}/deliveries`."""
        principal, webhook_id = await self.gate.customer(request), _webhook_id(request)
        owner = f"{service.tenant(principal)}:{webhook_id}"
        size, state, before = page_size_of(request), state_of(request), None
        token = request.query_params.get("page_token")
        if token:
            state, before = continued(owner, token, state)
        async with self.engine.connect() as session:
            endpoint, found = await service.page(
                session, principal, webhook_id, before=before, limit=size + 1, state=state
            )
        shown, moment = found[:size], now()
        more = token_of(owner, {"state": state, "before": shown[-1].id}) if len(found) > size else None
        return answer({"items": [delivery_view(one, endpoint, moment) for one in shown], "next_page_token": more})

    async def resend(self, request: Request) -> Response:
        """Answer `POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}:resend`."""
        principal, webhook_id = await self.gate.customer(request), _webhook_id(request)
        async with transaction(self.engine) as session:
            endpoint = await service.get(session, principal, webhook_id)
            delivery = await service.resend(
                session, principal, webhook_id, id_in(request, "delivery_id", service.no_such_delivery)
            )
        return answer(delivery_view(delivery, endpoint, now()), 202)


def _with_secret(added: Added, status: int, headers: dict[str, str] | None = None) -> Response:
    return answer(webhook_view(added.endpoint, now()) | {"secret": added.secret}, status, headers)


def _webhook_id(request: Request) -> UUID:
    return id_in(request, "webhook_id", service.no_such_webhook)
