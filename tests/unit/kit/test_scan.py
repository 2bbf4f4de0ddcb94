"""The outline of a JSON document is what the parser makes of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.kit.scan import OutlineError, items, line_and_column, members

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
SPACES = st.sampled_from([None, 1, "\t"])


@given(st.lists(VALUES), SPACES)
def test_the_items_found_are_those_parsed(value: list[Any], indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert [json.loads(text[item.first : item.end]) for item in items(text, 0)] == value


@given(st.dictionaries(st.text(max_size=80), VALUES), SPACES)  # escaped, a name may be twelve times as long
def test_the_members_found_are_those_parsed(value: dict[str, Any], indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    assert {name: json.loads(text[part.first : part.end]) for name, part in members(text, 0)} == value


@given(st.lists(VALUES, min_size=1), st.data())
def test_an_array_that_breaks_off_is_noticed(value: list[Any], data: st.DataObject) -> None:
    text = json.dumps(value).encode()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(OutlineError):
        list(items(cut, 0))


@given(st.binary(max_size=60))
def test_no_bytes_break_the_scanner(text: bytes) -> None:
    for scan in (items, members):
        places = [0]
        try:
            for _ in scan(text, 0):
                pass
        except OutlineError as error:
            places.append(error.place)
        assert 0 <= places[-1] <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 2}',
        b'{"a" 1}',
        b'{"a": 1,}',
        b"{1: 2}",
        b'{"a": [[[}',
        b'{"\xff": 1}',
        b"[" * 10_000,
        b'{"a": "x',
    ],
)
def test_a_broken_outline_says_where(text: bytes) -> None:
    with pytest.raises(OutlineError):
        list(members(text, 0))


@given(st.text(alphabet="a\n", max_size=50), st.integers(0, 50))
def test_a_place_is_named_as_an_editor_does(text: str, place: int) -> None:
    before = text.encode()[:place]
    expected = (before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1)
    assert line_and_column(text.encode(), min(place, len(text))) == expected
