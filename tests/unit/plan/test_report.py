"""A report says what the simulation showed: no more, and nothing that few jobs cannot prove."""

import math

import pytest

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY
from invoicing.plan.model.course import Course
from invoicing.plan.model.report import report
from invoicing.plan.model.scenario import Promise, Scenario
from invoicing.plan.model.simulation import simulate
from invoicing.plan.model.work import Ended, Fleet, Outcome, Work

FLEET = Fleet((4,))


def ended(waited_s: float | None, size_s: float = 0.5, priority: Priority = Priority.NORMAL) -> Ended:
    work = Work(10.0, "acme", "acme/1", priority, size_s, size_s, 0)
    if waited_s is None:
        return Ended(work, None, None)
    return Ended(work, 10.0 + waited_s, 10.0 + waited_s + size_s)


def outcome(*jobs: Ended) -> Outcome:
    return Outcome(jobs, 100.0, 400.0, 40.0, {("acme", Priority.NORMAL, Size.SMALL): 100.0})


def test_waits_are_those_of_all_runs_and_each_run_is_told_too() -> None:
    quick, slow = outcome(*[ended(0.1)] * 600), outcome(*[ended(0.1)] * 400, *[ended(9.0)] * 200)
    (row,) = report([quick, slow], FLEET, POLICY).rows
    assert (row.jobs, row.wait.p50, row.wait.p99, row.wait.most) == (1200, *map(pytest.approx, (0.1, 9.0, 9.0)))
    assert list(row.p99_between) == pytest.approx([0.1, 9.0])
    assert row.slowdown_p99 == pytest.approx(19.0)
    assert row.ended_p99 == pytest.approx(9.5)
    assert row.promise_s == 10.0
    assert not row.few


def test_a_class_is_what_a_job_took_and_its_priorities_are_told_apart_where_there_are_several() -> None:
    jobs = [ended(0, 0.5), ended(0, 0.5, Priority.URGENT), ended(0, 60.0)]
    rows = report([outcome(*jobs)], FLEET, POLICY).rows
    assert [(row.size, row.priority, row.jobs) for row in rows] == [
        (Size.SMALL, None, 2),
        (Size.SMALL, Priority.URGENT, 1),
        (Size.SMALL, Priority.NORMAL, 1),
        (Size.LARGE, None, 1),
    ]
    assert all(row.few for row in rows)


def test_a_job_that_never_ends_is_promised_nothing() -> None:
    found = report([outcome(ended(0.0), ended(None))], FLEET, POLICY)
    (row,) = found.rows
    assert found.never == 1
    assert row.wait.most == math.inf
    assert row.promise_s == math.inf


def test_used_and_idle_are_shares_of_the_slot_time_that_was_offered() -> None:
    found = report([outcome(ended(0.0))], FLEET, POLICY)
    assert (found.used, found.idle_while_waiting) == (0.25, 0.1)


def test_the_answer_is_that_of_the_simulator_itself() -> None:
    jobs = [Work(at / 4, "acme", "acme/1", Priority.NORMAL, 0.3 + at % 7, 0.3 + at % 7, 3) for at in range(200)]
    told = Scenario(lambda _run: jobs, FLEET, POLICY, 1).report()
    directly = simulate(jobs, FLEET, POLICY)
    waits = sorted(one.wait_s for one in directly.jobs if one.wait_s is not None and one.work.size_s <= 1.0)
    row = told.row(Size.SMALL)
    assert row is not None
    assert row.jobs == len(waits)
    assert row.wait.most == pytest.approx(waits[-1])
    assert told.work_s == pytest.approx(sum(job.size_s for job in jobs))
    assert told.lasted_s == directly.lasted_s
    assert told.course == directly.course
    assert max(at.busy for at in told.course) >= 4
    assert max(at.waiting for at in told.course) > 100


def test_a_promise_is_about_the_end_and_broken_by_more_than_one_in_a_hundred() -> None:
    def kept(late: int) -> bool:
        jobs = [ended(1.6)] * late + [ended(1.4)] * (100 - late)
        scenario = Scenario(lambda _run: (), FLEET, POLICY, 1, lambda *_: [outcome(*jobs)])
        return scenario.kept(Promise(Size.SMALL, 2.0)).is_kept

    assert kept(late=0)
    assert kept(late=1)
    assert not kept(late=2)


def test_the_course_of_a_long_time_has_few_samples_and_all_of_it() -> None:
    course = Course()
    for second in range(1, 100_001):
        course.stood(float(second), busy=second % 5, waiting=second)
    moments = course.moments()
    assert 250 < len(moments) <= 600
    assert moments[0].at_s == 0
    assert moments[-1].at_s > 99_000
    assert all(at.waiting == math.ceil(at.at_s) or at.at_s == int(at.at_s) for at in moments)
    assert [at.at_s for at in moments] == sorted({at.at_s for at in moments})
