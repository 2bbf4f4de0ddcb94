"""Every incident has a name in every language, which tells customers nothing of our insides, and a runbook."""

from string import Formatter

import pytest

from invoicing.diagnosis.words import Audience, codes
from invoicing.incidents.model.causes import Cause
from invoicing.incidents.words import languages, runbooks

from ..diagnosis.test_words import EMPTY_WORDS, INTERNAL, OTHERS, spoken_of


def test_every_language_names_every_cause() -> None:
    assert set(languages()) == set(codes())
    for names in languages().values():
        assert set(names) == set(Cause)


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
