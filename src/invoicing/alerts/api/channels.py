"""Channels of ops: listed, added, removed, tried out; their messages listed and resent."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.alerts import service
from invoicing.alerts.api.schemas import ChannelForm, TrustForm
from invoicing.alerts.model import AlertChannel, ChannelKind
from invoicing.alerts.wishes import Means, wish_of
from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.customers.service import audit
from invoicing.kit.clock import now
from invoicing.kit.cursor import token_of
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.forms import form
from invoicing.kit.http.headers import idempotency_key, wait_preferred
from invoicing.kit.http.queries import page_size_of
from invoicing.outbox.api.paging import continued, id_in, state_of
from invoicing.outbox.api.views import attempt_view
from invoicing.outbox.model import Delivery, MessageState

_PATIENCE = timedelta(seconds=10)
"""How long a test is waited for, where the request does not say."""

_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Switchboard:
    """Where ops look after the channels that alerts go to."""

    gate: Gate
    engine: AsyncEngine
    means: Means

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/channels`."""
        await self.gate.staff(request, Role.OPS)
        async with self.engine.connect() as session:
            found = await service.all_channels(session)
        return answer({"items": [channel_view(one) for one in found], "next_page_token": None})

    async def add(self, request: Request) -> Response:
        """Answer `POST /v1/channels`."""
        principal = await self.gate.staff(request, Role.OPS)
        key = idempotency_key(request.headers.get("idempotency-key"))
        asked = await form(request, ChannelForm)
        wish = wish_of(asked.name, asked.kind, asked.least_severity, asked.given(), self.means)
        async with transaction(self.engine) as session:
            added, replayed = await service.add(session, wish, key)
            if not replayed:
                facts = {"name": added.name, "kind": added.kind, "target": added.target}
                await audit(session, principal, "channel.added", _target(added.id), None, facts)
        headers = {"Location": f"/v1/channels/{added.id}"} | ({"Idempotency-Replayed": "true"} if replayed else {})
        secret = wish.secret if wish.kind is ChannelKind.WEBHOOK and not replayed else None
        return answer(channel_view(added) | {"secret": secret}, 201, headers)

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/channels/{channel_id}`."""
        await self.gate.staff(request, Role.OPS)
        async with self.engine.connect() as session:
            return answer(channel_view(await service.get(session, _channel_id(request))))

    async def remove(self, request: Request) -> Response:
        """Answer `DELETE /v1/channels/{channel_id}`."""
        principal = await self.gate.staff(request, Role.OPS)
        async with transaction(self.engine) as session:
            removed = await service.remove(session, _channel_id(request))
            await audit(session, principal, "channel.removed", _target(removed.id), None, {"name": removed.name})
        return Response(status_code=204)

    async def trust(self, request: Request) -> Response:
        """Answer `POST /v1/channels/{channel_id}:trust`."""
        principal, channel_id = await self.gate.staff(request, Role.OPS), _channel_id(request)
        asked = await form(request, TrustForm)
        async with transaction(self.engine) as session:
            channel = await service.trust(session, channel_id, asked.webhook_secret)
            await audit(session, principal, "channel.trusted", _target(channel_id))
        return answer(channel_view(channel))

    async def test(self, request: Request) -> Response:
        """Answer `POST /v1/channels/{channel_id}:test`."""
        principal, channel_id = await self.gate.staff(request, Role.OPS), _channel_id(request)
        patience = wait_preferred(request.headers.get("prefer"))
        async with transaction(self.engine) as session:
            written = await service.test(session, channel_id)
            await audit(session, principal, "channel.tested", _target(channel_id))
        channel, found = await self._tried(channel_id, written, now() + (_PATIENCE if patience is None else patience))
        arrived = all(one.state is MessageState.DELIVERED for one in found)
        return answer({"arrived": arrived, "deliveries": [delivery_view(one, channel, now()) for one in found]})

    async def _tried(
        self, channel_id: UUID, written: Sequence[UUID], until: datetime
    ) -> tuple[AlertChannel, Sequence[Delivery]]:
        """Wait until a test was delivered or has failed once; it is sent by the watchdog, as all messages are."""
        while True:
            async with self.engine.connect() as session:
                channel = await service.get(session, channel_id)
                found = [(await service.delivery(session, channel_id, one))[1] for one in written]
            delivered = all(one.state is not MessageState.WAITING for one in found)
            failed = any(attempt.outcome not in {None, "delivered"} for one in found for attempt in one.tries)
            if delivered or failed or now() >= until:
                return channel, found
            await asyncio.sleep(_LOOK_EVERY_S)

    async def deliveries(self, request: Request) -> Response:
        """Answer `GET /v1/channels/{channel_id}/deliveries`."""
        await self.gate.staff(request, Role.OPS)
        channel_id = _channel_id(request)
        owner, size, state, before = f"channel:{channel_id}", page_size_of(request), state_of(request), None
        token = request.query_params.get("page_token")
        if token:
            state, before = continued(owner, token, state)
        async with self.engine.connect() as session:
            channel, found = await service.deliveries(session, channel_id, before=before, limit=size + 1, state=state)
        shown, moment = found[:size], now()
        more = token_of(owner, {"state": state, "before": shown[-1].id}) if len(found) > size else None
        return answer({"items": [delivery_view(one, channel, moment) for one in shown], "next_page_token": more})

    async def resend(self, request: Request) -> Response:
        """Answer `POST /v1/channels/{channel_id}/deliveries/{delivery_id}:resend`."""
        principal, channel_id = await self.gate.staff(request, Role.OPS), _channel_id(request)
        delivery_id = id_in(request, "delivery_id", service.no_such_delivery)
        async with transaction(self.engine) as session:
            channel, found = await service.resend(session, channel_id, delivery_id)
            await audit(session, principal, "channel.resent", _target(channel_id), None, {"delivery": str(delivery_id)})
        return answer(delivery_view(found, channel, now()), 202)


def channel_view(channel: AlertChannel) -> dict[str, Any]:
    """Give every field of a channel but its secrets."""
    failing = channel.failures or channel.open_until is not None
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "target": channel.target,
        "least_severity": channel.least,
        "acknowledges": channel.answers,
        "from_environment": channel.from_environment,
        "created_at": channel.created_at,
        "status": "failing" if failing else "working",
        "failures": channel.failures,
        "held_until": channel.open_until,
    }


def delivery_view(delivery: Delivery, channel: AlertChannel, at: datetime) -> dict[str, Any]:
    """Give every field of a message and its attempts."""
    due = max(delivery.due_at, channel.open_until or delivery.due_at, at)
    return {
        "id": delivery.id,
        "type": delivery.event,
        "incident_id": delivery.incident_id,
        "revision": delivery.seq,
        "state": delivery.state,
        "created_at": delivery.created_at,
        "next_attempt_at": due if delivery.state is MessageState.WAITING else None,
        "gives_up_at": delivery.gives_up_at,
        "finished_at": delivery.finished_at,
        "attempts": [attempt_view(one) for one in delivery.tries],
    }


def _channel_id(request: Request) -> UUID:
    return id_in(request, "channel_id", service.no_such_channel)


def _target(channel_id: UUID) -> str:
    return f"channel:{channel_id}"
