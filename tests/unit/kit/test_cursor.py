"""A page token comes back as it went, and only to its owner."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.kit.cursor import place_of, token_of
from invoicing.kit.problems import Problem

PLACES = st.dictionaries(
    st.text(max_size=10), st.text(max_size=20) | st.integers(-(2**40), 2**40) | st.none(), max_size=5
)


@given(st.text(max_size=40), PLACES)
def test_a_token_carries_its_place(owner: str, place: dict[str, str | int | None]) -> None:
    assert place_of(owner, token_of(owner, place)) == place


@given(PLACES, st.data())
def test_a_damaged_token_is_refused(place: dict[str, str | int | None], data: st.DataObject) -> None:
    token = token_of("me", place)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCDwxyz0189-_").filter(lambda letter: letter != token[at]))
    for damaged in (token[:at] + other + token[at + 1 :], token[:at], token + other):
        with pytest.raises(Problem):
            place_of("me", damaged)


@given(PLACES)
def test_anothers_token_is_refused(place: dict[str, str | int | None]) -> None:
    with pytest.raises(Problem):
        place_of("you", token_of("me", place))


@given(st.text(max_size=60))
def test_whatever_is_sent_is_refused_in_words(token: str) -> None:
    with pytest.raises(Problem) as refused:
        place_of("me", token)
    assert refused.value.status == 400
