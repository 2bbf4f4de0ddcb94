"""A what-if changes what it names and nothing else."""

from collections import Counter

import pytest

from invoicing.jobs.model import Priority
from invoicing.plan.model.changes import changed, faster, longer, longer_than, more, of_kind, redrawn
from invoicing.plan.model.work import Work


def job(at_s: float, kind: str = "small", size_s: float = 1.0) -> Work:
    return Work(at_s, "acme", "acme/1", Priority.NORMAL, size_s, size_s * 2, 10, kind)


JOBS = [job(float(second)) for second in range(1000)] + [job(float(at), "years", 5000.0) for at in range(0, 1000, 10)]


@pytest.mark.parametrize(("factor", "years"), [(2, 200), (3, 300), (1, 100), (0, 0)])
def test_so_many_times_as_many_of_a_kind_is_so_many_and_no_other_kind_changes(factor: float, years: int) -> None:
    found = changed(JOBS, [more(of_kind("years"), factor, "")], seed=1)
    assert Counter(one.kind for one in found) == Counter({"small": 1000, "years": years})
    assert [one for one in found if one.kind == "small"] == JOBS[:1000]


def test_a_fraction_is_kept_by_chance_but_the_same_chance_for_the_same_seed() -> None:
    asked = [more(of_kind("small"), 1.5, "")]
    found = changed(JOBS, asked, seed=1)
    assert sum(one.kind == "small" for one in found) == pytest.approx(1500, rel=0.05)
    assert found == changed(JOBS, asked, seed=1)
    assert found != changed(JOBS, asked, seed=2)


def test_copies_arrive_near_their_originals_and_within_the_time() -> None:
    found = changed([job(0.0), job(500.0, "years"), job(1000.0)], [more(of_kind("years"), 50, "")], seed=1)
    times = [one.at_s for one in found if one.kind == "years"]
    assert len(times) == 50
    assert all(450 <= time <= 550 for time in times)
    assert len(set(times)) == 50


def test_jobs_are_chosen_by_what_they_take() -> None:
    found = changed(JOBS, [more(longer_than(3600), 2, "")], seed=1)
    assert Counter(one.kind for one in found) == Counter({"small": 1000, "years": 200})


def test_longer_jobs_take_longer_are_taken_for_longer_and_stop_as_often_per_second() -> None:
    (found,) = changed([job(0.0)], [longer(of_kind("small"), 3, "")], seed=1)
    assert (found.size_s, found.estimated_s, found.checkpoints) == (3.0, 6.0, 30)


def test_a_faster_load_is_the_same_jobs_in_less_time() -> None:
    found = changed(JOBS, [faster(2.0, "")], seed=1)
    assert len(found) == len(JOBS)
    assert max(one.at_s for one in found) == 499.5


def test_questions_add_up_and_the_jobs_stay_in_order() -> None:
    asked = [more(of_kind("years"), 2, ""), longer(of_kind("years"), 2, ""), faster(2, "")]
    found = changed(JOBS, asked, seed=1)
    assert [one.at_s for one in found] == sorted(one.at_s for one in found)
    assert sum(one.size_s for one in found) == pytest.approx(1000 + 200 * 10_000)


def test_a_history_drawn_anew_keeps_bursts_together_and_its_length() -> None:
    burst = [job(at_s=505.0 + number / 1000) for number in range(100)]
    found = redrawn(sorted([*JOBS, *burst], key=lambda one: one.at_s), blocks=20, seed=3)
    assert found[0].at_s >= 0
    assert found[-1].at_s <= 1000
    per_block = Counter(int(one.at_s / 49.95) for one in found)
    assert set(per_block.values()) & set(range(150, 160))
    assert all(count < 62 or count > 140 for count in per_block.values())
    assert found == redrawn(sorted([*JOBS, *burst], key=lambda one: one.at_s), blocks=20, seed=3)


def test_nothing_drawn_anew_is_nothing() -> None:
    assert redrawn([], blocks=20, seed=1) == []
