"""A job's account: whatever happened to it, each millisecond of its life is booked once, on what is proven."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.diagnosis.model.account import (
    EVERYWHERE,
    Condition,
    Part,
    account,
    customer_scope,
    dependency_scope,
    silence_bound_s,
    totals,
    windows,
)
from invoicing.diagnosis.model.causes import RULES
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.life import Entry, Life, Try, length_ms, span
from invoicing.diagnosis.model.running import patience
from invoicing.jobs.model import FINISHED, TRANSITIONS, WAITING, Event, State

from .situations import CUSTOMER, JOB, NOW, ago, facts, moving, running

HERE, THERE = "normal-small", "bulk-small"
LEADS_TO = {
    State.RUNNING: Event.STARTED,
    State.SUCCEEDED: Event.SUCCEEDED,
    State.RETRYING: Event.RETRYING,
    State.DEAD: Event.DEAD,
    State.CANCELLED: Event.CANCELLED,
}
QUOTA = {"quota": {"limit": 2, "period": "day"}}
BACK = (Event.INTERRUPTED, Event.PARKED, Event.RESCUED)


def life(*happened: tuple[float, Event, State], submitted: float = 100, **changed: Any) -> Life:
    """Tell a life by what happened how many seconds ago; attempts are counted by their starts."""
    entries, attempt = [Entry(ago(submitted), Event.ACCEPTED, State.QUEUED, 0, {"lane": HERE})], 0
    for seconds, event, state in happened:
        attempt += event is Event.STARTED
        entries.append(Entry(ago(seconds), event, state, attempt))
    ended = entries[-1].at if entries[-1].state in FINISHED else None
    tries = {entry.attempt: Try(entry.attempt, entry.at) for entry in entries if entry.event is Event.STARTED}
    told = Life(JOB, CUSTOMER, "drill", HERE, 0.5, ago(submitted), ago(submitted), ended, tuple(entries), tries)
    return replace(told, **changed)


def told(parts: tuple[Part, ...]) -> list[tuple[str, float]]:
    return [(part.cause.value, part.ms / 1000) for part in parts]


def held(cause: Code, since: float, until: float | None, scope: str = HERE, **more: Any) -> Condition:
    return Condition(cause, scope, ago(since), None if until is None else ago(until), **more)


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Draw a way through the state chart, at times that are not always in order, with whatever else is written."""
    state, at = draw(st.sampled_from([State.QUEUED, State.QUEUED, State.IN_REVIEW])), draw(st.floats(100, 5_000))
    attempt, lane = 0, HERE
    first: dict[str, Any] = {"lane": HERE, **draw(st.sampled_from([{}, QUOTA]))}
    submitted, entries, tries = ago(at), [Entry(ago(at), Event.ACCEPTED, state, 0, first)], {}
    for _ in range(draw(st.integers(0, 12))):
        at = max(0.0, at - draw(st.floats(-0.5, 200)))
        if TRANSITIONS[state] and draw(st.sampled_from([True, True, True, False])):
            was, state = state, draw(st.sampled_from(sorted(TRANSITIONS[state])))
            event = LEADS_TO.get(state) or (Event.RELEASED if was is State.IN_REVIEW else draw(st.sampled_from(BACK)))
            attempt += event is Event.STARTED
            data: dict[str, Any] = {"due_in_s": draw(st.floats(0, 60))} if event is Event.RETRYING else {}
            data |= draw(st.sampled_from([{}, QUOTA])) if event is Event.RELEASED else {}
        elif state in FINISHED:
            break
        elif state is State.QUEUED and draw(st.booleans()):
            event, data = Event.ADMITTED, {}
        elif state in WAITING and draw(st.booleans()):
            event, data = draw(st.sampled_from([Event.PAUSED, Event.PAUSED, Event.RESUMED])), {"by": "support"}
        else:
            lane = draw(st.sampled_from([HERE, THERE]))
            event, data = Event.MOVED, {"to": lane}
        if state is State.RUNNING:
            event = draw(st.sampled_from([Event.PROGRESSED, Event.CANCEL_REQUESTED])) if event is Event.MOVED else event
        next_sign = draw(st.none() | st.floats(0, 5_000).map(ago))
        entries.append(Entry(ago(at), event, state, attempt, data, draw(st.integers(0, 9)), next_sign))
        if event is Event.STARTED:
            heard = draw(st.none() | st.floats(0, 5_000).map(ago))
            tries[attempt] = Try(attempt, ago(at - draw(st.floats(0, 9))), draw(st.booleans()), heard)
    ended = entries[-1].at if state in FINISHED else None
    due = draw(st.just(submitted) | st.floats(0, 5_000).map(ago))
    needs = draw(st.sampled_from(["", "gate", "gate post"]))
    return Life(JOB, CUSTOMER, "drill", lane, 0.5, submitted, due, ended, tuple(entries), tries, needs)


moments = st.floats(-50, 5_200).map(ago)
conditions = st.lists(
    st.builds(
        lambda cause, scope, ends, spares: Condition(cause, scope, min(ends), max(ends), {}, spares),
        st.sampled_from(Code),
        st.sampled_from(
            [HERE, THERE, EVERYWHERE, customer_scope(CUSTOMER), dependency_scope("gate"), dependency_scope("other")]
        ),
        st.tuples(moments, moments),
        st.sampled_from([frozenset[str](), frozenset({"drill"})]),
    ),
    max_size=12,
)


@given(lives(), conditions, st.none() | moments)
def test_the_parts_of_any_account_are_its_whole_life_without_a_gap_or_an_overlap(
    one: Life, around: list[Condition], silent_since: datetime | None
) -> None:
    parts = account(one, around, NOW, silent_since)
    begin, end = span(one, NOW)
    assert sum(part.ms for part in parts) == length_ms(begin, end)
    assert sum(totals(parts).values()) == length_ms(begin, end)
    assert [part.since for part in parts] == [begin, *(part.until for part in parts[:-1])][: len(parts)]
    assert all(part.since < part.until for part in parts)
    assert not parts or parts[-1].until == end


@given(lives(), conditions)
def test_an_account_needs_no_condition_from_outside_its_windows(one: Life, around: list[Condition]) -> None:
    asked = windows(one, NOW)
    needed = [
        condition
        for condition in around
        if any(w.scope == condition.scope and condition.since < w.until and condition.until > w.since for w in asked)  # type: ignore[operator]  # each ends
    ]
    assert account(one, needed, NOW) == account(one, around, NOW)


def test_causes_are_booked_in_the_order_of_their_rules() -> None:
    named = facts(running())
    order = list(dict.fromkeys(rule(named).code for rule in RULES))
    assert [*order, Code.UNEXPLAINED] == list(Code)


def test_work_and_the_hand_over_before_it() -> None:
    done = life((98, Event.STARTED, State.RUNNING), (40, Event.SUCCEEDED, State.SUCCEEDED))
    assert told(account(done, [], NOW)) == [("starting", 2), ("running_normally", 58)]


def test_a_long_wait_that_nothing_explains_says_so() -> None:
    assert told(account(life(), [], NOW)) == [("starting", 5), ("unexplained", 95)]
    unwatched = held(Code.UNEXPLAINED, 90, 50, EVERYWHERE, evidence={"watched": False})
    parts = account(life(), [unwatched], NOW)
    assert told(parts) == [("starting", 5), ("unexplained", 5), ("unexplained", 40), ("unexplained", 50)]
    assert [part.evidence for part in parts[1:]] == [{}, {"watched": False}, {}]


def test_of_several_conditions_the_first_of_the_rules_is_booked_and_the_rest_where_it_ends() -> None:
    around = [held(Code.LANE_SATURATED, 100, 10), held(Code.PAUSED, 80, 60), held(Code.NO_WORKER, 70, 30)]
    assert told(account(life(), around, NOW)) == [
        ("lane_saturated", 20), ("paused", 20), ("no_worker", 30), ("lane_saturated", 20),
        ("starting", 5), ("unexplained", 5),
    ]  # fmt: skip


def test_conditions_of_other_lanes_customers_and_kinds_do_not_concern_it() -> None:
    around = [
        held(Code.PAUSED, 100, None, THERE),
        held(Code.CUSTOMER_LIMIT, 100, None, "customer:another"),
        held(Code.NO_CAPABLE_WORKER, 100, None, spares=frozenset({"drill"})),
        held(Code.CUSTOMER_LIMIT, 100, 50, customer_scope(CUSTOMER)),
        held(Code.NO_CAPABLE_WORKER, 50, None, spares=frozenset({"invoice.issue"})),
    ]
    parts = account(life(), around, NOW)
    assert told(parts) == [("customer_limit", 50), ("no_capable_worker", 50)]
    assert parts[1].evidence == {"kind": "drill"}


def test_a_job_that_was_moved_is_held_by_the_lane_that_it_was_in() -> None:
    moved = Entry(ago(60), Event.MOVED, State.QUEUED, 0, {"from": HERE, "to": THERE})
    one = life()
    one = replace(one, entries=(*one.entries, moved), lane=THERE)
    around = [held(Code.PAUSED, 100, None, HERE), held(Code.LANE_SATURATED, 100, None, THERE)]
    parts = account(one, around, NOW)
    assert told(parts) == [("paused", 40), ("lane_saturated", 60)]
    assert [part.lane for part in parts] == [HERE, THERE]
    older = replace(one, entries=(replace(one.entries[0], data={}), moved))
    assert account(older, around, NOW) == parts


def test_a_retry_waits_for_its_time_and_then_for_its_lane() -> None:
    failed = Entry(ago(60), Event.RETRYING, State.RETRYING, 1, {"due_in_s": 20.0})
    one = life((100, Event.STARTED, State.RUNNING))
    one = replace(one, entries=(*one.entries, failed))
    around = [held(Code.LANE_SATURATED, 100, None)]
    assert told(account(one, around, NOW)) == [("running_normally", 40), ("retry_backoff", 20), ("lane_saturated", 40)]


def test_an_outage_is_booked_while_it_lasts_whatever_else_the_job_waits_for() -> None:
    failed = Entry(ago(60), Event.RETRYING, State.RETRYING, 1, {"due_in_s": 20.0})
    one = life((100, Event.STARTED, State.RUNNING))
    one = replace(one, entries=(*one.entries, failed), needs="gate post")
    around = [
        held(Code.LANE_SATURATED, 100, None),
        held(Code.DEPENDENCY_DOWN, 80, 10, dependency_scope("post"), evidence={"dependency": "the post"}),
        held(Code.DEPENDENCY_DOWN, 10, None, dependency_scope("another")),
    ]
    assert told(account(one, around, NOW)) == [
        ("running_normally", 40), ("dependency_down", 50), ("lane_saturated", 10),
    ]  # fmt: skip


def test_a_review_and_a_quota_are_booked_before_whatever_else_holds_the_lane() -> None:
    reviewed = {"review": {"measure": "CNY", "limit": "10000", "value": "12000"}}
    accepted = Entry(ago(100), Event.ACCEPTED, State.IN_REVIEW, 0, {"lane": HERE, **reviewed})
    released = Entry(ago(70), Event.RELEASED, State.QUEUED, 0, QUOTA)
    told_of = Entry(ago(50), Event.PROMISE_AT_RISK, State.QUEUED, 0)
    admitted = Entry(ago(40), Event.ADMITTED, State.QUEUED, 0)
    one = replace(life(), entries=(accepted, released, told_of, admitted), due_at=ago(40))
    parts = account(one, [held(Code.LANE_SATURATED, 100, 10)], NOW)
    booked = [("in_review", 30), ("awaiting_quota", 30), ("lane_saturated", 30), ("starting", 5), ("unexplained", 5)]
    assert told(parts) == booked
    assert (parts[0].evidence, parts[1].evidence) == (reviewed["review"], QUOTA["quota"])
    cancelled = replace(one, entries=(accepted, released), ended_at=ago(20))
    assert told(account(cancelled, [], NOW)) == [("in_review", 30), ("awaiting_quota", 50)]


def test_a_pause_of_the_job_itself_is_booked_from_its_row_to_the_next_whatever_else_holds() -> None:
    told = {"by": "support", "until": "2026-11-22T13:00:00.000Z"}
    paused = Entry(ago(70), Event.PAUSED, State.QUEUED, 0, {**told, "message": None})
    longer = Entry(ago(60), Event.PAUSED, State.QUEUED, 0, {**told, "message": "It is checked."})
    at_risk, resumed = (
        Entry(ago(at), event, State.QUEUED, 0) for at, event in ((50, Event.PROMISE_AT_RISK), (40, Event.RESUMED))
    )
    one = replace(life(), due_at=ago(40), needs="gate")
    one = replace(one, entries=(*one.entries, paused, longer, at_risk, resumed))
    around = [
        held(Code.LANE_SATURATED, 100, 30),
        held(Code.DEPENDENCY_DOWN, 80, None, dependency_scope("gate")),
    ]
    parts = account(one, around, NOW)
    booked = [("lane_saturated", 20), ("dependency_down", 10), ("paused", 10), ("paused", 20), ("dependency_down", 40)]
    assert [(part.cause.value, part.ms / 1000) for part in parts] == booked
    assert parts[3].evidence == {"scope": "job", "reason": "It is checked.", **told}
    cancelled = replace(one, entries=(one.entries[0], paused), ended_at=ago(20))
    assert totals(account(cancelled, [], NOW))[Code.PAUSED] == 50_000


def test_a_lost_worker_costs_from_its_last_sign_on() -> None:
    lost, again = (50, Event.RESCUED, State.QUEUED), (49, Event.STARTED, State.RUNNING)
    one = life((90, Event.STARTED, State.RUNNING), lost, again, submitted=90)
    one = replace(one, tries={**one.tries, 1: Try(1, ago(90), lost=True, heard_at=ago(62))})
    booked = [("running_normally", 28), ("worker_lost", 12), ("starting", 1), ("running_normally", 49)]
    assert told(account(one, [], NOW)) == booked
    assert told(account(one, [], NOW, silent_since=ago(9)))[-2:] == [("running_normally", 40), ("worker_lost", 9)]


def test_a_job_that_gave_way_says_so_and_one_given_with_others_waits_for_them() -> None:
    parked, again = (60, Event.PARKED, State.QUEUED), (57, Event.STARTED, State.RUNNING)
    one = life((100, Event.STARTED, State.RUNNING), parked, again)
    one = replace(one, tries={**one.tries, 1: Try(1, ago(99))})
    parts = account(one, [], NOW)
    assert told(parts) == [("starting", 1), ("running_normally", 39), ("lane_saturated", 3), ("running_normally", 57)]
    assert parts[2].evidence == {"parked_at": ago(60)}


def test_a_cancel_that_waits_for_a_checkpoint_and_silence_beyond_its_bound() -> None:
    one = life((500, Event.STARTED, State.RUNNING), (80, Event.CANCEL_REQUESTED, State.RUNNING), submitted=500)
    started = replace(one.entries[1], next_sign_at=None)
    one = replace(one, entries=(one.entries[0], started, one.entries[2]))
    assert told(account(one, [], NOW)) == [("no_progress", 420), ("cancel_pending", 80)]
    quick = replace(started, next_sign_at=ago(450))
    reported = Entry(ago(450), Event.PROGRESSED, State.RUNNING, 1, {}, 5, ago(300))
    one = replace(one, entries=(one.entries[0], quick, reported))
    assert told(account(one, [], NOW)) == [("running_normally", 50), ("no_progress", 150), ("running_normally", 300)]


@pytest.mark.parametrize("reports", [0, 5])
def test_silence_is_bounded_as_the_rule_bounds_it(reports: int) -> None:
    job = replace(moving(500, reports, 50) if reports else running(500), predicted_s=90.0)
    sign = Entry(ago(50 if reports else 500), Event.PROGRESSED, State.RUNNING, 1, {}, reports)
    assert silence_bound_s(ago(500), sign, job.predicted_s) == pytest.approx(patience(facts(job)).total_seconds(), 0.2)


def test_the_time_between_death_and_a_new_beginning_is_booked_too() -> None:
    one = life((100, Event.STARTED, State.RUNNING), (90, Event.DEAD, State.DEAD), (30, Event.RETRIED, State.QUEUED))
    assert told(account(one, [], NOW))[:2] == [("running_normally", 10), ("attempts_failed", 60)]
    refused = replace(one, tries={1: Try(1, ago(100), error_code="bad_input")})
    assert told(account(refused, [], NOW))[1] == ("bad_input", 60)


def test_a_life_is_measured_to_the_millisecond_it_ended_in() -> None:
    one = life((9.9994, Event.STARTED, State.RUNNING), submitted=10)
    one = replace(one, submitted_at=ago(10) + timedelta(microseconds=600))
    assert told(account(one, [], NOW + timedelta(microseconds=999))) == [("running_normally", 10)]
