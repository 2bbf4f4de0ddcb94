"""One drill from beginning to end: is all well, break it, watch, mend it, wait for the jobs, question them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from invoicing.cli.client import Service
from invoicing.cli.drill_measures import Measured, signs_of
from invoicing.cli.drill_promises import Drill
from invoicing.cli.drill_scenes import SCENES, Stage
from invoicing.cli.drill_signs import Lookout
from invoicing.cli.drill_site import Site
from invoicing.cli.drill_witnesses import PROBE, Witnesses
from invoicing.cli.faults import Fault
from invoicing.kit.embedded.process import wait_until

_WELL_WITHIN_S = 120.0
_PROBED_BEFORE_S = 1.0
_PROBED_AFTER_S = 3.0
_ALL_END_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.3

Tell = Callable[[str], None]
"""Is told what goes on just now."""


def conduct(site: Site, drill: Drill, asked_s: float | None, tell: Tell) -> Measured:
    """Conduct a drill, which ends with the service mended in any case; `asked_s` is how long an outage shall last."""
    with Service(site.url, site.ops_key) as ops, Witnesses(site) as witnesses, Lookout(site) as lookout:
        stage = Stage(site, ops, witnesses)
        tell("is all well?")
        _insist_on_health(stage)
        workers, lease_s = len(site.processes("worker")), site.lease_s()
        lasts_s = drill.lasts(asked_s, lease_s)
        with _probing(witnesses):
            tell("jobs of its own are accepted and begin")
            time.sleep(_PROBED_BEFORE_S)
            with SCENES[drill.name](stage) as blow:
                tell(blow.what)
                slowdown = _last(stage, lasts_s)
            healed_at = blow.at if lasts_s is None else time.time()
            tell("mended; waiting for what it held up")
            time.sleep(_PROBED_AFTER_S)
        _await_ends(witnesses)
        tell("asking every job what happened to it")
        seen, jobs = witnesses.question()
        signs = (*signs_of(seen, blow.at), *lookout.signs(blow.at))
        spared = frozenset(stage.spared)
        return Measured(blow, healed_at, drill.from_end, workers, lease_s, seen, signs, jobs, spared, slowdown)


def _insist_on_health(stage: Stage) -> None:
    """Break nothing that does not work: the drill would tell nothing, and might make things worse."""
    ours = {one.pid for one in stage.site.processes("worker")}
    first = stage.witnesses.ask(PROBE, held=False, priority="urgent")
    if not (
        wait_until(first.done, _WELL_WITHIN_S)
        and _soon(lambda: ours <= {one["pid"] for one in stage.workers()}, _WELL_WITHIN_S)
        and _soon(stage.witnesses.all_ended, _WELL_WITHIN_S)
    ):
        raise Fault("The service does not do its work as it is, so nothing was broken.", "`invoicing doctor` says why.")


@contextmanager
def _probing(witnesses: Witnesses) -> Iterator[None]:
    """Have probes submitted while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=witnesses.probe_until, args=(stop,), name="probing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _last(stage: Stage, lasts_s: float | None) -> float | None:
    """Leave it broken for a while; gives how many times slower the disk became, where that is what is broken."""
    until = time.monotonic() + (lasts_s or 0.0)
    slowdown = None
    if stage.slowdown is not None:
        time.sleep((lasts_s or 0.0) / 2)
        slowdown = stage.slowdown()
    time.sleep(max(0.0, until - time.monotonic()))
    return slowdown


def _await_ends(witnesses: Witnesses) -> None:
    """Wait until all jobs have ended; what has not by then is for the verdict."""
    _soon(witnesses.all_ended, _ALL_END_WITHIN_S)


def _soon(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait for what is asked of the service, not so often that the asking would be work for it."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True
