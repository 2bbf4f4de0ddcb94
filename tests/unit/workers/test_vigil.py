"""Only an unbroken watch proves a silence."""

from workers.vigil import Vigil


def test_a_watch_lasts_from_its_first_round() -> None:
    vigil = Vigil(gap_s=5)
    assert [vigil.round(now) for now in (100, 101, 105, 110)] == [0, 1, 5, 10]


def test_a_watch_with_a_gap_begins_anew() -> None:
    vigil = Vigil(gap_s=5)
    assert [vigil.round(now) for now in (100, 104, 109.1, 110)] == [0, 4, 0, 110 - 109.1]
