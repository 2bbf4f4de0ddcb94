"""Every incident has a name in every language, which tells customers nothing of our insides, and a runbook."""

from dataclasses import replace
from datetime import UTC, datetime
from string import Formatter
from uuid import uuid4

import pytest

from invoicing.diagnosis.words import Audience, codes
from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.course import opened
from invoicing.incidents.model.incident import Finding
from invoicing.incidents.words import languages, runbooks, title

from ..diagnosis.test_words import EMPTY_WORDS, INTERNAL, OTHERS, spoken_of


def test_every_language_names_every_cause() -> None:
    assert set(languages()) == set(codes())
    for names in languages().values():
        assert set(names) == set(Cause)
        for cause, texts in names.items():
            assert set(texts) == set(languages()["en"][cause]) >= set(Audience), cause


def test_what_touches_everything_is_told_without_signs() -> None:
    for cause in (Cause.NO_WORKER, Cause.UNDELIVERED):
        found = opened(uuid4(), Finding(cause, EVERYWHERE, datetime.now(UTC)), datetime.now(UTC)).incident
        for code in codes():
            assert EVERYWHERE not in title(found, code, Audience.STAFF)
            assert "lane:x" in title(replace(found, scope="lane:x"), code, Audience.STAFF)


def test_customers_read_of_no_machine_nobody_else_and_no_empty_words() -> None:
    for code, names in languages().items():
        for cause, texts in names.items():
            told = texts[Audience.CUSTOMER]
            assert spoken_of(told, (*INTERNAL, *OTHERS, *EMPTY_WORDS, "worker")) == [], (code, cause)
            assert [name for _, name, _, _ in Formatter().parse(told) if name] == [], (code, cause)


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_runbook_that_says_what_to_see_what_to_do_and_when_it_is_over(cause: Cause) -> None:
    assert set(runbooks()) == set(Cause)
    for part in ("*See*", "*Do*", "*Over*"):
        assert part in runbooks()[cause]
