"""Whatever the facts, even impossible ones: one cause, no leak, and an interval that is one."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from invoicing.diagnosis.model.causes import RULES, examine, next_news, shown
from invoicing.diagnosis.model.durations import Group, History, learn, magnitude
from invoicing.diagnosis.model.eta import expect, normal
from invoicing.diagnosis.words import say
from invoicing.jobs.model import FINISHED, NEWS_WITHIN, Job, State

from .situations import NOW, SECRETS, WORKER, ago, busy, facts, learned, paused, queued, waiting, worker

times = st.floats(-5_000, 5_000).map(ago)
maybe = st.none() | times
seconds = st.floats(0, 1e6)
workers_around = st.lists(
    st.builds(
        worker,
        slots=st.integers(1, 9),
        kinds=st.sampled_from([("drill",), ()]),
        beat_at=times,
        loop_beat_at=times,
        stopping=st.booleans(),
        alive=st.booleans(),
    ),
    max_size=3,
).map(tuple)
states = st.sampled_from(State)
jobs = st.builds(
    waiting,
    state=states,
    predicted_s=seconds,
    attempt=st.integers(0, 5),
    failures=st.integers(0, 5),
    revision=st.integers(1, 99),
    due_at=times,
    submitted_at=times,
    released_at=maybe,
    started_at=maybe,
    lease_until=maybe,
    worker_id=st.sampled_from([None, WORKER]),
    cancel_requested_at=maybe,
    progress_done=st.none() | seconds,
    progress_total=st.none() | seconds,
    progressed_at=maybe,
    error=st.sampled_from([None, {}, {"code": "x", "message": "{0} {odd"}]),
)
histories = st.builds(
    lambda group: learn([group], ago(5)),
    st.lists(st.tuples(st.just(0.5), seconds), max_size=120).map(
        lambda pairs: Group("drill", magnitude(0.5), tuple(p for p, _ in pairs), tuple(d for _, d in pairs))
    ),
)
around_it = st.fixed_dictionaries(
    {
        "workers": workers_around,
        "pauses": st.sampled_from([{}, paused()["pauses"]]),
        "running": st.builds(busy, st.integers(0, 20), seconds).map(lambda work: work["running"]),
        "history": histories,
    }
)
queue_around = st.builds(queued, st.integers(0, 500), at_least=st.booleans(), released=st.none() | seconds)


@given(jobs, around_it, queue_around)
def test_any_unfinished_job_has_exactly_one_cause_and_any_end_is_an_interval(
    job: Job, around: dict[str, Any], queue: dict[str, Any]
) -> None:
    known = facts(job, around | queue)
    checks = examine(known)
    check = shown(known, checks)
    assert len(checks) == len(RULES)
    assert (check is None) == (job.state in FINISHED)
    if check is None:
        return
    assert check.holds
    assert check.since is None or check.since <= check.observed_at
    news = next_news(check)
    assert news is not None
    assert news >= NOW + NEWS_WITHIN
    told = say(check)
    assert told
    assert not any(secret in told + repr(check.evidence) for secret in SECRETS)
    eta = expect(known, check)
    assert eta is None or NOW <= eta.earliest <= eta.likely <= eta.latest
    assert normal(known).verdict in {"normal", "slow", "unknown"}


def test_what_was_learned_is_of_no_other_kind() -> None:
    history: History = learned(9)["history"]
    assert history.predict("drill", 0.5) is not None
    assert history.predict("invoice.issue", 0.5) is None
    assert history.predict("drill", 50) is None
