"""What is down holds back the jobs that need it, and nobody else: as if they were not there, until it is back."""

from collections import Counter
from collections.abc import Iterable, Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from invoicing.lanes.model import LANES, POLICY, SIZES, Lane, Queue, Scheduler, Waiting
from invoicing.lanes.model.line import play

Job = tuple[int, int, Lane, float, str]
NEEDS = ("", "", "", "gate", "gate post", "post")
jobs_of_many = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 2), st.sampled_from(LANES), st.floats(0, 100), st.sampled_from(NEEDS)),
    max_size=30,
)
ALL = dict.fromkeys(SIZES, 1_000)


def waiting(jobs: Sequence[Job]) -> list[Waiting]:
    return [
        Waiting(UUID(int=number), 1, UUID(int=who), UUID(int=100 * who + key), lane, due, 1.0, needs=needs)
        for number, (who, key, lane, due, needs) in enumerate(jobs, 1)
    ]


def scheduler(jobs: Iterable[Waiting], known: Iterable[Waiting] = ()) -> Scheduler:
    """Show jobs; who is known beforehand is so in the order of their first jobs, which decides between those alike."""
    made, queues = Scheduler(POLICY), dict[Queue, list[Waiting]]()
    for one in known:
        made.show(one.queue, [])
    for one in jobs:
        queues.setdefault(one.queue, []).append(one)
    for queue, heads in queues.items():
        made.show(queue, sorted(heads, key=lambda one: (one.order_at, one.job_id)))
    return made


@given(jobs_of_many)
def test_others_start_as_if_what_is_held_back_were_not_there(jobs: list[Job]) -> None:
    every = waiting(jobs)
    held = scheduler(every, every)
    held.hold({"gate": 0})
    without = scheduler((one for one in every if "gate" not in one.needs.split()), every)
    assert held.release(ALL) == without.release(ALL)
    assert not held.waits


@given(jobs_of_many)
def test_once_it_is_back_all_start_in_the_order_of_ever(jobs: list[Job]) -> None:
    back, ever = scheduler(waiting(jobs)), scheduler(waiting(jobs))
    back.hold({"gate": 0, "post": 1})
    back.blocked(5)
    back.hold({})
    assert back.release(ALL) == ever.release(ALL)


@given(jobs_of_many)
def test_what_need_not_be_told_apart_starts_in_the_order_of_its_key_alone(jobs: list[Job]) -> None:
    apart = scheduler(waiting(jobs)).release(ALL)
    alike = scheduler(one._replace(needs="") for one in waiting(jobs)).release(ALL)
    assert [one.job_id for one in apart] == [one.job_id for one in alike]


@given(jobs_of_many, st.integers(1, 10))
def test_one_job_tries_what_is_down_and_asking_what_is_next_uses_that_up_for_nobody(
    jobs: list[Job], asked: int
) -> None:
    every = waiting(jobs)
    trying, unasked = scheduler(every), scheduler(every)
    for one in (trying, unasked):
        one.hold({"gate": 1, "post": 0})
    foreseen = trying.blocked(asked)
    released = trying.release(ALL)
    assert released[:asked] == foreseen
    assert unasked.release(ALL) == released
    assert not any("post" in one.needs for one in released)
    needing = [one for one in released if one.needs == "gate"]
    assert len(needing) == min(1, sum(one.needs == "gate" for one in every))


def test_whoever_was_held_back_has_saved_up_nothing_when_it_goes_on() -> None:
    lane = LANES[0]
    every = waiting(
        [(who, key, lane, 0.0, needs) for who, key, needs in [(1, 0, "gate"), (2, 1, ""), (2, 0, "gate")] * 90]
    )
    made = scheduler(every)
    made.hold({"gate": 0})

    def served(many: int) -> Counter[tuple[int, str]]:
        found = Counter[tuple[int, str]]()
        for _ in range(many):
            (one,) = made.release(dict.fromkeys(SIZES, 1))
            found[one.customer_id.int, one.needs] += 1
            made.ended(one.customer_id)
        return found

    assert served(40) == {(2, ""): 40}
    made.hold({})
    assert all(abs(count - 10) <= 1 or (who == 1 and abs(count - 20) <= 1) for (who, _), count in served(40).items())


def test_what_comes_while_it_is_down_is_held_back_and_its_customer_is_not_forgotten() -> None:
    made = Scheduler(POLICY)
    made.hold({"gate": 0})
    (one,) = waiting([(1, 0, LANES[0], 1.0, "gate")])
    made.show(one.queue, [one])
    assert made.release(ALL) == []
    made.counters()
    made.hold({})
    assert made.release(ALL) == [one]


@given(jobs_of_many)
def test_a_place_in_the_line_behind_all_that_may_start_is_kept_for_what_is_held_back(jobs: list[Job]) -> None:
    made = scheduler(waiting(jobs))
    made.hold({"gate": 0})
    line = play(made, [], [], dict.fromkeys(SIZES, 2)).started
    needing = ["gate" in one.needs.split() for one in line]
    assert len(line) == len(jobs)
    assert needing == sorted(needing)
