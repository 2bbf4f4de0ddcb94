"""Admission in a simulation: who is refused, until when, and that this was the truth."""

from dataclasses import replace
from datetime import timedelta

import pytest

from invoicing.jobs.kinds import JobKind
from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, SIZES
from invoicing.plan.model.door import FOLLOWED, USUAL_PROMISE_S, Admission
from invoicing.plan.model.report import report
from invoicing.plan.model.scenario import Promise, Scenario
from invoicing.plan.model.simulation import Outcome, simulate
from invoicing.plan.model.work import Ended, Fleet, Work

STRICT = Admission(dict.fromkeys(SIZES, 5.0))


def job(at_s: float, customer: str = "flood", priority: Priority = Priority.NORMAL, size_s: float = 0.5) -> Work:
    return Work(at_s, customer, customer, priority, size_s, size_s, 0)


def flood(many: int = 300, priority: Priority = Priority.NORMAL) -> list[Work]:
    return [job(n / 100, priority=priority) for n in range(many)]


def refused(outcome: Outcome, customer: str = "flood") -> list[Ended]:
    return [one for one in outcome.jobs if one.refused and one.work.customer == customer]


@pytest.mark.parametrize("slots", [1, 3])
def test_who_is_refused_is_told_to_come_when_it_would_be_taken_in_where_nothing_else_comes(slots: int) -> None:
    outcome = simulate(flood(), Fleet((slots,)), replace(POLICY, spare=0), admission=STRICT)
    last = refused(outcome)[-1]
    followed = [one for one in refused(outcome) if one.taken_in_after_s is not None]
    assert len(followed) == min(FOLLOWED, len(refused(outcome)))
    for one in followed:
        assert one.retry_after_s is not None
        assert one.taken_in_after_s is not None
        rest = last.work.at_s - one.work.at_s  # while the others still came
        assert abs(one.taken_in_after_s - one.retry_after_s) <= rest + 3.0


def test_a_flood_is_refused_to_its_own_customer_bulk_before_urgent() -> None:
    others = [job(1.0 + n / 4, f"other {n % 5}") for n in range(20)]

    def turned_away(priority: Priority) -> int:
        outcome = simulate([*flood(priority=priority), *others], Fleet((2,)), POLICY, admission=STRICT)
        assert not any(one.refused for one in outcome.jobs if one.work.customer != "flood")
        return len(refused(outcome))

    assert turned_away(Priority.BULK) > turned_away(Priority.NORMAL) > turned_away(Priority.URGENT) > 0


def test_a_job_with_a_promise_of_its_own_is_refused_by_that_one() -> None:
    patient = [replace(one, promise_s=1000.0) for one in flood()]
    assert not refused(simulate(patient, Fleet((1,)), POLICY, admission=STRICT))
    assert not refused(simulate(flood(), Fleet((1,)), POLICY, admission=Admission()))


def test_while_no_worker_lives_nobody_knows_a_wait_and_everybody_is_taken_in() -> None:
    outcome = simulate(flood(), Fleet(()), POLICY, admission=STRICT, until_s=10.0)
    assert len(outcome.jobs) == 300
    assert not refused(outcome)


def test_who_has_twice_the_weight_is_taken_in_where_another_is_refused() -> None:
    work = [job(n / 100, name) for n in range(300) for name in ("one", "two")]
    outcome = simulate(work, Fleet((2,), weights={"one": 4.0}), POLICY, admission=STRICT)
    assert len(refused(outcome, "one")) < len(refused(outcome, "two"))


def test_the_report_says_how_many_of_which_priority_were_refused_and_how_true_the_time_was() -> None:
    outcome = simulate(flood(priority=Priority.BULK), Fleet((1,)), POLICY, admission=STRICT)
    (found,) = report([outcome], Fleet((1,)), POLICY).refusals
    assert (found.priority, found.jobs, found.refused) == (Priority.BULK, 300, len(refused(outcome)))
    assert 1 <= found.retry_after_p50 <= found.retry_after_p90
    assert 0 < found.followed <= found.refused
    assert found.off_p50 <= found.off_p90 <= 5.0


def test_no_promise_is_kept_to_those_who_are_refused() -> None:
    def kept(admission: Admission | None) -> bool:
        scenario = Scenario(lambda _run: flood(), Fleet((1,)), POLICY, 1, admission=admission)
        return scenario.kept(Promise(Size.SMALL, 20.0)).is_kept

    assert not kept(STRICT)


def test_what_is_promised_usually_is_what_a_kind_promises_that_says_nothing() -> None:
    usual = JobKind.__dataclass_fields__["promise"].default_factory
    assert callable(usual)
    assert usual() == {size: timedelta(seconds=seconds) for size, seconds in USUAL_PROMISE_S.items()}
