"""What became of a job that has ended and is not well: why it died, and whether its end could not be told."""

from invoicing.diagnosis.model.check import Check, Code, disproven, proven, unknown
from invoicing.diagnosis.model.facts import Facts
from invoicing.jobs.model import FINISHED, State
from invoicing.jobs.model.holds import REJECTED
from invoicing.jobs.model.losses import POISON

_BAD_INPUT = "bad_input"
_BY_ITSELF = frozenset({POISON, REJECTED})
"""Errors that are a cause of their own."""


def poison(facts: Facts) -> Check:
    """Prove that it was put under quarantine: as many workers died on it as its kind bears."""
    if facts.job.state is not State.DEAD or _error_code(facts) != POISON:
        return disproven(Code.POISON, facts)
    evidence = {"attempts": facts.job.attempt, "error": _error(facts)}
    return proven(Code.POISON, facts, facts.job.finished_at, evidence=evidence)


def rejected(facts: Facts) -> Check:
    """Prove that a reviewer said no."""
    if facts.job.state is not State.DEAD or _error_code(facts) != REJECTED:
        return disproven(Code.REJECTED, facts)
    return proven(Code.REJECTED, facts, facts.job.finished_at, evidence={"error": _error(facts)})


def bad_input(facts: Facts) -> Check:
    """Prove that the request cannot be carried out as it is: with the field and the rule, where one is named."""
    if facts.job.state is not State.DEAD or _error_code(facts) in _BY_ITSELF or _out_of_attempts(facts):
        return disproven(Code.BAD_INPUT, facts)
    wording = "field" if (facts.job.error or {}).get("field") else "plain"
    return proven(Code.BAD_INPUT, facts, facts.job.finished_at, wording=wording, evidence={"error": _error(facts)})


def attempts_failed(facts: Facts) -> Check:
    """Prove that every attempt that its kind allows has failed."""
    if facts.job.state is not State.DEAD or _error_code(facts) in _BY_ITSELF or not _out_of_attempts(facts):
        return disproven(Code.ATTEMPTS_FAILED, facts)
    evidence = {"failures": facts.job.failures, "error": _error(facts)}
    wording = "one" if facts.job.failures == 1 else "plain"
    return proven(Code.ATTEMPTS_FAILED, facts, facts.job.finished_at, wording=wording, evidence=evidence)


def undelivered_result(facts: Facts) -> Check:
    """Prove that its end was not told: an endpoint of its customer refuses, or was given up. Unknown: not looked at."""
    if facts.job.state not in FINISHED:
        return disproven(Code.UNDELIVERED_RESULT, facts)
    if facts.undelivered is None:
        return unknown(Code.UNDELIVERED_RESULT, facts)
    if not facts.undelivered:
        return disproven(Code.UNDELIVERED_RESULT, facts)
    trying = [one for one in facts.undelivered if one.next_try_at is not None]
    first = (trying or facts.undelivered)[0]
    evidence = {
        "webhook": first.endpoint_id,
        "attempts": first.attempts,
        "status": first.status,
        "next_try_at": first.next_try_at,
        "gives_up_at": first.gives_up_at,
        "webhooks": len(facts.undelivered),
    }
    wording = "plain" if first.next_try_at is not None else "disabled" if first.disabled else "given_up"
    return proven(
        Code.UNDELIVERED_RESULT,
        facts,
        first.since,
        until=first.next_try_at,
        wording=wording,
        evidence=evidence,
    )


def _out_of_attempts(facts: Facts) -> bool:
    """Tell a job whose last attempt failed from one that was refused: only a refusal ends it before."""
    if _error_code(facts) == _BAD_INPUT:
        return False
    return facts.max_attempts is None or facts.job.failures >= facts.max_attempts


def _error_code(facts: Facts) -> str:
    return str((facts.job.error or {}).get("code", ""))


def _error(facts: Facts) -> dict[str, str]:
    """Give what the customer is told of an error in its own words; all members are there."""
    error = facts.job.error or {}
    return {
        "code": str(error.get("code", "unknown")),
        "message": str(error.get("message") or "-").rstrip("."),
        "field": str(error.get("field") or "-"),
        "rule": str(error.get("rule") or "-"),
    }
