"""What is down outside that jobs need: a finding each, from its breaker and how much waits for it."""

from collections.abc import Iterator, Mapping

from invoicing.incidents.model import causes
from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.facts import Backlog
from invoicing.incidents.model.incident import Blast, Finding, Reach
from invoicing.jobs.model import Breakers


def outages(breakers: Breakers, held: Mapping[str, Backlog]) -> Iterator[Finding]:
    """Find what is down that jobs need from outside, and for which some wait or one is trying."""
    for name, breaker in breakers.items():
        waiting = held.get(name, Backlog(0, 0))
        if breaker.opened_at is None or not (waiting.jobs or breaker.trying):
            continue
        evidence = {
            "dependency": name,
            "title": breaker.title,
            "error": breaker.error,
            "failures": breaker.failures,
            "down_since": breaker.opened_at,
            "tries": breaker.tries,
            "next_try_at": breaker.next_try_at,
        }
        yield Finding(
            Cause.DEPENDENCY_DOWN,
            causes.dependency_scope(name),
            breaker.failed_at or breaker.opened_at,
            evidence,
            Blast(waiting.jobs, waiting.customers),
            Reach(needs=name),
        )
