"""What went wrong in two true stories, replayed on a running service: a scene for each row of what we have instead.

One is of a complaint centre, the other of a telephone company. That with the outage is in a file of its own.
"""

import re
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import pytest_asyncio

from ...integration.outbox.postbox import mailing
from ...integration.outbox.receiver import receiving
from ...integration.workers.crew import until
from .running import LARGE, NOTICES, QUICK, SMALL, Letters, Service, lane_of, service

pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

ANN, BOB, CYD, DAN = (f"{name}@ops.example" for name in ("ann", "bob", "cyd", "dan"))
FIVE_MINUTES = timedelta(minutes=5)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def letters() -> AsyncIterator[Letters]:
    async with mailing() as box:
        yield Letters(box)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(letters: Letters, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with service(tmp_path_factory.mktemp("stories"), letters.box) as told, told.small_hands():
        yield told


async def test_an_incident_notice_reaches_exactly_those_it_touches_and_a_status_page_stands_beside(
    told: Service, letters: Letters
) -> None:
    """The notice stood on the home page, where nobody it concerned would look."""
    async with receiving() as hook, receiving() as others_hook:
        touched, other, silent = [await told.another() for _ in range(3)]
        reached = await touched.reached_by(hook, letters, NOTICES)
        unconcerned = await other.reached_by(others_hook, letters, NOTICES)
        async with told.worker_for_all_gone():
            jobs = [await touched.submit(QUICK, "bulk") for _ in range(2)]
            without_address = await silent.submit(QUICK, "bulk")
            incident = await told.incident(lambda one: one["blast"]["jobs"] == 3, cause="no_worker", state="open")
            for customer, job_id in ((touched, jobs[0]), (touched, jobs[1]), (silent, without_address)):
                named = await customer.becomes(job_id, lambda job: job["incident"])
                assert named["incident"]["id"] == incident["id"]
            done = await other.succeeds(await other.submit(SMALL, "bulk"))
            assert done["incident"] is None
            await told.lasts()
            (opened,) = await reached.told(1)
            assert (opened["data"]["id"], opened["data"]["jobs"]["touched"]) == (incident["id"], 2)
            status = await held_up(told)
            assert (status["work"]["small"], len(status["incidents"])) == ("normal", 1)
            internals = {incident["scope"].removeprefix("lane:"), "no_worker", socket.gethostname(), "worker-1"}
            for said in (opened, status, named["incident"], reached.mails()[0].text):
                assert not internals & set(re.split(r"[^\w.-]+", str(said))), said
        for customer, job_id in ((touched, jobs[0]), (touched, jobs[1]), (silent, without_address)):
            assert (await customer.succeeds(job_id))["incident"] is None
        await is_over(told, incident["id"])
        (_, resolved) = await reached.told(2)
        assert (resolved["data"]["outcome"]["touched"], resolved["data"]["outcome"]["succeeded"]) == (2, 2)
        assert await unconcerned.written() == []


async def held_up(told: Service) -> Any:
    """Wait until anybody may read that larger work is held up."""
    seen: list[Any] = []
    async with httpx.AsyncClient(base_url=told.url) as anybody:

        async def says() -> bool:
            seen.append((await anybody.get("/status")).json())
            return "held_up" in seen[-1]["work"].values()

        await until(says, 20)
    return seen[-1]


async def is_over(told: Service, incident_id: str) -> None:
    """Have an incident whose cause is gone be over."""

    async def read() -> Any:
        return await told.ops.read(f"/v1/incidents/{incident_id}")

    async def eased() -> bool:
        found = await read()
        return found["quiet_since"] is not None or found["state"] == "resolved"

    async def resolved() -> bool:
        return bool((await read())["state"] == "resolved")

    await until(eased, 40)
    await told.holds_down()
    await until(resolved, 20)


async def test_an_escalation_goes_only_to_someone_on_duty_and_that_nobody_is_there_is_an_incident(
    told: Service, letters: Letters
) -> None:
    """The customer was handed over into the void: to a department that is closed at weekends."""
    await told.ops.ask("/v1/rota", rota(("bob", BOB, "America/Phoenix", False)), "PUT")
    async with told.worker_for_all_gone():
        job_id = await told.acme.submit(QUICK, "urgent")
        held = await told.incident(lambda _: True, cause="no_worker", state="open")
        missing = await told.incident(lambda _: True, cause="nobody_on_duty", state="open")
        assert (missing["scope"], missing["severity"]) == ("*", "S1")
        assert missing["evidence"]["incidents"] == [held["id"]]

        people = (
            ("bob", BOB, "America/Phoenix", False), ("ann", ANN, "Asia/Tokyo", True),
            ("cyd", CYD, "Asia/Kolkata", True), ("dan", DAN, "UTC", True),
        )  # fmt: skip
        await told.ops.ask("/v1/rota", rota(*people), "PUT")
        (call,) = await letters.wait_for(ANN, 1)
        assert call.subject.startswith("[S2] "), call
        assert letters.of(CYD) == []
        await passes(told, 2 * FIVE_MINUTES)
        (call,) = await letters.wait_for(CYD, 1)

        (link,) = re.findall(r"^Acknowledge: (\S+)$", call.text, re.MULTILINE)
        async with httpx.AsyncClient() as nobody:
            assert (await nobody.get(link)).status_code == 200  # as mail scanners do; it changes nothing
            assert [one["state"] for one in await told.incidents(cause="no_worker", state="open")] == ["open"]
            assert (await nobody.post(link)).is_success
        seen = await told.ops.read(f"/v1/incidents/{held['id']}")
        assert (seen["state"], seen["escalation"]["next"]) == ("acknowledged", None)
        await passes(told, 6 * FIVE_MINUTES)
    await told.acme.succeeds(job_id)
    for incident in (held, missing):
        await is_over(told, incident["id"])
    for person in (ANN, CYD):
        mails = await letters.wait_for(person, 3)
        assert [re.findall(r"acknowledged|resolved", one.subject) for one in mails] == [
            [],
            ["acknowledged"],
            ["resolved"],
        ]
    assert (letters.of(BOB), letters.of(DAN)) == ([], [])
    called = (await told.ops.read(f"/v1/incidents/{held['id']}"))["escalation"]["called"]
    assert [(one["person"], one["level"]) for one in called] == [("ann", 2), ("cyd", 3)]


def rota(*people: tuple[str, str, str, bool]) -> dict[str, Any]:
    """Put each on a level of their own, the first called first; they are on duty now by their own clock, or not."""
    return {
        "people": [{"id": name, "name": name.title(), "mail": mail} for name, mail, _, _ in people],
        "shifts": [
            {"people": [name], "zone": zone, "level": level, **hours(zone, now=now)}
            for level, (name, _, zone, now) in enumerate(people, 1)
        ],
        "steps": [
            {"after_minutes": after, "level": level} for level, after in enumerate((0, 5, 10, 15)[: len(people)], 1)
        ],
        "reason": "hours as people have them",
    }


def hours(zone: str, *, now: bool) -> dict[str, str]:
    here = datetime.now(ZoneInfo(zone))
    begins, ends = (here + timedelta(hours=hour) for hour in ((-2, 2) if now else (4, 8)))
    return {"begins": f"{begins:%H:%M}", "ends": f"{ends:%H:%M}"}


async def passes(told: Service, time: timedelta) -> None:
    """Let time pass, as far as calls are concerned."""
    await told.goes_by(incident_escalations__since=time, incident_calls__at=time)


async def test_maintenance_is_announced_moves_promises_before_it_starts_and_drains_instead_of_cutting_off(
    told: Service, letters: Letters
) -> None:
    """Service was cut off hours before the switch, without a warning."""
    async with receiving() as hook, receiving() as others_hook:
        customer, other = await told.another(), await told.another()
        reached = await customer.reached_by(hook, letters, ["maintenance.announced", "job.promise_moved"])
        unconcerned = await other.reached_by(others_hook, letters, ["maintenance.announced", "job.promise_moved"])
        jobs = [await customer.submit({**LARGE, "seconds": 12}) for _ in range(2)]
        for job_id in jobs:
            await customer.becomes(job_id, lambda job: job["state"] == "running")
        waiting = await customer.submit(QUICK)
        jobs = [*jobs, waiting]
        before = {job_id: await customer.job(job_id) for job_id in jobs}
        begins = min(moment(job["promise"]["due"]) for job in before.values()) - timedelta(minutes=1)
        length = timedelta(hours=1)
        plan = {
            "from": begins.isoformat(), "until": (begins + length).isoformat(),
            "lanes": sorted({lane_of(job) for job in before.values()}),
            "reason": "The disks are replaced.", "internal_reason": "DB-7", "drain": True, "shift_promises": True,
        }  # fmt: skip
        window = (await told.ops.ask("/v1/maintenance", plan))["window"]
        await hook.wait_for(4)
        messages = reached.calls()
        assert sorted(one["type"] for one in messages) == [*["job.promise_moved"] * 3, "maintenance.announced"]
        assert all(moment(one["timestamp"]) < begins for one in messages)
        assert "DB-7" not in str(messages)
        assert (await told.ops.read(f"/v1/maintenance/{window['id']}"))["window"]["stage"] == "planned"
        for job_id, job in before.items():
            due = (await customer.job(job_id))["promise"]["due"]
            assert moment(due) == moment(job["promise"]["due"]) + length

        passed = begins - datetime.now(UTC)
        await told.goes_by(maintenance__begins=passed, maintenance__ends=passed)
        held = await customer.becomes(waiting, lambda job: job["cause"] and job["cause"]["code"] == "paused")
        assert "The disks are replaced." in held["cause"]["message"]
        for job_id in jobs[:2]:
            done = await customer.succeeds(job_id)
            assert (done["attempt"], done["progress"]["done"]) == (1, 24)
        assert (await customer.job(waiting))["state"] == "queued"
        await told.ops.ask(f"/v1/maintenance/{window['id']}:end", {"reason": "All done."})
        assert (await customer.succeeds(waiting))["attempt"] == 1
        assert await reached.told(4) == messages
        assert await unconcerned.written() == []


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
