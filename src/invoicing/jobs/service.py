"""What other rooms and the workers may do to the ledger."""

from invoicing.jobs.store.artifacts import complete as complete_artifact
from invoicing.jobs.store.artifacts import content as artifact_content
from invoicing.jobs.store.artifacts import write_part as write_artifact_part
from invoicing.jobs.store.attempt import (
    claim,
    fence,
    make_irrevocable,
    reclass,
    renew,
    rescue,
    settle,
    write_checkpoint,
    write_progress,
)
from invoicing.jobs.store.cancel import cancel
from invoicing.jobs.store.channels import BACKLOG, CONTROL, JOBS
from invoicing.jobs.store.overview import LATEST, Happened, happened, states
from invoicing.jobs.store.read import ahead_of, attempts_of, checkpoint_of, held, part, parts_of
from invoicing.jobs.store.release import (
    Ticket,
    next_due_in,
    one_at_a_time,
    release,
    running,
    runways,
    unclaimed,
    waiting,
    wake_dispatcher,
    withdraw,
)

__all__ = [
    "BACKLOG",
    "CONTROL",
    "JOBS",
    "LATEST",
    "Happened",
    "Ticket",
    "ahead_of",
    "artifact_content",
    "attempts_of",
    "cancel",
    "checkpoint_of",
    "claim",
    "complete_artifact",
    "fence",
    "happened",
    "held",
    "make_irrevocable",
    "next_due_in",
    "one_at_a_time",
    "part",
    "parts_of",
    "reclass",
    "release",
    "renew",
    "rescue",
    "running",
    "runways",
    "settle",
    "states",
    "unclaimed",
    "waiting",
    "wake_dispatcher",
    "withdraw",
    "write_artifact_part",
    "write_checkpoint",
    "write_progress",
]
