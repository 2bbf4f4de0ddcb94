"""Whoever is on duty is called, step after step, each once; maintenance keeps ops from being told, and only them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.alerts import service as alerts
from invoicing.alerts.model import ChannelKind
from invoicing.alerts.model import Severity as Least
from invoicing.incidents import alerting, calling, service
from invoicing.incidents.model.incident import Incident
from invoicing.kit.db import Session, transaction
from invoicing.kit.ids import new_id
from invoicing.lanes.model import LANES
from invoicing.maintenance import store as windows
from invoicing.maintenance.model import Window
from invoicing.outbox.model import new_secret
from invoicing.rota import store as rotas
from invoicing.rota.model import Override, Person, Rota, Shift, Step
from workers.detector import Detector

from ..book import Book
from .conftest import HERE, Lookout

MINUTE = timedelta(minutes=1)
PEOPLE = tuple(Person(name.lower(), name, f"{name.lower()}@example.com") for name in ("Ann", "Bob", "Cyd"))
STEPS = (Step(timedelta(0), 1), Step(5 * MINUTE, 2))
ALWAYS = frozenset(range(7))
LONG_AGO = date(2020, 1, 1)


def shift(person: str, level: int, until: date | None = None) -> Shift:
    return Shift((person,), "UTC", time(0), time(0), ALWAYS, level, since=LONG_AGO, until=until)


TWO_LEVELS = (shift("ann", 1), shift("cyd", 2))


class Pager:
    """Somebody who waits for alerts, and the detectors that send them."""

    def __init__(self, book: Book, lookout: Lookout) -> None:
        self.book = book
        self.lookout = lookout
        lookout.tell = alerting.tell

    async def rota(self, *shifts: Shift, steps: tuple[Step, ...] = STEPS) -> None:
        """Write a rota."""
        async with transaction(self.book.engine) as session:
            await rotas.write(session, 1, Rota(PEOPLE, shifts, steps).as_json(), "ops:ops", "for a test")

    async def stands_in(self, person: str, replaces: str | None = None) -> None:
        """Have somebody on duty from a minute ago on."""
        now = datetime.now(UTC)
        override = Override(new_id(), now - MINUTE, now + 60 * MINUTE, person, replaces)
        async with transaction(self.book.engine) as session:
            await rotas.add(session, [override], "ops:ops", "for a test")

    async def channel(self, kind: ChannelKind = ChannelKind.CHAT) -> UUID:
        """Add a channel of ops."""
        wish = alerts.Wish(str(new_id()), kind, "https://example.com", Least.S4, new_secret())
        async with transaction(self.book.engine) as session:
            added, _ = await alerts.add(session, wish, str(new_id()))
        return added.id

    async def maintenance(self, *lanes: str) -> UUID:
        """Have a window in force."""
        now = datetime.now(UTC)
        window = Window(
            new_id(), now - MINUTE, now + 60 * MINUTE, lanes or (HERE,), "New discs.", "host-17", drain=False,
            shift_promises=False, by="ops:ops", created_at=now,
        )  # fmt: skip
        async with transaction(self.book.engine) as session:
            await windows.add(session, window)
        return window.id

    async def over(self, window_id: UUID) -> None:
        """Have its end come."""
        await self.book.do("UPDATE maintenance SET ends = now() - interval '1 s' WHERE id = :id", id=window_id)

    async def opens(self) -> Incident:
        """Have an incident of severity S2 open."""
        await self.lookout.holds("no_worker")
        await self.book.submit()
        await self.lookout.look()
        (incident,) = await self.lookout.all()
        return incident

    async def ends(self) -> None:
        """Have its cause go, for as long as it takes."""
        await self.lookout.ends("no_worker")
        await self.lookout.look()
        await self.lookout.look(later=31)

    async def round(self, later: float = 0, *, mails: bool = True) -> None:
        """Have a detector call, after so many minutes."""
        if later:
            minutes = timedelta(minutes=later)
            for column in ("incident_escalations SET since = since", "incident_calls SET at = at"):
                await self.book.do(f"UPDATE {column} - CAST(:minutes AS interval)", minutes=minutes)
        await Detector(self.book.engine, alerting.tell, calls=True, mails=mails).call()

    async def mails(self) -> Sequence[tuple[str, str]]:
        """Say whom a mail was written to, and of what."""
        return [(url.removeprefix("mailto:").partition("@")[0], event) for url, event in await self._sent("alert_mail")]

    async def chats(self) -> Sequence[str]:
        """Say what chats were told."""
        return [event for _, event in await self._sent("chat")]

    async def _sent(self, channel: str) -> Sequence[tuple[str, str]]:
        query = (
            "SELECT e.url, m.event FROM messages m JOIN endpoints e ON e.id = m.endpoint_id "
            "WHERE m.channel = :channel ORDER BY m.id"
        )
        async with self.book.engine.connect() as session:
            return [(row.url, row.event) for row in await session.execute(text(query), {"channel": channel})]

    async def seen(self, incident: Incident) -> service.Seen:
        async with self.book.engine.connect() as session:
            return await service.see(session, incident.id, None, 10)


@pytest.fixture
def pager(book: Book, lookout: Lookout) -> Pager:
    return Pager(book, lookout)


CALLED = "alert.open"


async def test_those_of_each_step_are_called_once_and_hear_how_it_ends(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS)
    await pager.channel()
    incident = await pager.opens()
    for later in (0, 4, 0):
        await pager.round(later)
    assert await pager.mails() == [("ann", CALLED)]
    seen = (await pager.seen(incident)).callees
    assert [(one.name, one.level) for one in seen.called] == [("Ann", 1)]
    assert seen.next is not None
    assert [one.name for one in seen.next.people] == ["Cyd"]
    assert seen.next.at - seen.called[0].at == 5 * MINUTE
    for later in (1, 0, 30):
        await pager.round(later)
    assert await pager.mails() == [("ann", CALLED), ("cyd", CALLED)]
    assert (await pager.seen(incident)).callees.next is None
    assert await pager.lookout.changes(incident) == ["opened", "escalated", "escalated"]
    await pager.ends()
    assert sorted((await pager.mails())[2:]) == [("ann", "alert.resolved"), ("cyd", "alert.resolved")]
    assert await pager.chats() == [CALLED, "alert.resolved"]


async def test_channels_hear_who_is_on_call_and_those_that_merge_it_who_was_called_later(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS)
    await pager.channel(ChannelKind.WEBHOOK)
    await pager.channel()
    incident = await pager.opens()
    async with pager.book.engine.connect() as session:
        first = await alerts.last_announced(session, incident.id)
    assert first is not None
    assert [(one.name, one.level) for one in first.on_call] == [("Ann", 1), ("Cyd", 2)]
    assert first.on_call[1].at - first.on_call[0].at == 5 * MINUTE
    await pager.round()
    await pager.round(later=5)
    assert len(await pager._sent("alert_webhook")) == 2
    assert await pager.chats() == [CALLED]


async def acknowledge(session: Session, incident: Incident) -> None:
    assert await service.acknowledge(session, incident.id, "Ann in PagerDuty", alerting.tell)


async def test_an_acknowledgement_ends_it_and_a_reopening_begins_it_anew(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS)
    incident = await pager.opens()
    await pager.round()
    async with transaction(pager.book.engine) as session:
        await acknowledge(session, incident)
    await pager.round(later=30)
    assert await pager.mails() == [("ann", CALLED), ("ann", "alert.acknowledged")]
    await pager.ends()
    await pager.lookout.holds("no_worker")
    await pager.lookout.look()
    await pager.round()
    assert (await pager.mails())[3:] == [("ann", CALLED), ("ann", CALLED)]  # it is open again; she is called
    assert [one.name for one in (await pager.seen(incident)).callees.called] == ["Ann"]


async def test_who_takes_over_between_two_steps_is_called(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS)
    await pager.opens()
    await pager.round()
    await pager.stands_in("bob", "ann")
    await pager.round(later=1)
    await pager.round(later=1)
    assert await pager.mails() == [("ann", CALLED), ("bob", CALLED)]


async def test_a_step_is_passed_over_by_what_is_not_bad_enough(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS, steps=(replace(STEPS[0], least=Least.S1), STEPS[1]))
    incident = await pager.opens()
    await pager.round()
    assert await pager.mails() == []
    await pager.round(later=5)
    assert await pager.mails() == [("cyd", CALLED)]
    await pager.book.do("UPDATE incidents SET severity = 'S1' WHERE id = :id", id=incident.id)
    await pager.round()
    assert await pager.mails() == [("cyd", CALLED), ("ann", CALLED)]


async def test_a_step_of_which_nobody_is_on_duty_is_passed_over_at_once(pager: Pager) -> None:
    await pager.rota(shift("ann", 1, until=LONG_AGO), shift("cyd", 2))
    await pager.opens()
    await pager.round()
    assert await pager.mails() == [("cyd", CALLED)]


async def test_that_nobody_is_on_duty_is_an_incident_until_somebody_is(pager: Pager) -> None:
    await pager.rota(shift("ann", 1, until=LONG_AGO), shift("cyd", 2, until=LONG_AGO))
    await pager.channel()
    await pager.lookout.look()
    assert await pager.lookout.live() == []
    waiting = await pager.opens()
    await pager.round()
    await pager.lookout.look(thorough=False)
    missing = (await pager.lookout.all())[1]
    assert (missing.cause, missing.scope, missing.severity) == ("nobody_on_duty", "*", "S1")
    assert missing.evidence["incidents"] == [str(waiting.id)]
    assert (await pager.mails(), await pager.chats()) == ([], [CALLED, CALLED])
    await pager.stands_in("bob")
    await pager.round()
    assert await pager.mails() == [("bob", CALLED)]
    await pager.lookout.look()
    await pager.lookout.look(later=31)
    assert await pager.lookout.changes(missing) == ["opened", "eased", "resolved"]


async def test_nobody_is_missed_where_there_is_no_rota(pager: Pager) -> None:
    await pager.opens()
    await pager.round()
    await pager.lookout.look()
    assert (await pager.lookout.live(), await pager.mails()) == ([("no_worker", f"lane:{HERE}")], [])


async def test_nobody_is_missed_for_what_heals_by_itself(pager: Pager) -> None:
    await pager.rota(shift("ann", 1, until=LONG_AGO), shift("cyd", 2, until=LONG_AGO))
    await pager.book.start(await pager.lookout.worker("host-b", silent=9))
    for _ in range(2):
        await pager.lookout.look()
        await pager.round()
    assert await pager.lookout.live() == [("worker_lost", "host:host-b")]


async def test_without_mails_the_timeline_says_who_has_to_come(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS)
    incident = await pager.opens()
    await pager.round(mails=False)
    assert (await pager.mails(), await pager.lookout.changes(incident)) == ([], ["opened", "escalated"])


async def test_a_call_is_neither_lost_with_a_detector_nor_made_twice_by_two(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS)
    incident = await pager.opens()
    async with pager.book.engine.connect() as dies:
        assert await calling.attend(dies, incident.id, mails=True)
    assert await pager.mails() == []

    async def attend(engine: AsyncEngine) -> bool:
        async with transaction(engine) as session:
            return await calling.attend(session, incident.id, mails=True)

    assert sorted(await asyncio.gather(*(attend(pager.book.engine) for _ in range(3)))) == [False, False, True]
    assert await pager.mails() == [("ann", CALLED)]


async def test_one_that_fails_does_not_keep_another_from_being_called(
    pager: Pager, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pager.rota(*TWO_LEVELS)
    await pager.lookout.holds("no_worker", HERE, "bulk-small")
    await pager.book.accept(pager.book.request(), pager.book.request(priority="bulk"))
    await pager.lookout.look()
    first, _ = await pager.lookout.all()
    attend, pager.lookout.may_fail = calling.attend, True

    async def poisoned(session: Session, incident_id: UUID, **more: Any) -> bool:
        if incident_id == first.id:
            raise ValueError("broken")
        return await attend(session, incident_id, **more)

    monkeypatch.setattr(calling, "attend", poisoned)
    await pager.round()
    assert await pager.mails() == [("ann", CALLED)]


async def test_in_maintenance_ops_are_told_after_the_window_and_called_then(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS)
    await pager.channel()
    window = await pager.maintenance()
    incident = await pager.opens()
    for _ in range(2):
        await pager.round()
    assert (await pager.mails(), await pager.chats()) == ([], [])
    assert await pager.lookout.changes(incident) == ["opened", "silenced"]
    (_, silenced) = (await pager.seen(incident)).timeline
    assert silenced.change.data["window"] == str(window)
    await pager.over(window)
    for _ in range(3):
        await pager.round()
    assert (await pager.mails(), await pager.chats()) == ([("ann", CALLED)], [CALLED])
    assert await pager.lookout.changes(incident) == ["opened", "silenced", "announced", "escalated"]


async def test_what_begins_and_ends_in_maintenance_is_told_to_nobody(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS)
    await pager.channel()
    window = await pager.maintenance(*(lane.name for lane in LANES))
    incident = await pager.opens()
    async with transaction(pager.book.engine) as session:
        await acknowledge(session, incident)
    await pager.lookout.ends("no_worker")
    await pager.lookout.look()
    await pager.over(window)
    await pager.round()  # its cause is gone: that wakes nobody, though it is not over yet
    await pager.lookout.look(later=31)
    await pager.round()
    assert (await pager.lookout.live(), await pager.mails(), await pager.chats()) == ([], [], [])


async def test_what_ops_know_already_and_what_is_elsewhere_goes_on_in_maintenance(pager: Pager) -> None:
    await pager.rota(*TWO_LEVELS)
    await pager.channel()
    await pager.maintenance("bulk-huge")
    await pager.opens()
    await pager.round()
    await pager.maintenance()
    await pager.round(later=5)
    await pager.ends()
    assert await pager.chats() == [CALLED, "alert.resolved"]
    assert (await pager.mails())[:2] == [("ann", CALLED), ("cyd", CALLED)]
