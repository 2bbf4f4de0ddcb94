"""What a worker offers at present: its slots and the policy that holds for its host; both may change while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from invoicing.jobs.model import Size
from invoicing.lanes.model import POLICY, SIZES, Left, Policy, left_of, quotas

ASIDE = 2
"""Packs that may be set aside at once, for each slot: each of them holds the memory of a child."""

OUTLIVED = 1
"""As many more, for each slot and spare slot, that outlived their class: whatever is aside, a small slot comes back."""

OVERRUN = 1.5
"""A job may take this many times its class's limit before it is re-classed: noise must not move jobs about."""


@dataclass
class Terms:
    """Shared by all that runs in one worker; written by whoever reads the policies."""

    slots: int
    policy: Policy = POLICY

    def left(self, running: Mapping[Size, int], packs: int) -> Left:
        """How many more packs of each class or larger may start, given those that hold slots and how many there are."""
        room = self.children + self.most_aside(outlived=True) - packs
        left = left_of(quotas(self.slots, self.policy), running)
        return {size: min(left[size], room) for size in SIZES}

    def over(self, running: Mapping[Size, int]) -> dict[Size, int]:
        """How many of each class or larger are too many: they turned out larger than they were taken for."""
        left = left_of(quotas(self.slots, self.policy), running)
        return {size: -left[size] for size in SIZES if left[size] < 0}

    def overrun_s(self, size: Size, *, asked: bool = False) -> float | None:
        """How long a job of a class may work before it is re-classed (seconds); None: as long as it takes.

        One that was asked to give way has had its turn: what it is known to be is decided without further patience.
        """
        limit = self.policy.cutoffs.limit(size)
        return None if limit is None else limit * (1.0 if asked else OVERRUN)

    def most_aside(self, *, outlived: bool) -> int:
        """How many packs may be set aside before one that did outlive its class is, or one that did not."""
        return self.slots * ASIDE + (self.children * OUTLIVED if outlived else 0)

    @property
    def children(self) -> int:
        """How many children are wanted at any time."""
        return self.slots + self.policy.spare
