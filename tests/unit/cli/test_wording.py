"""A job in sentences: nothing is said twice, nothing that contradicts the rest, and a bad end says why."""

import time
from typing import Any

import pytest

from invoicing.cli.wording import at_the_end, clock, eta_text, position_text, sentences, short_clock

AT = "2026-11-22T12:00:00Z"


def job(**told: Any) -> dict[str, Any]:
    plain = {"id": "1", "kind": "drill", "state": "queued", "attempt": 0, "submitted_at": AT}
    return {**plain, "lane": {"priority": "normal", "size": "small"}, **told}


def test_an_incident_is_told_once_and_in_words() -> None:
    incident = {"id": "an id", "title": "Something does not work.", "since": AT, "estimate": None}
    (told,) = [one for one in sentences(job(incident=incident)) if "incident" in one]
    assert told == f"An incident of ours that began at {clock(AT)} touches it: Something does not work."


def test_where_enough_jobs_have_ended_their_number_is_not_why_nobody_knows_when_this_one_will() -> None:
    known = {"p50_s": 1.0, "p90_s": 2.0, "similar_jobs": 20, "verdict": "normal"}
    unknown = {"p50_s": None, "p90_s": None, "similar_jobs": 2, "verdict": "unknown"}
    said = [
        next(one for one in sentences(job(normal=normal)) if "When it will end" in one) for normal in (known, unknown)
    ]
    assert [one.endswith("too few similar jobs have ended.") for one in said] == [False, True]


def test_who_follows_a_job_to_a_bad_end_reads_why_and_what_to_do() -> None:
    error = {"code": "review_rejected", "message": "Not ordered.", "remedy": "Submit a new job."}
    told = list(at_the_end(job(state="dead", error=error, result={"lines": 1})))
    assert told[1:] == ["Error: Not ordered. [review_rejected]", "Remedy: Submit a new job."]


def test_one_is_not_told_as_many() -> None:
    lane = {"priority": "normal", "size": "small"}
    places = [
        position_text({"ahead": ahead, "at_least": 0, "at_most": None}, lane).split(" ahead")[0] for ahead in (0, 1)
    ]
    assert places == ["0 jobs are", "1 job is"]
    eta = {"earliest": AT, "likely": AT, "latest": AT, "confidence": None}
    assert [eta_text({**eta, "similar_jobs": number}).split("(")[1] for number in (1, 2)] == [
        "from 1 similar job).", "from 2 similar jobs).",
    ]  # fmt: skip


def test_a_time_of_day_names_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        said = (clock(AT), short_clock(AT), clock(None))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert said == ("2026-11-22 20:00:00 CST", "2026-11-22 20:00:00", "-")


def test_a_sentence_leaves_the_names_in_it_as_they_are() -> None:
    (said,) = [one for one in sentences(job()) if "ubmitted" in one]
    assert said == f"Submitted {clock(AT)}."


def test_evidence_is_shown_as_people_and_programs_write_it() -> None:
    cause = {"code": "no_worker", "message": "None runs.", "observed_at": AT, "next_update_by": None}
    evidence = {"lanes": ["a", "b"], "overdue": False, "error": {"code": "x"}, "reason": "The disks"}
    (said,) = [one for one in sentences(job(cause={**cause, "evidence": evidence})) if "Evidence" in one]
    assert said == 'Evidence: lanes = a, b, overdue = false, error = {"code": "x"}, reason = The disks.'
