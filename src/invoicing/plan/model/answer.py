"""The answer: today and what if side by side, which promises are kept, and the fewest slots that keep them."""

from collections.abc import Sequence
from dataclasses import dataclass

from invoicing.plan.model.report import Report
from invoicing.plan.model.scenario import Kept, Promise, Scenario
from invoicing.plan.model.search import Found, fewest_slots

TODAY = "today"
WHAT_IF = "what if"


@dataclass(frozen=True)
class Asked:
    """A scenario under the name that it is told by, and what is changed in it."""

    name: str
    says: tuple[str, ...]
    scenario: Scenario


@dataclass(frozen=True)
class Told:
    """What a scenario showed, and which promises were kept there."""

    asked: Asked
    report: Report
    kept: tuple[Kept, ...]


@dataclass(frozen=True)
class Answer:
    """What the scenarios showed; `fewest` answers for the last of them, and is None where even the most do not do."""

    told: tuple[Told, ...]
    promises: tuple[Promise, ...]
    fewest: Found | None


def answer(asked: Sequence[Asked], promises: Sequence[Promise], most_slots: int) -> Answer:
    """Simulate what was asked; the search for slots is made only where something is promised."""
    told = tuple(
        Told(one, one.scenario.report(), tuple(one.scenario.kept(promise) for promise in promises)) for one in asked
    )
    found = fewest_slots(asked[-1].scenario, promises, most_slots) if promises else None
    return Answer(told, tuple(promises), found)
