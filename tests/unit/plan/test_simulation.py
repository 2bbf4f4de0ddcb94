"""A simulated load: nothing is lost or done twice, quotas and caps hold, and large work does not block small."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, SIZES
from invoicing.plan.model.machine import Machine
from invoicing.plan.model.simulation import Admission, Death, Fleet, Outcome, Work, simulate


def job(
    at_s: float, size_s: float, customer: str = "one", *, claims_s: float | None = None, stops: bool = True
) -> Work:
    claimed = size_s if claims_s is None else claims_s
    return Work(at_s, customer, customer, Priority.NORMAL, size_s, claimed, int(size_s) if stops else 0)


jobs = st.builds(
    job,
    st.floats(0, 60),
    st.sampled_from([0.1, 0.9, 5.0, 40.0]),
    st.sampled_from(["one", "two", "three"]),
    claims_s=st.sampled_from([0.1, 2.0, 50.0]),
    stops=st.booleans(),
)
fleets = st.lists(st.integers(1, 8), min_size=1, max_size=3).map(lambda slots: Fleet(tuple(slots)))


def ended_whole(outcome: Outcome, work: Sequence[Work]) -> None:
    assert len(outcome.jobs) == len(work)
    for one in outcome.jobs:
        assert one.started_s is not None
        assert one.finished_s is not None
        assert one.started_s >= one.work.at_s
        assert one.finished_s >= one.started_s + one.work.size_s - 1e-6


@settings(deadline=None, max_examples=40)
@given(st.lists(jobs, max_size=30), fleets)
def test_every_job_is_done_once_and_no_faster_than_it_can_be(work: list[Work], fleet: Fleet) -> None:
    outcome = simulate(work, fleet, POLICY)
    ended_whole(outcome, work)
    done = sum(one.size_s for one in work)
    assert done - 1e-6 <= sum(outcome.served_s.values())
    if all(one.checkpoints for one in work):  # nothing had to be killed and begun again
        assert sum(outcome.served_s.values()) == pytest.approx(done)


@settings(deadline=None, max_examples=20)
@given(st.lists(jobs, max_size=20), fleets)
def test_the_same_load_fares_the_same_again(work: list[Work], fleet: Fleet) -> None:
    assert simulate(work, fleet, POLICY) == simulate(work, fleet, POLICY)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.builds(job, st.floats(0, 20), st.sampled_from([0.5, 5.0, 40.0, 1000.0])), max_size=30))
def test_work_that_is_what_it_claims_never_exceeds_a_quota(work: list[Work]) -> None:
    seen: list[bool] = []
    start = Machine.start

    def watched(self: Machine, *args: object) -> object:
        run = start(self, *args)  # type: ignore[arg-type]  # passed on as they came
        held = [sum(self.counts[size] for size in SIZES[place:]) for place in range(len(SIZES))]
        seen.append(all(count <= self.quota[size] for count, size in zip(held, SIZES, strict=True)))
        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "start", watched)
        simulate(work, Fleet((8,)), POLICY)
    assert all(seen)


def story(*, stops: bool, claims_s: float | None) -> list[Work]:
    giants = [job(0.0, 2000.0, f"giant {n}", claims_s=claims_s, stops=stops) for n in range(2)]
    return giants + [job(10.0 + n, 0.3, f"small {n % 7}") for n in range(600)]


@pytest.mark.parametrize("stops", [True, False])
@pytest.mark.parametrize("claims_s", [None, 0.3])
@pytest.mark.parametrize("freezes", [True, False])
def test_giants_do_not_block_small_work_whether_they_lie_or_cannot_stop(
    stops: bool,  # noqa: FBT001 - a column of the table
    claims_s: float | None,
    freezes: bool,  # noqa: FBT001 - a column of the table
) -> None:
    outcome = simulate(story(stops=stops, claims_s=claims_s), Fleet((2,), freezes=freezes), POLICY)
    waits = sorted(one.finished_s - one.work.at_s for one in outcome.jobs if one.work.size_s < 1 and one.finished_s)
    assert len(waits) == 600
    assert waits[593] < 2.5
    assert all(one.slowdown is not None and one.slowdown < 1.8 for one in outcome.jobs if one.work.size_s > 1)


def test_without_giving_way_they_do() -> None:
    stubborn = replace(POLICY, spare=0, least_run_s=1e12, turn_s=dict.fromkeys(SIZES, 1e12))
    outcome = simulate(story(stops=True, claims_s=None), Fleet((2,)), stubborn)
    assert max(one.wait_s or 0.0 for one in outcome.jobs) > 1000


def test_a_customer_never_has_more_jobs_running_than_its_cap() -> None:
    work = [job(0.0, 0.5, "one") for _ in range(20)] + [job(0.0, 0.5, "two") for _ in range(20)]
    outcome = simulate(work, Fleet((8,), caps={"one": 2}), POLICY)
    ended_whole(outcome, work)
    spans = [(one.started_s or 0.0, one.finished_s or 0.0) for one in outcome.jobs if one.work.customer == "one"]
    assert max(sum(start <= at < end for start, end in spans) for at, _ in spans) == 2


def test_weights_divide_the_service() -> None:
    work = [job(0.0, 0.5, name) for name in ("one", "two") for _ in range(400)]
    outcome = simulate(work, Fleet((2,), weights={"one": 3.0}), POLICY, until_s=60.0)
    served = {name: sum(s for (who, _, _), s in outcome.served_s.items() if who == name) for name in ("one", "two")}
    assert served["one"] / served["two"] == pytest.approx(3.0, rel=0.15)


@pytest.mark.parametrize("back_at_s", [None, 200.0])
def test_when_a_worker_dies_its_jobs_go_on_elsewhere_from_their_checkpoints(back_at_s: float | None) -> None:
    work = [job(0.0, 100.0, f"customer {n}") for n in range(8)]
    calm = simulate(work, Fleet((4, 4)), POLICY)
    hit = simulate(work, Fleet((4, 4), deaths=(Death(0, 50.0, back_at_s),)), POLICY)
    ended_whole(hit, work)
    assert hit.lasted_s > calm.lasted_s + 15
    assert sum(hit.served_s.values()) < 1.02 * sum(calm.served_s.values())


def test_what_is_refused_never_runs_and_disturbs_nobody() -> None:
    work = [job(0.0, 0.5, "flood") for _ in range(100)] + [job(1.0, 0.5, "one")]
    outcome = simulate(work, Fleet((1,)), POLICY, admission=Admission(dict.fromkeys(SIZES, 2.0)))
    refused = [one for one in outcome.jobs if one.refused]
    assert {one.work.customer for one in refused} == {"flood"}
    assert len(refused) > 80
    assert all(one.started_s is None and one.retry_after_s for one in refused)
    assert outcome.jobs[-1].wait_s is not None
    assert outcome.jobs[-1].wait_s < 1.0


def test_a_slot_that_is_kept_free_for_smaller_work_counts_as_idle_while_work_waits() -> None:
    work = [job(0.0, 1000.0, f"customer {n}") for n in range(8)]
    outcome = simulate(work, Fleet((8,)), POLICY, until_s=500.0)
    assert outcome.idle_while_waiting == pytest.approx(3 / 8, abs=0.01)


def test_work_is_accounted_to_the_class_in_which_it_was_done() -> None:
    outcome = simulate([job(0.0, 40.0, claims_s=0.5)], Fleet((1,)), POLICY)
    by_class = {size: s for (_, _, size), s in outcome.served_s.items()}
    assert by_class == pytest.approx({Size.SMALL: 1.0, Size.MEDIUM: 29.0, Size.LARGE: 10.0})


def test_one_core_does_no_more_work_than_one_core_whatever_runs_beside() -> None:
    outcome = simulate([job(0.0, 100.0, "giant"), job(5.0, 0.3, "small")], Fleet((1,)), POLICY)
    giant, small = outcome.jobs
    assert small.wait_s == 0.0  # on the spare slot
    assert giant.finished_s == pytest.approx(100.3)
    assert small.slowdown == pytest.approx(1 + 110 / 1024, abs=0.01)


def stubborn(many: int, size_s: float = 300.0) -> list[Work]:
    """Work that cannot stop, and small work beside that needs the slot."""
    return [job(0.0, size_s, f"giant {n}", stops=False) for n in range(many)]


def small_stream(lasts_s: int) -> list[Work]:
    return [job(5.0 + n / 2, 0.8, f"small {n % 20}") for n in range(2 * lasts_s)]


@pytest.mark.parametrize("freezes", [True, False])
def test_work_without_checkpoints_holds_no_slot_a_quantum_after_it_was_asked_and_none_of_it_is_lost(
    freezes: bool,  # noqa: FBT001 - a column of the table
) -> None:
    work = stubborn(1) + [job(5.0, 0.9, "small") for _ in range(3)]
    outcome = simulate(work, Fleet((1,), freezes=freezes), replace(POLICY, spare=0))
    giant, *small = outcome.jobs
    first = min(one.started_s or 0.0 for one in small)
    assert first == pytest.approx(5.0 + POLICY.quantum_s)
    assert giant.parked == 0
    assert sum(outcome.served_s.values()) == pytest.approx(sum(one.size_s for one in work))
    last = max(one.finished_s or 0.0 for one in small)
    assert last - first == pytest.approx(3 * 0.9 if freezes else 3 * 0.9 * (1 + 36 / 1024), rel=0.02)


def test_what_was_set_aside_comes_back_before_more_of_its_own_class_starts() -> None:
    giants = [job(at_s, 25.0, f"giant {at_s}", stops=False) for at_s in (0.0, 6.0)]
    outcome = simulate([*giants, job(5.0, 0.9, "small")], Fleet((1,), freezes=True), replace(POLICY, spare=0))
    second = next(one for one in outcome.jobs if one.work.customer == "giant 6.0")
    turn_ends = 5.0 + POLICY.quantum_s + 0.9 + POLICY.turn_s[Size.MEDIUM]
    assert second.started_s is not None
    assert turn_ends <= second.started_s <= turn_ends + 1.0


@pytest.mark.parametrize("restarts", [True, False])
def test_no_more_is_set_aside_than_there_is_memory_for(
    restarts: bool,  # noqa: FBT001 - a column of the table
) -> None:
    seen: list[int] = []
    set_aside = Machine.set_aside

    def watched(self: Machine, *args: object, **how: object) -> None:
        set_aside(self, *args, **how)  # type: ignore[arg-type]  # passed on as they came
        seen.append(self.asides)

    work = stubborn(8) + small_stream(60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "set_aside", watched)
        outcome = simulate(work, Fleet((2,), freezes=True, restarts=restarts), replace(POLICY, spare=0))
    ended_whole(outcome, work)
    assert max(seen) == 4
    again = sum(outcome.served_s.values()) - sum(one.size_s for one in work)
    assert (again > 1.0) is restarts


def test_a_job_whose_checkpoints_lie_far_apart_is_set_aside_too_until_it_reaches_one() -> None:
    rare = Work(0.0, "rare", "rare", Priority.NORMAL, 40.0, 40.0, 3)
    outcome = simulate([rare, job(5.0, 0.9, "small")], Fleet((1,)), replace(POLICY, spare=0))
    giant, small = outcome.jobs
    assert small.started_s == pytest.approx(6.0)
    assert giant.finished_s == pytest.approx(40.9)


def test_liars_that_are_too_many_of_their_class_take_turns_and_leave_the_last_slots_to_smaller_work() -> None:
    liars = [job(0.0, 200.0, f"liar {n}", claims_s=0.3) for n in range(8)]
    outcome = simulate(liars, Fleet((8,)), POLICY, until_s=150.0)
    assert sum(one.parked for one in outcome.jobs) > 0
    assert outcome.idle_while_waiting == pytest.approx(1 / 8, abs=0.03)  # six large ones, and one yet medium
