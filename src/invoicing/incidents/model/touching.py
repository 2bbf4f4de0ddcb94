"""Which incident touches a job: told by what the job is and why it does not move, never by a list of ids."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import Incident, Reach
from invoicing.jobs.model import WAITING, Job, PromiseStatus, State
from invoicing.lanes.model import Lane

EXPLAINS: Mapping[Cause, frozenset[str]] = MappingProxyType(
    {
        Cause.NO_WORKER: frozenset({"no_worker"}),
        Cause.NO_CAPABLE_WORKER: frozenset({"no_capable_worker"}),
        Cause.LOOP_BLOCKED: frozenset({"loop_blocked"}),
        Cause.UNDELIVERED: frozenset({"undelivered"}),
        Cause.WORKER_LOST: frozenset({"worker_lost"}),
        Cause.NO_PROGRESS: frozenset({"no_progress"}),
        Cause.DEPENDENCY_DOWN: frozenset({"retry_backoff", "dependency_down"}),
        Cause.UNEXPLAINED: frozenset({"unexplained"}),
    }
)
"""Which causes that a job shows an incident stands behind; the others are named by their own rules, or by no job."""


def touching(incidents: Iterable[Incident], job: Job, cause: str) -> Incident | None:
    """Choose the incident that touches an unfinished job which shows a cause: the worst, of several the oldest."""
    found = [one for one in incidents if touches(one, job, cause)]
    return min(found, key=lambda one: (one.severity, one.opened_at, one.id), default=None)


def touches(incident: Incident, job: Job, cause: str) -> bool:
    """Tell whether an incident touches an unfinished job which shows a cause."""
    if incident.cause is Cause.PROMISES_MISSED:
        return job.promise_status is PromiseStatus.MISSED and within(incident.reach, job)
    return cause in EXPLAINS.get(incident.cause, ()) and within(incident.reach, job)


def within(reach: Reach, job: Job) -> bool:
    """Tell whether a job is one of those that an incident reaches."""
    return (
        _one_of(reach.lanes, Lane(job.priority, job.size).name, asked=job.state in WAITING)
        and _one_of(reach.workers, job.worker_id, asked=job.state is State.RUNNING)
        and _one_of(reach.kinds, job.kind)
        and _one_of(reach.customers, job.customer_id)
        and job.kind not in reach.spares
        and (reach.error is None or str((job.error or {}).get("code")) == reach.error)
        and (reach.needs is None or reach.needs in job.needs.split())
    )


def _one_of(allowed: Collection[object] | None, value: object, *, asked: bool = True) -> bool:
    return allowed is None or not asked or value in allowed
