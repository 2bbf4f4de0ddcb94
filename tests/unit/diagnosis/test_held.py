"""What is held says when that should be over, is expected to end after it, and is told of meanwhile."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from invoicing.diagnosis.model.causes import next_news
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.eta import earliest_start, expect
from invoicing.diagnosis.words import fields_of, retell, say
from invoicing.jobs.model import NEWS_WITHIN, Job, State
from invoicing.jobs.model.holds import SECONDS, AwaitingQuota, Hold, InReview, JobPause, Period, Quota

from .situations import CUSTOMER, GATE, JOB, NOBODY, NOW, ago, cause, down, facts, learned, paused, waiting

HOUR = timedelta(hours=1)
REVIEWED = waiting(600, state=State.IN_REVIEW)
HELD = waiting(600, held=True)
FAILED = waiting(600, held=True, state=State.RETRYING, failures=1, attempt=1, due_at=NOW + HOUR)


def in_review(due: timedelta, measure: str = "CNY") -> Hold:
    return InReview(ago(600), NOW + due, measure, Decimal(100), Decimal("120.50"))


def beyond(used: int = 3, ahead: int = 0) -> Hold:
    """Plant a quota of three jobs a day, which began at midnight in UTC."""
    midnight = NOW.replace(hour=0)
    return AwaitingQuota(
        ago(600), Quota(UUID(int=1), CUSTOMER, "drill", 3, Period.DAY, "UTC", midnight, used, ahead + 1), ahead,
        at_least=False,
    )  # fmt: skip


def stopped(until: timedelta, message: str | None = None) -> Hold:
    return JobPause(ago(60), NOW + until, "support", message)


def around(hold: Hold, **more: Any) -> dict[str, Any]:
    return {"holds": {JOB: hold}, **NOBODY, **learned(5), **more}


@pytest.mark.parametrize(
    ("job", "hold", "until", "news"),
    [
        (REVIEWED, in_review(3 * HOUR), NOW + 3 * HOUR, ago(600) + HOUR),
        (REVIEWED, in_review(HOUR / 2), NOW + HOUR / 2, NOW + HOUR / 2),
        (HELD, beyond(), NOW + 12 * HOUR, ago(600) + HOUR),
        (HELD, beyond(ahead=7), NOW + 60 * HOUR, ago(600) + HOUR),
        (HELD, beyond(used=2), NOW, ago(600) + HOUR),
        (HELD, stopped(3 * HOUR), NOW + 3 * HOUR, NOW + 3 * HOUR),
        (HELD, stopped(-HOUR), NOW, ago(60) + HOUR / 4),
        (FAILED, stopped(3 * HOUR), NOW + 3 * HOUR, NOW + 3 * HOUR),
        (FAILED, stopped(HOUR / 2), NOW + HOUR, NOW + HOUR),
    ],
)
def test_it_is_expected_to_end_soon_after_what_holds_it_and_news_come_meanwhile(
    job: Job, hold: Hold, until: Any, news: Any
) -> None:
    check = cause(job, around(hold))
    eta = expect(facts(job, around(hold)), check)
    assert eta is not None
    assert until < eta.likely < until + timedelta(seconds=5)
    assert next_news(check) == news + NEWS_WITHIN


@pytest.mark.parametrize(
    ("job", "hold", "language", "said"),
    [
        (REVIEWED, InReview(ago(600), NOW + HOUR, "CNY", Decimal(10_000), Decimal("14280.50")), "en",
         "its amount of 14,280.50 CNY is above 10,000 CNY"),
        (REVIEWED, InReview(ago(600), NOW + HOUR, "CNY", Decimal(10_000), Decimal("14280.50")), "de",
         "sein Betrag von 14.280,50 CNY über 10.000 CNY"),
        (HELD, beyond(ahead=1200), "en", "Your daily quota of 3 is used up, with 1,200 of your jobs waiting before"),
        (HELD, beyond(ahead=1200), "de", "Ihr Tageskontingent von 3 ist aufgebraucht; vor diesem Auftrag warten"),
        (HELD, stopped(HOUR), "en", "paused this job until 2026-11-22 13:00:00 UTC. It keeps its place."),
        (HELD, stopped(HOUR, "The address is checked."), "de", "angehalten (The address is checked.)."),
        (HELD, stopped(-HOUR), "zh", "它正在恢复"),
    ],
)  # fmt: skip
def test_figures_are_written_as_their_reader_writes_them(job: Job, hold: Hold, language: str, said: str) -> None:
    check = cause(job, around(hold))
    assert said in say(check, language)
    kept = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields_of(check).items()
    }
    assert retell(check.code, check.wording, kept, language) == say(check, language)


def test_when_an_overdue_review_is_decided_nobody_knows() -> None:
    overdue = around(in_review(-HOUR, SECONDS))
    check = cause(REVIEWED, overdue)
    assert (check.wording, check.evidence["overdue"], check.until) == ("size_overdue", True, None)
    assert expect(facts(REVIEWED, overdue), check) is None
    assert "was to be decided by 2026-11-22 11:00:00 UTC and is overdue" in say(check)


def test_before_when_it_does_not_start_is_known_though_its_end_is_not() -> None:
    untaught = {"holds": {JOB: beyond(ahead=7)}, **NOBODY}
    check = cause(HELD, untaught)
    assert expect(facts(HELD, untaught), check) is None
    assert earliest_start(facts(HELD, untaught), check) == NOW + 60 * HOUR


def test_what_is_held_in_a_lane_that_is_paused_for_longer_is_expected_after_that() -> None:
    until, around_it = NOW + 20 * HOUR, around(beyond(), **paused(20 * 3_600))
    eta = expect(facts(HELD, around_it), cause(HELD, around_it))
    assert eta is not None
    assert until < eta.likely < until + timedelta(seconds=5)


def test_what_is_paused_alone_says_so_by_role_and_its_next_attempt_may_come_later_still() -> None:
    check = cause(HELD, around(stopped(HOUR, "We ask you first.")))
    told = {"scope": "job", "by": "support", "reason": "We ask you first.", "until": NOW + HOUR}
    assert (check.code, check.since, check.evidence) == (Code.PAUSED, ago(60), told)
    down_too = around(stopped(2 * HOUR), breakers={GATE: down()})
    assert cause(replace(FAILED, needs=GATE), down_too).code is Code.PAUSED
    assert cause(FAILED, around(stopped(HOUR / 2))).code is Code.RETRY_BACKOFF


def test_what_was_let_go_since_it_was_read_is_about_to_start() -> None:
    assert cause(HELD, NOBODY).code is Code.STARTING


def test_a_review_may_be_decided_at_once() -> None:
    for more, soonest in (({}, NOW), (paused(3_600), NOW + HOUR)):
        around_it = around(in_review(3 * HOUR), **more)
        eta = expect(facts(REVIEWED, around_it), cause(REVIEWED, around_it))
        assert eta is not None
        assert soonest < eta.earliest < soonest + timedelta(seconds=5)
        assert NOW + 3 * HOUR < eta.likely <= eta.latest


def test_of_what_is_held_nothing_else_is_the_matter() -> None:
    known = facts(HELD, around(beyond()))
    assert cause(HELD, around(beyond())).code is Code.AWAITING_QUOTA
    assert (known.waiting, known.due, known.place) == (False, False, None)
