"""An event loop that hangs is told from a process that stood still as a whole, and goes on."""

from datetime import timedelta

from workers.heartbeat import LoopSigns

BEAT_S = 2.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def slept(signs: LoopSigns, clock: Clock, seconds: float) -> timedelta:
    """Sleep between two looks, in which the loop does not run; gives for how long it is called silent."""
    with signs.asleep():
        clock.now += seconds
    return signs.silent_for


def test_a_loop_is_silent_for_as_long_as_it_is_not_seen_while_others_look() -> None:
    clock = Clock()
    signs = LoopSigns(BEAT_S, clock)
    assert [slept(signs, clock, BEAT_S).total_seconds() for _ in range(5)] == [0, 2, 4, 6, 8]
    signs.seen()
    assert slept(signs, clock, BEAT_S) == timedelta(0)


def test_a_loop_is_not_to_blame_while_its_whole_process_stood_still() -> None:
    clock = Clock()
    signs = LoopSigns(BEAT_S, clock)
    assert slept(signs, clock, 60.0) == timedelta(0)
    assert [slept(signs, clock, BEAT_S).total_seconds() for _ in range(3)] == [0, 2, 4]
