"""A drill's verdict: kept only if everything that was promised holds, and each way of not holding is named."""

from dataclasses import replace
from typing import Any

import pytest

from invoicing.cli.drill_measures import Blow, Event, Measured, Refusal, Sign, Witness, signs_of
from invoicing.cli.drill_promises import CLIENTS, DRILLS, PROCESSES, RESCUED, USUAL_LEASE_S
from invoicing.cli.drill_verdict import Outcome, judge
from workers.heartbeat import LEASE

WORKER_KILL, WEB_KILL, DB_DOWN = DRILLS["worker-kill"], DRILLS["web-kill"], DRILLS["db-down"]
AT = 1_000.0


def witness(name: str, *, held: bool, asked: float, events: list[tuple[float, str]], **more: Any) -> Witness:
    rows = tuple(Event(AT + at, event, 1) for at, event in events)
    return Witness(name, held, AT + asked, AT + asked, name, events=rows, **({"replayed_id": name} | more))


STRUCK = witness(
    "struck", held=True, asked=-2, events=[(-1, "started"), (10, RESCUED), (10.5, "started"), (14, "succeeded")]
)
SPARED = witness("spared", held=True, asked=-2, events=[(-1, "started"), (3, "succeeded")])
PROBE = witness("probe", held=False, asked=0.5, events=[(0.6, "started"), (0.8, "succeeded")])


def measured(*witnesses: Witness, **more: Any) -> Measured:
    seen = witnesses or (STRUCK, SPARED, PROBE)
    told = Measured(Blow(AT, "SIGKILL to worker-1"), AT, False, 2, 10.0, seen, (), len(seen))
    signs = (Sign(AT + 0.2, PROCESSES, "run.json names worker-1 no more"), *signs_of(seen, AT))
    return replace(told, **({"signs": signs} | more))


def test_a_kept_promise_says_when_it_was_noticed_and_over() -> None:
    told = measured()
    verdict = judge(WORKER_KILL, told)
    assert verdict.outcome is Outcome.KEPT
    assert verdict.reasons == ()
    assert verdict.bound_s == 12.0
    assert told.recovered_s == 10.5
    assert told.first_sign is not None
    assert told.first_sign.at == AT + 0.2
    found = told.detected(WORKER_KILL.detected_in)
    assert found is not None
    assert found.at == AT + 10


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (measured(witness("late", held=True, asked=-2, events=[*[(-1, "started"), (12, RESCUED)], (13, "started"), (14, "succeeded")]), PROBE), "13.0 s, not within 12 s"),  # noqa: E501 - one case, one line
        (measured(STRUCK), "no job that was asked for after the fault was done"),
        (measured(STRUCK, PROBE, jobs=None), "the list of jobs cannot be read"),
        (measured(STRUCK, PROBE, jobs=3), "2 jobs were asked for, and the ledger has 3"),
        (measured(STRUCK, replace(PROBE, replayed_id="other")), "job probe is job other when asked for again"),
        (measured(STRUCK, PROBE, replace(PROBE, job_id=None)), "never accepted"),
        (measured(replace(STRUCK, events=STRUCK.events[:-1]), PROBE), "job struck did not end"),
        (measured(STRUCK, PROBE, witness("twice", held=True, asked=-1, events=[(1, "succeeded"), (2, "succeeded")])), "succeeded, succeeded"),  # noqa: E501 - as above
        (measured(STRUCK, PROBE, witness("dead", held=True, asked=-1, events=[(1, "dead")])), "ended as dead"),
        (measured(SPARED, PROBE), "did not notice (looked for: rescued)"),
        (measured(STRUCK, PROBE, spared=frozenset({"struck"})), "job struck was taken from a worker that lived"),
        (measured(STRUCK, PROBE, witness("early", held=True, asked=-9, events=[(-3, RESCUED), (4, "succeeded")])), "before anything was broken"),  # noqa: E501 - as above
        (measured(STRUCK, replace(PROBE, refusals=(Refusal(AT, 500, False, "500"),))), "first: 500"),
        (measured(STRUCK, replace(PROBE, refusals=(Refusal(AT, 503, False, "503"),))), "first: 503"),
    ],
)  # fmt: skip
def test_a_broken_promise_is_named(told: Measured, says: str) -> None:
    verdict = judge(WORKER_KILL, told)
    assert verdict.outcome is Outcome.NOT_KEPT
    assert any(says in reason for reason in verdict.reasons), verdict.reasons


def test_another_bound_may_be_asked_for() -> None:
    assert judge(WORKER_KILL, measured(), within_s=10.4).outcome is Outcome.NOT_KEPT
    assert judge(WORKER_KILL, measured(), within_s=10.5).outcome is Outcome.KEPT


def test_a_worker_alone_has_longer_because_its_successor_must_start() -> None:
    assert WORKER_KILL.bound(1) > WORKER_KILL.bound(2)
    assert WORKER_KILL.bound(2, lease_s=3) == 5.0
    assert WEB_KILL.bound(1) == WEB_KILL.bound(2)


def test_an_outage_counts_from_its_end_and_lasts_as_long_as_asked() -> None:
    after = witness("after", held=False, asked=21, events=[(21.2, "started"), (21.5, "succeeded")])
    early = witness("early", held=False, asked=5, events=[(20.3, "started"), (20.4, "succeeded")])
    refused = replace(early, refusals=(Refusal(AT + 10, 503, True, "503 with Retry-After"),))
    told = measured(refused, after, from_end=True, healed_at=AT + 20)
    assert told.recovered_s == 1.5
    assert judge(DB_DOWN, told).outcome is Outcome.KEPT
    found = told.detected(DB_DOWN.detected_in)
    assert found is not None
    assert found.source == CLIENTS
    assert (DB_DOWN.lasts(None), DB_DOWN.lasts(33), WEB_KILL.lasts(33)) == (10.0, 33, None)
    assert DRILLS["worker-stop"].lasts(33, lease_s=3) == 7.0


def test_a_request_without_an_answer_is_no_broken_promise() -> None:
    cut = replace(PROBE, refusals=(Refusal(AT, None, False, "not at all (ConnectError)"),))
    assert judge(WORKER_KILL, measured(STRUCK, cut)).outcome is Outcome.KEPT


def test_a_disk_that_did_not_become_slow_proves_nothing() -> None:
    quiet = measured(SPARED, PROBE)
    assert judge(DRILLS["slow-disk"], replace(quiet, slowdown=1.2)).outcome is Outcome.NOT_PROVEN
    assert judge(DRILLS["slow-disk"], replace(quiet, slowdown=9.0)).outcome is Outcome.KEPT
    assert judge(DRILLS["slow-disk"], replace(measured(), slowdown=9.0)).outcome is Outcome.NOT_KEPT


def test_the_usual_lease_is_the_workers_own() -> None:
    assert LEASE.total_seconds() == USUAL_LEASE_S
