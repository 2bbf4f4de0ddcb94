"""The runs of a scenario on several cores at once: each is a simulation of its own."""

import copyreg
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from types import MappingProxyType

from invoicing.lanes.model import Policy
from invoicing.plan.model.door import Admission
from invoicing.plan.model.scenario import Simulations, in_turn
from invoicing.plan.model.simulation import simulate
from invoicing.plan.model.work import Fleet, Outcome, Work


def _as_dict(view: "MappingProxyType[object, object]") -> tuple[type, tuple[dict[object, object]]]:
    return dict, (dict(view),)


# the defaults of a policy are read-only views, which Python does not know how to send to another process
copyreg.pickle(MappingProxyType, _as_dict)


@contextmanager
def on_cores(runs: int) -> Iterator[Simulations]:
    """Give the function that simulates so many runs at a time, as far as there are cores; the results are the same."""
    many = min(runs, os.cpu_count() or 1)
    if many == 1:
        yield in_turn
        return
    # not forked from here: a thread of this process may hold a lock (the display has one)
    with ProcessPoolExecutor(many, mp_context=get_context("forkserver")) as processes:

        def each(
            loads: Sequence[Sequence[Work]], fleet: Fleet, policy: Policy, admission: Admission | None
        ) -> Sequence[Outcome]:
            one = partial(simulate, fleet=fleet, policy=policy, admission=admission)
            return list(processes.map(one, loads))

        yield each
