"""A ledger, channels of ops, and the relays that tell them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.engine import RowMapping

from invoicing.alerts import service as alerts
from invoicing.alerts.carrying import Alerts
from invoicing.alerts.model import Alert, AlertChannel, AlertState, ChannelKind, Severity
from invoicing.kit.clock import now
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.egress import Egress, networks_of
from invoicing.kit.ids import new_id
from invoicing.outbox.carrying import Carrier
from invoicing.outbox.model import new_secret
from invoicing.outbox.relaying import Bounds
from workers.outbox import Relay

from ..workers.crew import until

HERE = networks_of("127.0.0.0/8")


def alert(**other: Any) -> Alert:
    """Make an alert of an incident that has just begun."""
    usual = Alert(
        incident_id=new_id(),
        fingerprint="no_worker:normal-small",
        cause="no_worker",
        scope="normal-small",
        severity=Severity.S2,
        state=AlertState.OPEN,
        title="No worker serves the lane normal-small",
        summary="41 jobs of 3 customers wait, and no worker has registered for the lane.",
        since=now().replace(microsecond=0),
        ended_at=None,
        jobs=41,
        customers=3,
        runbook="https://example.com/operations#no_worker",
        estimate=None,
        revision=1,
        labels={"lane": "normal-small"},
    )
    return replace(usual, **other)


def then(before: Alert, **other: Any) -> Alert:
    """Make the next revision."""
    return replace(before, revision=before.revision + 1, **other)


def over(before: Alert) -> Alert:
    return then(before, state=AlertState.RESOLVED, ended_at=now())


class Desk:
    """Where incidents would be kept: says what becomes of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = make_engine(url)
        self.relays: list[tuple[Relay, asyncio.Task[None]]] = []

    async def channel(
        self, kind: ChannelKind, target: str, least: Severity = Severity.S4, secret: str | None = None, **more: Any
    ) -> AlertChannel:
        """Add a channel."""
        wish = alerts.Wish(f"{kind}-{uuid4().hex[:6]}", kind, target, least, secret or new_secret(), **more)
        async with transaction(self.engine) as session:
            added, _ = await alerts.add(session, wish, str(new_id()))
        return added

    async def say(self, *said: Alert) -> None:
        for one in said:
            async with transaction(self.engine) as session:
                await alerts.announce(session, one)

    def start(self, carrier: Carrier | None = None, lease: timedelta = timedelta(seconds=30)) -> None:
        """Start a relay."""
        carrier = carrier or Alerts(Egress(allowed=HERE, patience_s=5))
        relay = Relay(self.engine, self.url, carrier, Bounds(messages=64, probes=16, each=2, lease=lease))
        self.relays.append((relay, asyncio.create_task(relay.run())))

    async def do(self, statement: str, **values: Any) -> None:
        async with transaction(self.engine) as session:
            await session.execute(text(statement), values)

    async def messages(self) -> list[RowMapping]:
        async with self.engine.connect() as session:
            return list((await session.execute(text("SELECT * FROM messages ORDER BY id"))).mappings())

    async def hurry(self) -> None:
        """Let the time pass that repetition, back-off and breaker would have taken."""
        await self.do("UPDATE endpoints SET open_until = now() WHERE open_until IS NOT NULL")
        await self.do("UPDATE messages SET due_at = now() WHERE state = 'waiting' AND lease_until IS NULL")
        await self.do("SELECT pg_notify('invoicing_alerts', '')")

    async def rests(self, *states: str) -> None:
        """Wait until all messages have been tried, none is on its way, and they are in these states."""

        async def there() -> bool:
            found = await self.messages()
            rest = all(row["attempts"] > 0 and row["lease_until"] is None for row in found)
            return rest and [row["state"] for row in found] == list(states)

        await until(there, 20)

    async def until(self, holds: Callable[[], Any]) -> None:
        await until(holds, 20)

    async def close(self) -> None:
        for relay, _ in self.relays:
            relay.stop()
        await asyncio.wait_for(asyncio.gather(*(task for _, task in self.relays)), 20)
        await self.engine.dispose()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
