"""A loop that hangs, or whose rounds all fail, is told from one that is merely slow."""

import pytest

from workers.pulse import DONE, FAILED, Pulses


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("period_s", "patience_s"), [(1.0, 60.0), (12.0, 60.0), (60.0, 300.0), (3600.0, 18_000.0)])
def test_a_loop_is_late_after_several_of_its_own_periods_and_never_for_one_slow_statement(
    period_s: float, patience_s: float
) -> None:
    clock = Clock()
    pulses = Pulses(clock)
    pulse = pulses.of("look", period_s)
    clock.now += patience_s
    assert pulses.late() == []
    clock.now += 0.1
    assert pulses.late() == ["look"]
    with pulse.round():
        pass
    assert pulses.late() == []


def test_a_round_that_fails_is_counted_and_is_no_sign_of_life() -> None:
    clock = Clock()
    pulses = Pulses(clock)
    pulse = pulses.of("look", 1.0)
    clock.now += 61
    with pytest.raises(OSError, match="away"), pulse.round():
        raise OSError("away")
    assert pulses.late() == ["look"]
    assert (pulse.rounds[FAILED], pulse.rounds[DONE], pulse.age_s) == (1, 0, 61.0)


def test_a_long_round_that_gets_on_is_not_late() -> None:
    clock = Clock()
    pulses = Pulses(clock)
    pulses.of("sweep", 1.0)
    for _ in range(10):
        clock.now += 50
        pulses.of("sweep", 1.0).get_on()
    assert pulses.late() == []
