"""Ops see and change how slots are shared, live: what is wrong is named, what was set says by whom and why."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from invoicing.jobs.model import Size
from invoicing.kit.db import transaction
from invoicing.lanes import service as lanes
from invoicing.lanes.model import BY_NAME, POLICY
from invoicing.lanes.policies import CHANGED, all_policies, policy_for

from .hearing import hearing

PATH = "/v1/scheduling"


async def change(client: Any, changes: Any, **more: Any) -> Any:
    return await client.patch(PATH, json={"changes": changes, "reason": "Month's end.", **more})


async def add_worker(service: Any, host: str = "host-1", slots: int = 8) -> None:
    async with transaction(service.engine) as session:
        await lanes.register(session, uuid4(), host, 1, "0.1", slots, list(BY_NAME), ["drill"])
        await session.execute(text("UPDATE workers SET beat_at = now() + interval '1 h'"))


async def test_what_holds_is_shown_with_its_workers(service: Any) -> None:
    await add_worker(service)
    told = (await service.ops.get(PATH)).json()
    assert told["effective"]["cutoffs"] == {"small_s": 1.0, "medium_s": 30.0, "large_s": 900.0}
    assert told["effective"]["delays_s"]["urgent"]["small"] == 0.0
    assert (told["overrides"], told["hosts"], told["learned"]) == ([], {}, {})
    (worker,) = told["workers"]
    assert (worker["host"], worker["slots"]) == ("host-1", 8)
    assert worker["quotas"] == told["quotas"] == {"small": 9, "medium": 7, "large": 6, "huge": 5}


async def test_a_change_holds_at_once_and_says_who_and_why(service: Any) -> None:
    await add_worker(service)
    told = await change(service.ops, {"spare": 3, "cutoffs": {"small_s": 0.5}})
    assert told.status_code == 200, told.text
    (override,) = told.json()["overrides"]
    assert (override["settings"], override["by"], override["reason"]) == (
        {"spare": 3, "cutoffs": {"small_s": 0.5}}, "ops:ops", "Month's end.",
    )  # fmt: skip
    assert told.json()["quotas"]["small"] == 11
    async with service.engine.connect() as session:
        policy = await policy_for(session)
        assert (policy.spare, policy.cutoffs.small_s, policy.cutoffs.medium_s) == (3, 0.5, 30.0)
        entry = (await session.execute(text("SELECT * FROM audit_entries WHERE act = 'scheduling.changed'"))).one()
    assert (entry.actor, entry.reason, entry.data) == (
        "ops:ops", "Month's end.", {"changes": {"spare": 3, "cutoffs": {"small_s": 0.5}}},
    )  # fmt: skip


async def test_taking_a_setting_back_brings_the_default_and_leaves_the_others(service: Any) -> None:
    await change(service.ops, {"spare": 3, "cutoffs": {"small_s": 0.5, "medium_s": 20}})
    told = await service.ops.delete(f"{PATH}/cutoffs.small_s", params={"reason": "Over."})
    assert told.status_code == 200, told.text
    assert told.json()["overrides"][0]["settings"] == {"spare": 3, "cutoffs": {"medium_s": 20}}
    assert told.json()["effective"]["cutoffs"]["small_s"] == 1.0
    assert (await change(service.ops, {"spare": None, "cutoffs": None})).json()["overrides"] == []


async def test_a_host_has_settings_of_its_own(service: Any) -> None:
    await add_worker(service, "host-1")
    await add_worker(service, "host-2")
    told = (await change(service.ops, {"slots": 4, "reserve": {"huge": 0.9}}, host="host-2")).json()
    assert told["effective"]["reserve"]["huge"] == 0.375
    assert (told["hosts"]["host-2"]["slots"], told["hosts"]["host-2"]["reserve"]["huge"]) == (4, 0.9)
    huge = {worker["host"]: worker["quotas"]["huge"] for worker in told["workers"]}
    assert huge == {"host-1": 5, "host-2": 1}
    async with service.engine.connect() as session:
        policies = await all_policies(session)
    assert (policies.slots("host-2"), policies.slots("host-1")) == (4, None)
    assert policies.of("host-2").reserve[Size.HUGE] == 0.9
    assert policies.of("host-1") == POLICY


async def test_what_people_set_stands_above_what_was_learned(service: Any) -> None:
    async with transaction(service.engine) as session:
        learned = '{"small_s": 0.7, "medium_s": 50, "large_s": 1000}'
        await session.execute(
            text("INSERT INTO learning (name, state) VALUES ('cutoffs', CAST(:state AS jsonb))"), {"state": learned}
        )
    assert (await service.ops.get(PATH)).json()["effective"]["cutoffs"]["small_s"] == 0.7
    pinned = (await change(service.ops, {"cutoffs": {"small_s": 2}})).json()
    assert pinned["effective"]["cutoffs"] == {"small_s": 2, "medium_s": 50, "large_s": 1000}
    assert pinned["learned"]["small_s"] == 0.7


@pytest.mark.parametrize(
    ("changes", "host", "field"),
    [
        ({"speed": 1}, None, "/changes/speed"),
        ({"spare": 1.5}, None, "/changes/spare"),
        ({"spare": True}, None, "/changes/spare"),
        ({"spare": -1}, None, "/changes/spare"),
        ({"reserve": 0.5}, None, "/changes/reserve"),
        ({"reserve": {"enormous": 0.5}}, None, "/changes/reserve/enormous"),
        ({"reserve": {"large": 0.01}}, None, "/changes/reserve"),
        ({"cutoffs": {"small_s": 60}}, None, "/changes/cutoffs"),
        ({"delays_s": {"urgent": {"small": "soon"}}}, None, "/changes/delays_s/urgent/small"),
        ({"slots": 4}, None, "/changes/slots"),
        ({"slots": 0}, "host-1", "/changes/slots"),
        ({"cutoffs": {"small_s": 2}}, "host-1", "/changes/cutoffs"),
        ({}, None, "/changes"),
    ],
)
async def test_what_makes_no_sense_is_named_and_changes_nothing(
    service: Any, changes: Any, host: str | None, field: str
) -> None:
    answer = await change(service.ops, changes, **({"host": host} if host else {}))
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert answer.json()["remedy"] or changes == {}
    assert (await service.ops.get(PATH)).json()["overrides"] == []


async def test_a_change_of_the_fleet_that_a_hosts_settings_contradict_is_refused(service: Any) -> None:
    assert (await change(service.ops, {"reserve": {"medium": 0.24}}, host="host-1")).status_code == 200
    answer = await change(service.ops, {"reserve": {"large": 0.2}})
    assert answer.status_code == 422
    assert "host:host-1" in answer.json()["detail"]


async def test_everybody_whom_it_concerns_is_told_with_the_commit(service: Any) -> None:
    async with hearing(service.engine, [CHANGED, "invoicing_backlog"]) as heard:
        await change(service.ops, {"spare": 2})
        await change(service.ops, {"spare": 99})
        await change(service.ops, {"slots": 2}, host="host-1")
    assert [one for one in heard if one[0] == CHANGED] == [(CHANGED, "fleet"), (CHANGED, "host:host-1")]
    assert ("invoicing_backlog", "") in heard


async def test_settings_of_another_build_do_not_stop_this_one(service: Any) -> None:
    async with transaction(service.engine) as session:
        settings = '{"warp": 9, "spare": "many", "quantum_s": 0.5, "reserve": [1]}'
        await session.execute(
            text("INSERT INTO policies (scope, settings, by, reason) VALUES ('fleet', CAST(:s AS jsonb), 'x', 'x')"),
            {"s": settings},
        )
    async with service.engine.connect() as session:
        policy = await policy_for(session)
    assert (policy.quantum_s, policy.spare, policy.reserve) == (0.5, POLICY.spare, POLICY.reserve)
