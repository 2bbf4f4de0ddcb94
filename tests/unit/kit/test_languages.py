"""A reader is answered in the language that the browser, or the program, asks for; in English where there is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.kit.http.languages import Languages, preferred

OFFERED = ("en", "de", "zh")


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        (None, "en"),
        ("", "en"),
        ("de", "de"),
        ("DE", "de"),
        ("de-AT", "de"),
        ("zh-CN", "zh"),
        ("zh-Hans-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr-CH, fr;q=0.9, de;q=0.7, en;q=0.8, *;q=0.5", "en"),
        ("fr, de;q=0.3, en;q=0.2", "de"),
        ("de;q=0.5,zh", "zh"),
        ("zh , de", "zh"),
        ("de, zh", "de"),
        ("de-AT;q=0.9, de;q=0.1, en;q=0.5", "en"),
        ("*", "en"),
        ("de;q=0, *", "en"),
        ("en;q=0, *;q=0.1", "de"),
        ("fr", "en"),
        ("fr, en;q=0", "en"),
        ("de;q=0", "en"),
        ("den", "en"),
        ("d", "en"),
        ("de;q=2, zh;q=0.1", "zh"),
        ("de;q=nan, zh;q=0.1", "zh"),
        ("de;level=1, zh;q=0.1", "zh"),
        ("C.UTF-8", "en"),
        ("de;q=0.001", "de"),
        ("de ; q=1.000", "de"),
        ("xx," * 1_000 + "de", "en"),
    ],
)
def test_the_language_is_the_one_that_is_wanted_most(header: str | None, chosen: str) -> None:
    assert preferred(header, OFFERED) == chosen


@given(st.text(max_size=60))
def test_no_header_breaks_the_choice(header: str) -> None:
    assert preferred(header, OFFERED) in OFFERED


def test_a_revision_has_a_tag_of_its_own_in_each_language() -> None:
    languages = Languages(OFFERED)
    assert [languages.asked_for(code).tag(3) for code in ("en", "de", "zh", "fr")] == ["3", "3-de", "3-zh", "3"]
