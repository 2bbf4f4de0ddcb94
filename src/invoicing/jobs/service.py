"""What other rooms and the workers may do to the ledger."""

from invoicing.jobs.holding import AT_ONCE as LET_GO_AT_ONCE
from invoicing.jobs.holding import let_go_after_pauses, let_go_of, open_holds, reject_review, release_review
from invoicing.jobs.model.losses import NOBODY, Sign, Watch
from invoicing.jobs.rescuing import rescue
from invoicing.jobs.settling import settle
from invoicing.jobs.store.acts import Signed, expedite, found, move, retry
from invoicing.jobs.store.artifacts import complete as complete_artifact
from invoicing.jobs.store.artifacts import content as artifact_content
from invoicing.jobs.store.artifacts import write_part as write_artifact_part
from invoicing.jobs.store.attempt import (
    claim,
    fence,
    make_irrevocable,
    reclass,
    renew,
    set_aside,
    write_checkpoint,
    write_progress,
)
from invoicing.jobs.store.backlog import by_index, lately, look, prepare, queues, ripe, used
from invoicing.jobs.store.cancel import cancel
from invoicing.jobs.store.channels import BACKLOG, CONTROL, DEPENDENCIES, JOBS, OUTGROWN
from invoicing.jobs.store.dependencies import begin_try, breakers
from invoicing.jobs.store.dependencies import forget as forget_outages
from invoicing.jobs.store.holdups import MOST_COUNTED as MOST_HOLDUPS
from invoicing.jobs.store.holdups import Holdups, holdups
from invoicing.jobs.store.overview import LATEST, Happened, happened, states
from invoicing.jobs.store.pauses import ToLetGo, to_let_go
from invoicing.jobs.store.pauses import pause as pause_job
from invoicing.jobs.store.pauses import paused as is_paused
from invoicing.jobs.store.pauses import resume as resume_job
from invoicing.jobs.store.promises import move as move_promise
from invoicing.jobs.store.read import ahead_of, anybodys, attempts_of, checkpoint_of, get, held, part, parts_of
from invoicing.jobs.store.release import (
    Released,
    ask_to_give_way,
    hold_releases,
    recall,
    release,
    running,
    running_of,
    runways,
    unclaimed,
    wake_dispatcher,
    withdraw,
    withdraw_of,
)
from invoicing.jobs.store.rescue import Quarantined, quarantined
from invoicing.jobs.store.standing import oldest, rates

__all__ = [
    "BACKLOG",
    "CONTROL",
    "DEPENDENCIES",
    "JOBS",
    "LATEST",
    "LET_GO_AT_ONCE",
    "MOST_HOLDUPS",
    "NOBODY",
    "OUTGROWN",
    "Happened",
    "Holdups",
    "Quarantined",
    "Released",
    "Sign",
    "Signed",
    "ToLetGo",
    "Watch",
    "ahead_of",
    "anybodys",
    "artifact_content",
    "ask_to_give_way",
    "attempts_of",
    "begin_try",
    "breakers",
    "by_index",
    "cancel",
    "checkpoint_of",
    "claim",
    "complete_artifact",
    "expedite",
    "fence",
    "forget_outages",
    "found",
    "get",
    "happened",
    "held",
    "hold_releases",
    "holdups",
    "is_paused",
    "lately",
    "let_go_after_pauses",
    "let_go_of",
    "look",
    "make_irrevocable",
    "move",
    "move_promise",
    "oldest",
    "open_holds",
    "part",
    "parts_of",
    "pause_job",
    "prepare",
    "quarantined",
    "queues",
    "rates",
    "recall",
    "reclass",
    "reject_review",
    "release",
    "release_review",
    "renew",
    "rescue",
    "resume_job",
    "retry",
    "ripe",
    "running",
    "running_of",
    "runways",
    "set_aside",
    "settle",
    "states",
    "to_let_go",
    "unclaimed",
    "used",
    "wake_dispatcher",
    "withdraw",
    "withdraw_of",
    "write_artifact_part",
    "write_checkpoint",
    "write_progress",
]
