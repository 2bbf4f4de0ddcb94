"""What a job is, the states it may pass through, and what an outcome makes of it."""

from invoicing.jobs.model.job import Accepted, Artifact, Claim, Job, NewJob, Progress, Settlement, TimelineEntry
from invoicing.jobs.model.outcomes import (
    YIELD,
    Cancelled,
    Failed,
    Interrupted,
    JobError,
    Outcome,
    Rejected,
    RetryPolicy,
    Succeeded,
    Verdict,
    jitter,
    judge,
)
from invoicing.jobs.model.standing import Cause, Correction, Eta, Normal, Standing
from invoicing.jobs.model.states import FINISHED, TRANSITIONS, WAITING, Event, Priority, Size, State

__all__ = [
    "FINISHED",
    "TRANSITIONS",
    "WAITING",
    "YIELD",
    "Accepted",
    "Artifact",
    "Cancelled",
    "Cause",
    "Claim",
    "Correction",
    "Eta",
    "Event",
    "Failed",
    "Interrupted",
    "Job",
    "JobError",
    "NewJob",
    "Normal",
    "Outcome",
    "Priority",
    "Progress",
    "Rejected",
    "RetryPolicy",
    "Settlement",
    "Size",
    "Standing",
    "State",
    "Succeeded",
    "TimelineEntry",
    "Verdict",
    "jitter",
    "judge",
]
