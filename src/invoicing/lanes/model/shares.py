"""Shares that a class or a priority gets at least while it waits; used or lost, never saved up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model.lane import LANES
from invoicing.lanes.model.policy import Policy

Group = Priority | Size

_REMEMBERED_S = 30.0
"""Service that a group can be owed, or be ahead, at most: the longest turn."""


@dataclass(frozen=True)
class Standing:
    """How matters stood, to go back to."""

    clock: float
    tags: Mapping[Group, float]


class Shares:
    """For each group with a share the service at which it is due again, on a clock of all service given.

    Lanes go by their place in `LANES`.
    """

    def __init__(self, policy: Policy) -> None:
        """Start with nobody owed anything."""
        given: list[tuple[Group, float]] = [*policy.size_share.items(), *policy.priority_share.items()]
        self._share = {group: share for group, share in given if share > 0}
        self._groups = [tuple(group for group in (lane.size, lane.priority) if group in self._share) for lane in LANES]
        """By the place of the lane."""
        self._tags = dict.fromkeys(self._share, 0.0)
        self._lanes = dict.fromkeys(self._share, 0)
        self._clock = 0.0
        self._bearable = {group: policy.quantum_s / share for group, share in self._share.items()}

    def arrive(self, lane: int) -> None:
        """Something waits in a lane that was empty: a group that was away begins at the present."""
        for group in self._groups[lane]:
            if self._lanes[group] == 0:
                self._tags[group] = max(self._tags[group], self._clock)
            self._lanes[group] += 1

    def leave(self, lane: int) -> None:
        """Nothing waits in a lane any more."""
        for group in self._groups[lane]:
            self._lanes[group] -= 1

    def charge(self, lane: int, seconds: float) -> None:
        """Count service given to a lane."""
        self._clock += seconds
        for group in self._groups[lane]:
            share = self._share[group]
            longest = _REMEMBERED_S / share
            tag = max(self._tags[group], self._clock - longest) + seconds / share
            self._tags[group] = min(tag, self._clock + longest)

    def owed(self, lanes: Sequence[int]) -> list[int]:
        """Choose, of lanes where something waits, those of the group that is owed most; none: nobody is owed."""
        owed = {group: self._owed(group) for lane in lanes for group in self._groups[lane]}
        most = max(owed, key=lambda group: owed[group], default=None)
        if most is None or owed[most] < 0:
            return []
        return [lane for lane in lanes if most in self._groups[lane]]

    def owes(self, lane: int) -> bool:
        """Whether a lane's class or priority has less than its share."""
        return any(self._owed(group) >= 0 for group in self._groups[lane])

    def _owed(self, group: Group) -> float:
        """Compute how much a group is behind its share beyond one quantum: nobody comes first for less."""
        return (self._clock - self._tags[group] - self._bearable[group]) * self._share[group]

    def standing(self) -> Standing:
        """Give how matters stand."""
        return Standing(self._clock, dict(self._tags))

    def restore(self, standing: Standing) -> None:
        """Go back to how matters stood."""
        self._clock = standing.clock
        self._tags.update(standing.tags)
