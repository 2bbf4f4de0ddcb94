"""How attempts end, in the few words that are counted."""

from invoicing.jobs.model import Cancelled, Failed, Interrupted, Outcome, Rejected, Succeeded

ERRORS = frozenset(
    {"bad_input", "child_died", "internal", "memory_limit", "timeout", "unknown_kind", "unknown_outcome"}
)
"""What an attempt of any kind may fail with."""

INTERRUPTIONS = frozenset({"drain", "ledger_away", "lost", "moved", "unpacked", "yield"})
"""What an attempt may be interrupted for."""

OF_ITS_KIND = "of_its_kind"
"""Any other cause: those of a kind have no bound in number, and are in the ledger with each job."""


def told(outcome: Outcome) -> tuple[str, str]:
    """Name an outcome and its cause; what succeeded, or was cancelled, needs none."""
    match outcome:
        case Succeeded():
            return "succeeded", ""
        case Interrupted(why):
            return "interrupted", why if why in INTERRUPTIONS else OF_ITS_KIND
        case Cancelled():
            return "cancelled", ""
        case Rejected(error):
            return "rejected", error.code if error.code in ERRORS else OF_ITS_KIND
        case Failed(error):
            return "failed", error.code if error.code in ERRORS else OF_ITS_KIND
