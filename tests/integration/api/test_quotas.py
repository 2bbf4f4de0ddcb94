"""Jobs beyond a quota wait for a place, counted exactly, and go in order when there is one."""

import asyncio
from datetime import timedelta

import pytest

from invoicing.jobs.model.holds import Period, period_start
from workers.usher import Usher

from .conftest import Service
from .holding import LARGE, SMALL, WHY, act, events, moment, seen, set_quota, set_review
from .test_commands import run


async def test_a_job_beyond_the_quota_is_accepted_and_says_when_it_begins_anew(service: Service) -> None:
    assert (await set_quota(service)).is_success
    first, again = await service.acme.submit(SMALL, "once"), await service.acme.submit(SMALL, "once")
    assert first.json()["id"] == again.json()["id"]
    await service.acme.job(SMALL)
    third, fourth, fifth = [await service.acme.job(SMALL) for _ in range(3)]
    cause, evidence = third["cause"], third["cause"]["evidence"]
    assert (third["state"], cause["code"]) == ("queued", "awaiting_quota")
    assert (evidence["limit"], evidence["used"], evidence["period"], evidence["ahead"]) == (2, 2, "month", 0)
    next_month = period_start(Period.MONTH, "Asia/Shanghai", moment(third["submitted_at"]), 1)
    assert moment(evidence["resets_at"]) == moment(evidence["turn_at"]) == next_month
    assert moment(third["promise"]["due"]) > next_month
    assert third["promise"]["status"] == "on_track"
    asked = await service.acme.get(f"/v1/jobs/{third['id']}")
    assert int(asked.headers["Retry-After"]) == 30, "nobody need ask about what waits for days every other second"
    assert moment(fifth["cause"]["evidence"]["turn_at"]) > next_month == moment(fourth["cause"]["evidence"]["turn_at"])
    assert "with 2 of your jobs waiting before this one" in fifth["cause"]["message"]
    why = (await service.acme.get(f"/v1/jobs/{third['id']}/why")).json()
    assert why["causes"][0]["code"] == "awaiting_quota"
    assert "larger quota" in why["causes"][0]["who"]
    assert len(why["causes"]) == 1
    assert set(why["account"]["totals"]) <= {"awaiting_quota"}
    assert (await service.other.job(SMALL))["cause"]["code"] == "starting"
    for verb in ("expedite", "move"):
        sent = {**WHY, **({"priority": "urgent"} if verb == "move" else {})}
        refused = await service.support.post(f"/v1/support/jobs/{third['id']}:{verb}", json=sent)
        assert (refused.status_code, "quota" in refused.json()["detail"]) == (409, True)
    (listed,) = (await service.admin.get("/v1/admin/quotas")).json()["items"]
    assert (listed["used"], listed["waiting"], listed["kind"]) == (2, 3, None)


async def test_an_estimate_says_what_would_hold_the_job(service: Service) -> None:
    await set_review(service)
    await set_quota(service, most=1)
    for seconds, code in ((100, "in_review"), (1, "starting"), (1, "awaiting_quota")):
        body = {"payload": {"seconds": seconds}}
        estimated = (await service.acme.post("/v1/kinds/drill:estimate", json=body)).json()
        job = await service.acme.job({"kind": "drill", **body})
        assert (estimated["cause"]["code"], job["cause"]["code"]) in {(code, code), ("no_worker", code)}
        promised = moment(job["promise"]["due"]) - moment(estimated["promise"]["due"])
        assert abs(promised) < timedelta(minutes=1)


async def test_a_raised_quota_lets_the_oldest_go_at_once(service: Service) -> None:
    await set_quota(service, most=1)
    placed, second, third = [await service.acme.job(SMALL) for _ in range(3)]
    raised = (await set_quota(service, most=2)).json()
    assert (raised["let_go"], raised["used"], raised["waiting"]) == (1, 2, 1)
    assert (await seen(service, second))["cause"]["code"] != "awaiting_quota"
    assert await events(service, second) == [("accepted", "queued"), ("admitted", "queued")]
    assert (await seen(service, third))["cause"]["code"] == "awaiting_quota"
    await service.hand.finish(second["id"])
    parts = (await service.acme.get(f"/v1/jobs/{second['id']}/why")).json()["account"]
    assert parts["totals"]["awaiting_quota"] > 0
    assert (await service.acme.post(f"/v1/jobs/{placed['id']}:cancel")).is_success
    assert await Usher(service.engine).round() == 1
    assert (await seen(service, third))["cause"]["code"] != "awaiting_quota"
    assert (await set_quota(service, most=None)).json()["most"] is None
    assert (await service.admin.get("/v1/admin/quotas")).json()["items"] == []


async def test_a_released_review_still_needs_a_place_in_the_quota(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await set_review(service)
    await set_quota(service, most=1)
    large = await service.acme.job(LARGE)
    for _ in range(2):
        await service.acme.job(SMALL)
    assert await run(service, service.support, "jobs", "release", large["id"], "--reason", "ordered", "--dry-run") == 0
    preview = capsys.readouterr().out
    assert "with 1 of your jobs waiting" in " ".join(preview.split()), "whoever releases it sees what comes next"
    assert (await act(service.support, large, "release")).json()["after"]["state"] == "queued"
    held = await seen(service, large)
    assert (held["state"], held["cause"]["code"]) == ("queued", "awaiting_quota")
    assert moment(held["cause"]["evidence"]["turn_at"]) > moment(held["promise"]["due"])
    assert held["promise"]["status"] == "at_risk", "its turn comes behind what it was promised"
    await set_quota(service, most=3)
    told = [("accepted", "in_review"), ("released", "queued"), ("admitted", "queued")]
    assert await events(service, large) == told
    await service.hand.finish(large["id"])
    account = (await service.acme.get(f"/v1/jobs/{large['id']}/why")).json()["account"]
    assert {"in_review", "awaiting_quota"} <= set(account["totals"])


async def test_a_quota_of_a_kind_counts_its_jobs_instead_of_that_of_all(service: Service) -> None:
    await set_quota(service, most=1)
    await set_quota(service, most=2, kind="drill")
    jobs = [await service.acme.job(SMALL) for _ in range(3)]
    assert [job["cause"]["code"] for job in jobs] == ["starting", "starting", "awaiting_quota"]
    counted = {one["kind"]: one["used"] for one in (await service.admin.get("/v1/admin/quotas")).json()["items"]}
    assert counted == {None: 0, "drill": 2}


async def test_many_at_once_share_the_places_exactly(service: Service) -> None:
    await set_quota(service, most=7)
    jobs = await asyncio.gather(*(service.acme.job(SMALL, key=f"k-{n % 30}") for n in range(60)))
    assert len({job["id"] for job in jobs}) == 30
    (quota,) = (await service.admin.get("/v1/admin/quotas")).json()["items"]
    assert (quota["used"], quota["waiting"]) == (7, 23)
