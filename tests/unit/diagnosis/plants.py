"""What can be made to be the matter in a scene. Each touches certain sides of it, so that no two undo each other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.facts import Attempt, Ticket, Undelivered
from invoicing.jobs.model import Priority, Size, State
from invoicing.jobs.model.holds import REJECTED, SECONDS, AwaitingQuota, InReview, JobPause, Period, Quota, period_start
from invoicing.lanes.model import LANES, Lane, Pause
from invoicing.lanes.model.line import Ahead

from .scenes import Scene, ended_scene, known, running_scene, waiting_scene
from .situations import CUSTOMER, GATE, NOW, STRANGER, ago, down, worker


@dataclass(frozen=True)
class Plant:
    """Something that is made to be the matter."""

    name: str
    """As in `SHOWN_FIRST`."""
    code: Code
    touches: frozenset[str]
    build: Callable[[Scene], None]


# --- a job that waits


def _in_review(scene: Scene) -> None:
    """Let a person look at it first, because of its amount or its size; perhaps for too long already."""
    scene.job = replace(scene.job, state=State.IN_REVIEW)
    measure, due = scene.chance.choice((SECONDS, "CNY")), ago(scene.between(-9_000, 9_000))
    review = InReview(scene.job.submitted_at, due, measure, Decimal("10.5"), Decimal("12000.00"))
    scene.hold = scene.chance.choice((review, review, None))


def _awaiting_quota(scene: Scene) -> None:
    """Let its customer's quota be used up, by jobs that wait before it too, or have a place for it this moment."""
    scene.job = replace(scene.job, held=True, attempt=0, started_at=None, released_at=None)
    scene.attempt = None
    most, ahead = scene.chance.randint(1, 50), scene.chance.choice((0, 0, scene.chance.randint(1, 1_000)))
    begun = period_start(Period.DAY, "Asia/Shanghai", NOW)
    used = scene.chance.choice((most, most, most - 1))
    quota = Quota(scene.id(), CUSTOMER, "drill", most, Period.DAY, "Asia/Shanghai", begun, used, ahead + 1)
    scene.hold = AwaitingQuota(scene.job.submitted_at, quota, ahead, at_least=ahead == 1_000)


def _paused_itself(scene: Scene) -> None:
    """Let our staff have stopped it alone, perhaps up to this moment, before its first attempt or after others."""
    state = scene.chance.choice((State.QUEUED, State.RETRYING))
    scene.job = replace(scene.job, held=True, released_at=None, state=state)
    until, message = ago(scene.between(-9_000, 1)), scene.chance.choice((None, "It moves."))
    scene.hold = JobPause(ago(scene.between(2, 99)), until, "support", message)


def _let_go(scene: Scene) -> None:
    """Let what held it have ended after it was read."""
    scene.job = replace(scene.job, held=True, released_at=None)


def _scheduled(scene: Scene) -> None:
    due = ago(-scene.between(0.1, 9_000))
    scene.job = replace(scene.job, due_at=due)
    scene.until(Code.SCHEDULED, due)


def _retry_backoff(scene: Scene) -> None:
    due, waited = ago(-scene.between(0.1, 600)), (NOW - scene.job.submitted_at).total_seconds()
    failed = waited / 2
    error = scene.chance.choice(({"code": "drill_failed", "message": "No."}, {"code": "worker_lost"}, None))
    past: dict[str, Any] = {
        "state": State.RETRYING,
        "attempt": 2,
        "failures": 1,
        "started_at": ago(waited - 1),
        "revision": 5,
    }
    scene.job = replace(scene.job, due_at=due, error=error, **past)
    scene.attempt = Attempt(ago(failed + 1), ago(failed), 1, 0)
    scene.until(Code.RETRY_BACKOFF, due)


def _dependency_down(scene: Scene) -> None:
    """Let something be down that the job needs, alone or with others; perhaps another job tries it this moment."""
    scene.job = replace(scene.job, needs=scene.chance.choice((GATE, f"archive {GATE}", f"{GATE} vault")))
    since = scene.between(0.1, 9_000)
    trying = {"trying": True, "tried_at": ago(min(since, 3)), "job_id": scene.id(), "attempt": 1}
    scene.breakers[GATE] = down(since, scene.between(-60, 120), **scene.chance.choice(({}, trying)))


def _paused(scene: Scene) -> None:
    until = ago(-scene.between(0.1, 9_000))
    scene.pauses[scene.lane.name] = Pause(scene.lane.name, ago(scene.between(0, 99)), until, "It moves.", "Somebody")
    scene.until(Code.PAUSED, until)


def _no_worker(scene: Scene) -> None:
    """Let everybody who served the lane be silent, be stopping, serve other lanes, or never have been there."""
    other = next(lane for lane in LANES if lane != scene.lane)
    silent = {"beat_at": ago(scene.between(9, 600)), "loop_beat_at": ago(700), "alive": False}
    gone = ({**silent}, {"stopping": True}, {"lanes": (other.name,)})
    scene.workers = [replace(one, **scene.chance.choice(gone)) for one in scene.workers]
    if scene.chance.random() < 0.3:
        scene.workers.clear()


def _no_capable_worker(scene: Scene) -> None:
    scene.workers = [replace(one, kinds=scene.chance.choice(((), ("other",)))) for one in scene.workers]


def _loops_blocked(scene: Scene) -> None:
    scene.workers = [replace(one, loop_beat_at=ago(scene.between(9, 600))) for one in scene.workers]


def _undelivered(scene: Scene) -> None:
    """Let the job, or one before it in its lane, lie on the runway for long though a slot is free."""
    released = ago(scene.between(5, 19))
    if scene.chance.random() < 0.5:
        scene.job = replace(scene.job, released_at=released)
    else:
        scene.runways.setdefault(scene.lane, []).append(Ticket(scene.id(), STRANGER, released))


def _not_handed_out(scene: Scene) -> None:
    """Let nobody look at the backlog, from before the job waited or since, though a slot is free."""
    scene.dispatched_at = ago(scene.between(2.1, 2_000))


def _customer_limit(scene: Scene) -> None:
    """Let as many of the customer's jobs be under way as may, on workers that have many slots more than that."""
    limit = scene.chance.randint(1, 3)
    about_to_start = scene.chance.randint(0, limit)
    scene.caps[CUSTOMER] = limit
    on = scene.chance.choice([lane for lane in LANES if lane != scene.lane])
    scene.run(on, limit - about_to_start, CUSTOMER, 30, scene.chance.choice(scene.workers or [worker()]))
    scene.runways.setdefault(on, []).extend(Ticket(scene.id(), CUSTOMER, ago(6)) for _ in range(about_to_start))
    scene.workers = [replace(one, slots=one.slots + 16) for one in scene.workers]


def _saturated(scene: Scene) -> None:
    """Let every slot be taken, or let others start before it one after the other."""
    ahead = scene.chance.randint(0, 300)
    if scene.chance.random() < 0.7:
        for one in scene.workers:  # a slot more than it has, as small jobs may use a spare one
            scene.run(Lane(Priority.NORMAL, Size.SMALL), one.slots + 1, STRANGER, scene.between(6, 300), one)
    else:
        ahead = max(1, ahead)
        scene.runways.setdefault(scene.lane, []).append(Ticket(scene.id(), STRANGER, ago(scene.between(0, 4.9))))
    scene.place = Ahead(ahead, {scene.lane.size: (ahead, ahead * 0.5)} if ahead else {}, scene.chance.random() < 0.2)
    if scene.chance.random() < 0.2:
        scene.job = replace(scene.job, parked_at=ago(15), attempt=1, started_at=ago(20), revision=4)
        scene.attempt = Attempt(ago(19), ago(15), 0, 4)


def _starting(scene: Scene) -> None:
    """Let it have come, or be released, this moment."""
    moments = scene.between(0, 4.9)
    if scene.chance.random() < 0.5:
        scene.job = replace(scene.job, submitted_at=ago(moments), due_at=ago(moments), attempt=0, started_at=None)
        scene.attempt = None
    else:
        scene.job = replace(scene.job, released_at=ago(moments))
    scene.place = scene.chance.choice((None, Ahead(0)))


def _nothing(_: Scene) -> None:
    """Leave it as it is: a free slot, a job that should have started long ago, and no reason."""


# --- a job that runs


def _worker_lost(scene: Scene) -> None:
    """Let the lease be over, or the worker be silent, or forgotten."""
    lost = scene.chance.randrange(3)
    if lost == 0:
        scene.job = replace(scene.job, lease_until=ago(scene.between(0, 60)))
    elif lost == 1:
        scene.workers[0] = replace(scene.workers[0], beat_at=ago(scene.between(8.1, 60)), alive=False)
    else:
        del scene.workers[0]


def _loop_blocked(scene: Scene) -> None:
    scene.workers[0] = replace(scene.workers[0], loop_beat_at=ago(scene.between(8.1, 600)))


def _cancel_pending(scene: Scene) -> None:
    scene.job = replace(scene.job, cancel_requested_at=ago(scene.between(0, 20)))


def _no_progress(scene: Scene) -> None:
    """Let it be silent for much longer than its own checkpoints lie apart, or than it could take at all."""
    predicted = scene.job.predicted_s
    if scene.chance.random() < 0.5:
        gap, reports = scene.between(0.5, 30), scene.chance.randint(1, 50)
        silent = scene.between(max(61, 6 * gap), 3_000)
        _reported(scene, began=silent + gap * reports, ago_s=silent, reports=reports)
    else:
        silent = max(61, 9 * predicted) + scene.between(0, 3_000)
        scene.job = replace(scene.job, started_at=ago(silent))
        scene.attempt = Attempt(ago(silent), None, 0, 0)


def _slower_than_normal(scene: Scene) -> None:
    """Let jobs like it take a fraction of what it has taken already, while its checkpoints come as ever."""
    worked = scene.between(30, 3_000)
    _reported(scene, began=worked, ago_s=scene.between(0, 20), reports=30)
    known(scene, took=worked / scene.between(15, 60))


def _running_normally(scene: Scene) -> None:
    if scene.chance.random() < 0.5:
        began = (NOW - scene.facts().attempt_began).total_seconds()
        _reported(scene, began=began, ago_s=began * scene.between(0, 0.5), reports=3)


def _reported(scene: Scene, began: float, ago_s: float, reports: int) -> None:
    """Let an attempt have begun so long ago, and have reported so often, the last time some seconds ago."""
    said: dict[str, Any] = {"progress_done": float(reports), "progress_total": 100.0, "progress_unit": "chunks"}
    revision = 3 + reports
    scene.job = replace(
        scene.job,
        started_at=ago(began),
        submitted_at=ago(began + 1),
        progressed_at=ago(ago_s),
        revision=revision,
        **said,
    )
    scene.attempt = Attempt(ago(began), None, 0, 0)


# --- a job that has ended


def _dead(scene: Scene, failures: int, **error: str) -> None:
    scene.job = replace(scene.job, state=State.DEAD, attempt=failures, failures=failures, error=error)


def _poison(scene: Scene) -> None:
    _dead(scene, scene.chance.randint(0, 5), code="poison", message="2 workers died.")


def _rejected(scene: Scene) -> None:
    """Let a reviewer say no, before it ever began."""
    scene.attempt = None
    _dead(scene, 0, code=REJECTED, message="The amount does not fit.")


def _bad_input(scene: Scene) -> None:
    """Let it be refused at the first try; perhaps with the field that is wrong."""
    error = {"code": "bad_input", "message": "No."} | scene.chance.choice(({}, {"field": "/payload/lines/2"}))
    _dead(scene, 1, **error)


def _attempts_failed(scene: Scene) -> None:
    """Let it fail as often as it may be tried."""
    scene.most_attempts = scene.chance.choice((1, 3, 5))
    _dead(scene, scene.most_attempts, code=scene.chance.choice(("timeout", "child_died", "internal")), message="No.")


def _undelivered_result(scene: Scene) -> None:
    """Let an endpoint refuse the message about its end, or be given up, or be disabled."""
    again, disabled = scene.chance.choice(((ago(-scene.between(1, 9_000)), False), (None, False), (None, True)))
    status = scene.chance.choice((None, 404, 500))
    one = Undelivered(scene.id(), ago(900), scene.chance.randint(0, 9), status, again, ago(-9_000), disabled)
    scene.undelivered = (one,) * scene.chance.randint(1, 3)


def _plants(*rows: tuple[str, Code, str, Callable[[Scene], None]]) -> Sequence[Plant]:
    return [Plant(name, code, frozenset(touches.split()), build) for name, code, touches, build in rows]


WAITING_KIT = _plants(
    ("in review", Code.IN_REVIEW, "state", _in_review),
    ("awaiting quota", Code.AWAITING_QUOTA, "state time age slots release", _awaiting_quota),
    ("paused itself", Code.PAUSED, "state time age slots release", _paused_itself),
    ("let go", Code.STARTING, "state time age slots release", _let_go),
    ("scheduled", Code.SCHEDULED, "state time age slots", _scheduled),
    ("dependency down", Code.DEPENDENCY_DOWN, "needs release", _dependency_down),
    ("timed", Code.RETRY_BACKOFF, "state time age slots release", _retry_backoff),
    ("timed", Code.PAUSED, "pause", _paused),
    ("no worker", Code.NO_WORKER, "workers kinds beats slots", _no_worker),
    ("no capable worker", Code.NO_CAPABLE_WORKER, "kinds", _no_capable_worker),
    ("loops blocked", Code.LOOP_BLOCKED, "beats", _loops_blocked),
    ("undelivered", Code.UNDELIVERED, "slots release", _undelivered),
    ("customer limit", Code.CUSTOMER_LIMIT, "release", _customer_limit),
    ("saturated", Code.LANE_SATURATED, "slots age", _saturated),
    ("starting", Code.STARTING, "slots age release", _starting),
    ("not handed out", Code.UNDELIVERED, "slots age release", _not_handed_out),
    ("", Code.UNEXPLAINED, "state time age slots release pause workers kinds beats", _nothing),
)

RUNNING_KIT = _plants(
    ("worker lost", Code.WORKER_LOST, "lease beats", _worker_lost),
    ("loop blocked", Code.LOOP_BLOCKED, "beats", _loop_blocked),
    ("cancel pending", Code.CANCEL_PENDING, "cancel", _cancel_pending),
    ("no progress", Code.NO_PROGRESS, "silence", _no_progress),
    ("slower than normal", Code.SLOWER_THAN_NORMAL, "silence", _slower_than_normal),
    ("running normally", Code.RUNNING_NORMALLY, "silence beats lease", _running_normally),
)

ENDED_KIT = _plants(
    ("died of it", Code.POISON, "death", _poison),
    ("died of it", Code.REJECTED, "death", _rejected),
    ("died of it", Code.BAD_INPUT, "death", _bad_input),
    ("died of it", Code.ATTEMPTS_FAILED, "death", _attempts_failed),
    ("not told", Code.UNDELIVERED_RESULT, "message", _undelivered_result),
)

KITS = ((WAITING_KIT, waiting_scene), (RUNNING_KIT, running_scene), (ENDED_KIT, ended_scene))
