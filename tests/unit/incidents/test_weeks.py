"""Some hours of the simulated weeks that `python -m benchmarks weeks` plays: the same code, with less traffic."""

from collections import Counter

import pytest

from invoicing.incidents.model import aftermath, findings
from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.incident import Severity

from .faults import PLANTED
from .weeks import Planted, flapping, healthy, judged, outage, seeded
from .world import World

HOUR_S = 3_600.0
RARELY = 0.01
LONG_S = 660.0
PAGES = frozenset({Severity.S1, Severity.S2, Severity.S3})


def test_nobody_is_told_of_anything_while_all_is_well_and_workers_are_replaced() -> None:
    world = healthy(0.5, 3, RARELY)
    world.run(13 * HOUR_S)
    assert world.ended > 400
    assert world.opened == []


def test_each_cause_is_found_once_and_is_over_by_itself() -> None:
    world, planted = played(*PLANTED)
    assert {one.cause for one in planted} == set(PLANTED)
    verdict = judged(world, planted)
    assert (verdict.missed, verdict.false, verdict.left) == ([], [], 0)


def test_a_rule_that_is_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "claimable", lambda held, _runways: held)
    monkeypatch.setattr(findings, "of_quarantine", lambda _quarantines: iter(()))
    verdict = judged(*played(Cause.POISON, Cause.NO_CAPABLE_WORKER))
    assert [one.cause for one in verdict.missed] == [Cause.POISON]
    assert Counter(one.cause for one in verdict.false) == {Cause.UNDELIVERED: 1}


def test_what_comes_and_goes_is_told_at_most_twice() -> None:
    assert 1 <= flapping() <= 2


@pytest.mark.parametrize("killed", [False, True], ids=["workers leave", "workers are killed"])
def test_an_outage_that_breaks_many_promises_is_told_once(*, killed: bool) -> None:
    world = outage(LONG_S, killed=killed)
    assert [(one.cause, one.scope) for one in world.opened if one.cause is not Cause.WORKER_LOST] == [
        (Cause.NO_WORKER, EVERYWHERE)
    ]
    assert [one.cause for one in world.incidents.values() if one.severity in PAGES] == [Cause.NO_WORKER]
    assert (world.live, world.waiting) == ([], [])


def test_it_is_told_again_where_promises_are_not_charged_to_what_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aftermath, "explains", lambda _span, _late, _now: False)
    assert Cause.PROMISES_MISSED in {one.cause for one in outage(LONG_S, killed=False).opened}


def played(*causes: Cause) -> tuple[World, list[Planted]]:
    """Play an hour for each cause, and one more."""
    world, planted = seeded(len(causes) / 24, causes, 4, most_s=100.0, per_s=RARELY)
    world.run((len(causes) + 1) * HOUR_S)
    return world, planted
