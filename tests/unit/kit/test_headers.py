"""Request headers are read as their standards say, whatever a client sends."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.kit.http.headers import accepts, if_range_holds, none_match, prefers, span_of, wait_preferred
from invoicing.kit.problems import Problem


@given(st.integers(0, 200), st.integers(0, 250), st.integers(0, 250))
def test_a_range_selects_what_slicing_does(size: int, first: int, last: int) -> None:
    if first > last:
        assert span_of(f"bytes={first}-{last}", size) is None
    elif first >= size:
        with pytest.raises(Problem) as refused:
            span_of(f"bytes={first}-{last}", size)
        assert refused.value.headers == {"Content-Range": f"bytes */{size}"}
    else:
        span = span_of(f"bytes={first}-{last}", size)
        assert span is not None
        assert range(size)[span.first : span.end] == range(size)[first : last + 1]


@given(st.integers(1, 200), st.integers(1, 400))
def test_a_suffix_selects_the_end(size: int, length: int) -> None:
    span = span_of(f"bytes=-{length}", size)
    assert span is not None
    assert range(size)[span.first : span.end] == range(size)[-length:]


@given(st.text(max_size=40), st.integers(0, 1000))
def test_no_range_header_breaks_the_reader(header: str, size: int) -> None:
    try:
        span = span_of(header, size)
    except Problem:
        span = None
    assert span is None or 0 <= span.first < span.end <= size


@given(st.integers(0, 10**9 - 1))
def test_a_wait_is_bounded(seconds: int) -> None:
    assert wait_preferred(f"respond-async, wait={seconds}") == timedelta(seconds=min(seconds, 60))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("wait=30", 30), ("Wait = 5", 5), ('wait="7"', 7), ("handling=lenient; wait=3", 3), ("return=minimal,wait=0", 0)],
)
def test_a_wait_is_found_in_any_spelling(header: str, seconds: int) -> None:
    assert wait_preferred(header) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "header", [None, "", "wait", "wait=", "wait=-1", "wait=soon", "await=5", "wait=5s", "wait=1e9"]
)
def test_what_is_no_wait_is_ignored(header: str | None) -> None:
    assert wait_preferred(header) is None


@pytest.mark.parametrize(
    ("header", "send"),
    [(None, True), ("*", False), ('"7"', False), ('W/"7"', False), ('"1", W/"7"', False), ('"77"', True), ("7", True)],
)
def test_none_match_compares_weakly(header: str | None, send: bool) -> None:  # noqa: FBT001 - a case, not a flag
    assert none_match(header, "7") is send


@given(st.lists(st.text(st.characters(min_codepoint=0x23, max_codepoint=0x7E), max_size=5), max_size=5))
def test_none_match_finds_a_tag_in_any_list(tags: list[str]) -> None:
    header = ", ".join(f'"{tag}"' for tag in tags)
    assert none_match(header, "mine!") is ("mine!" not in tags)


@pytest.mark.parametrize(
    ("header", "holds"), [(None, True), ('"a"', True), ('W/"a"', False), ('"b"', False), ("Sun", False)]
)
def test_if_range_compares_strongly(header: str | None, holds: bool) -> None:  # noqa: FBT001 - a case, not a flag
    assert if_range_holds(header, "a") is holds


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, True),
        ("", True),
        ("*/*", True),
        ("application/json", True),
        ("text/html, application/*;q=0.5", True),
        ("text/html", False),
        ("*/*, application/json;q=0", False),
        ("application/json;q=x", False),
        ("APPLICATION/JSON", True),
    ],
)
def test_accept_is_read_by_precision_and_quality(header: str | None, accepted: bool) -> None:  # noqa: FBT001 - a case
    assert accepts(header, "application/json") is accepted


def test_a_stream_is_given_only_to_who_names_it() -> None:
    assert prefers("text/event-stream", "text/event-stream")
    assert not prefers("*/*", "text/event-stream")
    assert not prefers(None, "text/event-stream")
