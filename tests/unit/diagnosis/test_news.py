"""Whoever is told when there will be news is told a time that comes, that stays, and that costs little to keep."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.diagnosis.model.causes import NEWS_EVERY, next_news
from invoicing.diagnosis.model.check import Answer, Check, Code
from invoicing.diagnosis.words import FALLBACK, fields_of, languages, retell, say
from invoicing.jobs.model import NEWS_WITHIN

from .situations import NOW, busy, capped, cause, moving, parked, paused, queued, retrying, waiting

codes = st.sampled_from(sorted(NEWS_EVERY))
lately = st.integers(0, 10**7).map(lambda milliseconds: timedelta(milliseconds=milliseconds))


def seen(code: Code, after: timedelta, *, known: bool = True) -> Check:
    return Check(code, Answer.HOLDS, NOW + after, since=NOW if known else None)


def told(check: Check) -> timedelta:
    news = next_news(check)
    assert news is not None
    return news - NOW


@given(code=codes, first=lately, later=lately, known=st.booleans())
def test_a_time_that_was_told_is_not_put_off_by_asking_again(
    code: Code, first: timedelta, later: timedelta, *, known: bool
) -> None:
    by = told(seen(code, first, known=known))
    assert by >= first + NEWS_WITHIN
    if later < by - NEWS_WITHIN - first:
        assert told(seen(code, first + later, known=known)) == by


@pytest.mark.parametrize(
    ("wait", "most"), [(timedelta(minutes=8), 8), (timedelta(hours=5), 30), (timedelta(days=1), 66)]
)
def test_a_long_wait_costs_few_updates(wait: timedelta, most: int) -> None:
    at, count = timedelta(0), 0
    while at < wait:
        by = told(seen(Code.LANE_SATURATED, at))
        assert by - at <= timedelta(hours=1) + NEWS_WITHIN
        at, count = by - NEWS_WITHIN, count + 1
    assert count <= most


@pytest.mark.parametrize("code", sorted(set(Code) - set(NEWS_EVERY)))
def test_of_a_job_that_is_over_no_more_news_is_promised(code: Code) -> None:
    assert next_news(Check(code, Answer.HOLDS, NOW, until=NOW + timedelta(hours=1))) is None


CAUSES = [
    cause(waiting(60), paused()),
    cause(waiting(60), busy() | queued(4)),
    cause(waiting(60), capped(2, running=2)),
    cause(parked(), busy()),
    cause(retrying(8)),
    cause(moving(100, 5, reported=70)),
]


@pytest.mark.parametrize("check", CAUSES, ids=lambda check: check.code)
@pytest.mark.parametrize("language", sorted(languages()))
def test_what_was_kept_as_json_is_told_again_in_any_language(check: Check, language: str) -> None:
    kept = {
        name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in fields_of(check).items()
    }
    assert retell(check.code, check.wording, kept, language) == say(check, language)


def test_what_cannot_be_told_again_is_not() -> None:
    check = cause(waiting(60), paused())
    assert retell(check.code, "a wording of before", fields_of(check), FALLBACK) is None
    assert retell("a_cause_of_before", check.wording, {}, FALLBACK) is None
    assert retell(check.code, check.wording, {}, FALLBACK) is None
    assert retell(check.code, check.wording, {"until": "soon", "reason": "x"}, FALLBACK) is None
    odd = replace(check, evidence={**check.evidence, "reason": "2026-11-22T12:00:00Z {until}"})
    assert "2026-11-22T12:00:00Z {until}" in str(retell(odd.code, odd.wording, fields_of(odd), FALLBACK))
