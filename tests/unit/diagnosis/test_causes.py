"""Whatever happens to a job, its customer is told one true cause, and when to expect news and the end."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest

from invoicing.diagnosis.model.causes import examine, next_news
from invoicing.diagnosis.model.check import Answer, Code
from invoicing.diagnosis.model.eta import expect, normal
from invoicing.diagnosis.model.facts import ALIVE_FOR, Ticket
from invoicing.diagnosis.words import say
from invoicing.jobs.model import NEWS_WITHIN, Job, Priority, Size, State
from invoicing.lanes import store as lanes_store
from invoicing.lanes.model import Lane

from .situations import (
    ALL_SLOTS,
    CUSTOMER,
    DEAD,
    DEAF,
    LANE,
    NOBODY,
    NOW,
    SPACE,
    STRANGERS,
    ago,
    busy,
    capped,
    cause,
    ended,
    facts,
    learned,
    moving,
    parked,
    paused,
    queued,
    retrying,
    running,
    untold,
    waiting,
    worker,
)

LARGE_TOO: dict[str, Any] = {"workers": (worker(lanes=(LANE.name, "normal-large")),)}


@pytest.mark.parametrize(
    ("job", "around", "code"),
    [
        (waiting(0.1), {}, Code.STARTING),
        (waiting(30, released_at=ago(1)), {}, Code.STARTING),
        (waiting(30, state=State.IN_REVIEW), {}, Code.IN_REVIEW),
        (waiting(due_at=ago(-60)), {}, Code.SCHEDULED),
        (retrying(8), {}, Code.RETRY_BACKOFF),
        (retrying(-1), {}, Code.STARTING),
        (waiting(60), paused(), Code.PAUSED),
        (waiting(60), paused(until=-1) | busy(), Code.LANE_SATURATED),
        (waiting(60), NOBODY, Code.NO_WORKER),
        (waiting(60), DEAD, Code.NO_WORKER),
        (waiting(60), {"workers": (worker(stopping=True),)}, Code.NO_WORKER),
        (waiting(60), {"workers": (worker(lanes=("bulk-huge",)),)}, Code.NO_WORKER),
        (waiting(60), STRANGERS, Code.NO_CAPABLE_WORKER),
        (waiting(60), DEAF, Code.LOOP_BLOCKED),
        (waiting(60), busy() | queued(4), Code.LANE_SATURATED),
        (waiting(60), busy() | queued(0), Code.LANE_SATURATED),
        (waiting(60), busy(1, began=1) | queued(4), Code.LANE_SATURATED),
        (waiting(60), queued(4, released=1), Code.LANE_SATURATED),
        (waiting(60), busy(1, began=1, lane=Lane(Priority.URGENT, Size.SMALL)) | queued(4), Code.LANE_SATURATED),
        (waiting(60, size=Size.LARGE), busy(2, lane=Lane(Priority.BULK, Size.LARGE)) | LARGE_TOO, Code.LANE_SATURATED),
        (waiting(60, size=Size.LARGE), busy(1, lane=Lane(Priority.BULK, Size.LARGE)) | LARGE_TOO, Code.UNEXPLAINED),
        (waiting(60), capped(1, running=1), Code.CUSTOMER_LIMIT),
        (waiting(60), capped(1, running=1) | queued(4), Code.CUSTOMER_LIMIT),
        (waiting(2), capped(2, running=1), Code.STARTING),
        (waiting(60, released_at=ago(1)), capped(1, running=1), Code.STARTING),
        (waiting(60), {"caps": {CUSTOMER: 1}} | busy() | queued(4), Code.LANE_SATURATED),
        (parked(), busy() | queued(3), Code.LANE_SATURATED),
        (parked(), NOBODY, Code.NO_WORKER),
        (waiting(60, released_at=ago(20)), {}, Code.UNDELIVERED),
        (waiting(60), queued(1, released=20), Code.UNDELIVERED),
        (waiting(60), queued(4), Code.UNEXPLAINED),
        (waiting(60), {}, Code.UNEXPLAINED),
        (running(lease_until=ago(1)), {}, Code.WORKER_LOST),
        (running(30), DEAD, Code.WORKER_LOST),
        (running(30), NOBODY, Code.WORKER_LOST),
        (running(50), DEAF, Code.LOOP_BLOCKED),
        (running(cancel_requested_at=ago(1)), {}, Code.CANCEL_PENDING),
        (running(61), {}, Code.NO_PROGRESS),
        (moving(100, 5, reported=70), {}, Code.NO_PROGRESS),
        (moving(3600, 2, reported=70), {}, Code.RUNNING_NORMALLY),
        (running(40), learned(5), Code.SLOWER_THAN_NORMAL),
        (running(40), learned(2), Code.RUNNING_NORMALLY),
        (running(0.4), learned(5), Code.RUNNING_NORMALLY),
        (running(), {}, Code.RUNNING_NORMALLY),
    ],
)  # fmt: skip
def test_the_planted_cause_is_shown(job: Job, around: dict[str, Any], code: Code) -> None:
    assert cause(job, around).code is code


@pytest.mark.parametrize(
    ("job", "around", "first", "also"),
    [
        (waiting(60), paused() | NOBODY, Code.PAUSED, Code.NO_WORKER),
        (waiting(due_at=ago(-60)), paused(until=600), Code.PAUSED, Code.SCHEDULED),
        (waiting(due_at=ago(-900)), paused(until=600), Code.SCHEDULED, Code.PAUSED),
        (retrying(8), paused(until=600), Code.PAUSED, Code.RETRY_BACKOFF),
        (waiting(60), paused() | busy() | queued(3), Code.PAUSED, Code.LANE_SATURATED),
        (waiting(60), STRANGERS | DEAF | {"workers": (worker(kinds=(), loop_beat_at=ago(40)),)},
         Code.NO_CAPABLE_WORKER, Code.LOOP_BLOCKED),
        (waiting(60), DEAF | busy(), Code.LOOP_BLOCKED, Code.LANE_SATURATED),
        (waiting(60, released_at=ago(20)), DEAF, Code.LOOP_BLOCKED, Code.UNDELIVERED),
        (running(90, cancel_requested_at=ago(80)), DEAD, Code.WORKER_LOST, Code.CANCEL_PENDING),
        (running(90, cancel_requested_at=ago(80)), DEAF, Code.LOOP_BLOCKED, Code.CANCEL_PENDING),
        (running(90, cancel_requested_at=ago(1)), {}, Code.CANCEL_PENDING, Code.NO_PROGRESS),
        (running(90), DEAF, Code.LOOP_BLOCKED, Code.NO_PROGRESS),
        (running(90), learned(9), Code.NO_PROGRESS, Code.SLOWER_THAN_NORMAL),
    ],
)  # fmt: skip
def test_of_two_causes_the_one_that_must_end_first_is_shown(
    job: Job, around: dict[str, Any], first: Code, also: Code
) -> None:
    known = facts(job, around)
    assert cause(job, around).code is first
    assert {first, also} <= {check.code for check in examine(known) if check.holds}


@pytest.mark.parametrize(
    ("job", "around", "held"),
    [
        (ended(code="poison", message="2 workers died."), {}, {Code.POISON}),
        (ended(code="bad_input", message="No.", field="/payload"), {}, {Code.BAD_INPUT}),
        (ended(code="refused", message="No."), {}, {Code.BAD_INPUT}),
        (ended(failures=3, code="bad_input", message="No."), {}, {Code.BAD_INPUT}),
        (ended(failures=3, code="timeout", message="Too long."), {}, {Code.ATTEMPTS_FAILED}),
        (
            ended(failures=3, code="timeout", message="Too long."),
            untold(),
            {Code.ATTEMPTS_FAILED, Code.UNDELIVERED_RESULT},
        ),
        (ended(State.SUCCEEDED), untold(None), {Code.UNDELIVERED_RESULT}),
        (ended(State.SUCCEEDED), {"undelivered": {}}, set()),
        (ended(State.CANCELLED), {}, set()),
        (running(), untold(), {Code.RUNNING_NORMALLY}),
    ],
)
def test_a_finished_job_says_why_it_died_and_whether_its_end_was_told(
    job: Job, around: dict[str, Any], held: set[Code]
) -> None:
    assert {check.code for check in examine(facts(job, around)) if check.holds} == held


def test_what_lay_there_while_there_was_no_worker_is_undelivered_only_since_there_is_one() -> None:
    lies = waiting(60, released_at=ago(20))
    assert cause(lies, {"workers": (worker(started_at=ago(90)),)}).since == ago(20)
    assert cause(lies, {"workers": (worker(started_at=ago(2)),)}).since == ago(2)
    unable = worker(kinds=(), started_at=ago(90))
    assert cause(lies, {"workers": (unable, worker(started_at=ago(2)))}).since == ago(2)


def test_whether_an_end_was_told_is_unknown_where_nobody_looked() -> None:
    answers = {check.code: check.answer for check in examine(facts(ended(State.SUCCEEDED)))}
    assert answers[Code.UNDELIVERED_RESULT] is Answer.UNKNOWN


def test_the_page_about_causes_has_them_all_in_the_order_in_which_they_are_shown() -> None:
    page = (Path(__file__).parents[3] / "docs" / "causes.md").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^\| `(\w+)` \|", page) == list(Code)


def test_a_worker_counts_as_dead_here_when_it_does_for_the_dispatcher() -> None:
    assert ALIVE_FOR == lanes_store.ALIVE_FOR


def test_what_cannot_be_known_is_called_unknown() -> None:
    answers = {check.code: check.answer for check in examine(facts(waiting(60), NOBODY))}
    assert answers[Code.NO_CAPABLE_WORKER] is Answer.UNKNOWN
    assert {check.code: check.answer for check in examine(facts(running()))}[Code.SLOWER_THAN_NORMAL] is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("job", "around", "said"),
    [
        (waiting(60), busy() | queued(1), "1 job is ahead of yours."),
        (waiting(60), busy() | queued(4), "4 jobs are ahead of yours."),
        (waiting(60), busy() | queued(500, at_least=True), "At least 500 jobs are ahead of yours."),
        (waiting(60), capped(2, running=2),
         "2 of your jobs may run at the same time, and as many do. Yours starts when one of them ends."),
        (parked(), busy(), ("Your job gave way to other work at 2026-11-22 11:59:30 UTC: 12 of 40 bill months done, "
         "and kept; it goes on by itself.")),
        (waiting(60), paused(), ("Our operations team has paused this queue until 2026-11-22 12:10:00 UTC "
         "(The database moves.). Your job keeps its place.")),
        (retrying(8), {}, "Attempt 1 of 3 failed (This drill fails.). It is tried again at 2026-11-22 12:00:08 UTC."),
        (moving(5, 5), learned(9, took=10), ("Your job is being worked on: 5 of 10 bill months done, "
         "which is normal after 5 s.")),
    ],
)  # fmt: skip
def test_the_customer_reads_plain_words(job: Job, around: dict[str, Any], said: str) -> None:
    assert say(cause(job, around)) == said


@pytest.mark.parametrize(("around", "code"), [(paused(), Code.PAUSED), (capped(1, running=1), Code.CUSTOMER_LIMIT)])
def test_what_is_held_back_is_not_said_to_be_about_to_start_beside_it(around: dict[str, Any], code: Code) -> None:
    assert [check.code for check in examine(facts(waiting(0.1), around)) if check.holds] == [code]


def test_a_limit_is_proven_by_the_customers_own_jobs_alone() -> None:
    around = capped(2, running=1)
    theirs = busy(4, lane=Lane(Priority.BULK, Size.SMALL))["running"]
    ticket = Ticket(uuid5(SPACE, "own ticket"), CUSTOMER, ago(1))
    around |= {"running": around["running"] | theirs, "runways": {LANE: (ticket,)}}
    told = cause(waiting(60), around)
    assert told.code is Code.CUSTOMER_LIMIT
    assert told.evidence == {
        "limit": 2, "running": 1, "about_to_start": 1, "jobs": (uuid5(SPACE, "own job"),),
    }  # fmt: skip


def test_a_job_that_gave_way_says_since_when_and_how_far_it_is() -> None:
    told = cause(parked(), busy() | queued(3))
    assert told.since == ago(30)
    assert told.evidence["ahead"] == 3
    assert (told.evidence["done"], told.evidence["total"], told.evidence["unit"]) == (12, 40, "bill months")


def test_news_come_when_the_cause_ends_and_asking_again_does_not_put_them_off() -> None:
    until = waiting(due_at=ago(-60))
    assert next_news(cause(until)) == ago(-60) + NEWS_WITHIN
    first = next_news(cause(waiting(60), NOBODY | DEAD))
    later = replace(cause(waiting(60), DEAD), observed_at=NOW + timedelta(seconds=10))
    assert next_news(later) == first == ago(-51) + NEWS_WITHIN


def test_a_job_that_moves_ends_when_its_own_rate_says() -> None:
    eta = expect(facts(moving(50, 5)), cause(moving(50, 5)))
    assert eta is not None
    assert abs((eta.likely - ago(-50)).total_seconds()) < 1
    assert eta.confidence is None
    nearly = expect(facts(moving(90, 9)), cause(moving(90, 9)))
    assert nearly is not None
    assert nearly.latest - nearly.earliest < (eta.latest - eta.earliest) / 3


def test_work_ahead_is_shared_by_the_slots() -> None:
    around = learned(50) | busy(began=0.1) | queued(40)
    eta = expect(facts(waiting(60), around), cause(waiting(60), around))
    assert eta is not None
    alone = 40 * 0.5 / ALL_SLOTS  # seconds
    assert alone < (eta.likely - NOW).total_seconds() < alone * 1.5 + 1
    assert eta.confidence is None


@pytest.mark.parametrize(
    ("job", "around"),
    [
        (waiting(0.1), learned(2)),
        (waiting(60), learned(9) | NOBODY),
        (waiting(60), learned(9) | busy() | queued(500, at_least=True)),
        (running(lease_until=ago(1)), learned(9)),
        (running(cancel_requested_at=ago(1)), learned(9)),
        (running(), {}),
    ],
)
def test_no_end_is_named_where_none_is_known(job: Job, around: dict[str, Any]) -> None:
    assert expect(facts(job, around), cause(job, around)) is None


@pytest.mark.parametrize(
    ("similar", "began", "verdict"), [(2, 40, "unknown"), (3, 0.4, "normal"), (3, 40, "slow"), (120, 2, "slow")]
)
def test_what_is_normal_is_told_from_three_similar_jobs_on(similar: int, began: float, verdict: str) -> None:
    told = normal(facts(running(began), learned(similar)))
    assert (told.verdict, told.similar_jobs) == (verdict, similar)
    assert (told.p50_s is None) == (verdict == "unknown")
