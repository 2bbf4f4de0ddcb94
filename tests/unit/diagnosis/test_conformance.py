"""Why a job has not started, as its customer is told, is what the dispatcher acts on: the same rules, asked twice."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import pytest

from invoicing.diagnosis.model import facts, waiting
from invoicing.jobs.model import Size
from invoicing.lanes.model import POLICY, Policy, Worker, held, room
from invoicing.lanes.model.room import Capacity

from . import conformance

SITUATIONS = 250


def test_the_explanation_is_what_the_dispatcher_does() -> None:
    assert conformance.found(SITUATIONS) == []
    blocked = [
        code
        for given in map(conformance.situation, range(SITUATIONS))
        for job in given.jobs
        for code in conformance.blocked_by(given, job) or {"none"}
    ]
    assert {*conformance.BLOCKS, "none"} == set(blocked)
    assert min(map(blocked.count, set(blocked))) > SITUATIONS / 10


def never(*_: Any) -> bool:
    return False


def nothing(*_: Any) -> None:
    pass


def one_more(cap: int | None, under_way: int) -> bool:
    return cap is not None and under_way > cap


def of_nothing_running(capacity: Capacity, _: Iterable[tuple[UUID | None, Size]]) -> Mapping[Size, int]:
    return capacity.idle


def by_the_usual_policy(workers: Iterable[tuple[Worker, int, Policy]]) -> Capacity:
    return room.capacity((one, slots, POLICY) for one, slots, _ in workers)


def bound_by_nothing(*_: Any) -> Mapping[Any, int]:
    return {}


@pytest.mark.parametrize(
    ("where", "rule", "other"),
    [
        (facts, "holds_back", never),
        (waiting, "at_limit", one_more),
        (facts, "first_shut", never),
        (held, "first_shut", nothing),
        (facts, "free", of_nothing_running),
        (facts, "capacity", by_the_usual_policy),
        (conformance, "holds_back", never),
        (conformance, "room_to_try", bound_by_nothing),
        (conformance, "lane_bounds", bound_by_nothing),
        (conformance, "capacity", by_the_usual_policy),
    ],
    ids=[
        "pause", "cap", "needs", "dispatcher's needs", "slots", "quotas", "dispatcher's pause", "dispatcher's breakers",
        "dispatcher's lanes", "dispatcher's quotas",
    ],
)  # fmt: skip
def test_a_rule_that_differs_on_one_side_alone_is_seen(
    monkeypatch: pytest.MonkeyPatch, where: Any, rule: str, other: Any
) -> None:
    monkeypatch.setattr(where, rule, other)
    assert conformance.found(SITUATIONS // 5)
