"""Some hours of the simulated weeks that `python -m benchmarks weeks` plays: the same code, with less traffic."""

from collections import Counter

import pytest

from invoicing.incidents.model import findings
from invoicing.incidents.model.causes import Cause

from .faults import PLANTED
from .weeks import Planted, flapping, healthy, judged, seeded
from .world import World

HOUR_S = 3_600.0
RARELY = 0.01


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


def played(*causes: Cause) -> tuple[World, list[Planted]]:
    """Play an hour for each cause, and one more."""
    world, planted = seeded(len(causes) / 24, causes, 4, most_s=100.0, per_s=RARELY)
    world.run((len(causes) + 1) * HOUR_S)
    return world, planted
