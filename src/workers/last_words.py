"""How attempts ended, as a child says it to its worker: kept while more of what it was given together go on."""

import logging

from invoicing.jobs.model import Claim, Failed, JobError, Outcome
from workers.messages import LONGEST_LINE, line, outcome_message

log = logging.getLogger(__name__)

_MOST_KEPT = 1_000_000
"""Said at once when it gets longer than this (bytes)."""


def last_word(claim: Claim, outcome: Outcome, took_s: float) -> bytes:
    """Say how an attempt ended, and how long it took; an outcome that cannot be said is a failure."""
    about = {"attempt": claim.attempt, "id": str(claim.id), "took_s": took_s}
    try:
        said = line({**outcome_message(outcome), **about})[:-1]
        if len(said) <= LONGEST_LINE - _MOST_KEPT - 1_000:
            return said
    except Exception:
        log.exception("no outcome", extra={"action": "attempt.no_outcome", "job_id": str(claim.id)})
    error = JobError("unknown_outcome", f"The kind {claim.kind} ended without an outcome that can be kept.")
    return line({**outcome_message(Failed(error)), **about})[:-1]


class LastWords:
    """What was not yet said; two threads use it, under one lock of theirs."""

    def __init__(self) -> None:
        """Begin with nothing to say."""
        self._kept: list[bytes] = []
        self._bytes = 0

    def add(self, word: bytes) -> bool:
        """Keep one; tells whether it is time to say them."""
        self._kept.append(word)
        self._bytes += len(word)
        return self._bytes > _MOST_KEPT

    def take(self, *, all_said: bool) -> bytes:
        """Give the message that says them, and whether nothing more of this order will follow."""
        kept, self._kept, self._bytes = self._kept, [], 0
        return b'{"ended":[%b],"all_said":%b}\n' % (b",".join(kept), b"true" if all_said else b"false")
