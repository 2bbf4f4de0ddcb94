"""Random situations in which something was made to be the matter; what is expected follows from what was built alone.

A scene starts as a healthy one, and one or two things are made wrong (or right) in it. Which of the two is shown first
is written down in `SHOWN_FIRST` by hand, and asks no rule.
"""

from dataclasses import dataclass
from random import Random

from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.facts import Facts

from .plants import KITS
from .scenes import unrelated

SHOWN_FIRST = (
    "in review", "awaiting quota", "paused itself", "let go", "scheduled", "dependency down", "timed", "no worker",
    "no capable worker", "loops blocked", "undelivered", "customer limit", "saturated", "starting", "not handed out",
    "worker lost", "loop blocked", "cancel pending", "no progress", "slower than normal", "running normally",
    "died of it", "not told",
)  # fmt: skip
"""What stops a job altogether before what slows it. Of what ends at a known time, the last to end is shown."""

_TIMED = ("scheduled", "timed")


@dataclass(frozen=True)
class Planted:
    """A scene, what was planted in it, and what has to be shown."""

    facts: Facts
    names: tuple[Code, ...]
    expected: Code


def planted(seed: int) -> Planted:
    """Build one situation; the same seed builds the same."""
    chance = Random(seed)
    kit, bare = chance.choices(KITS, weights=(5, 4, 1))[0]
    first = chance.choice(kit)
    others = [one for one in kit if not one.touches & first.touches]
    chosen = [first, *([chance.choice(others)] if others and chance.random() < 0.6 else [])]
    scene = bare(chance)
    for plant in chosen:
        plant.build(scene)
    unrelated(scene)
    foremost = min(chosen, key=lambda plant: SHOWN_FIRST.index(plant.name) if plant.name else len(SHOWN_FIRST))
    timed = scene.timed if foremost.name in _TIMED else None
    return Planted(scene.facts(), tuple(plant.code for plant in chosen), timed or foremost.code)
