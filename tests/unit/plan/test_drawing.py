"""The picture shows what the reports say, at places that mean what the axis says."""

import struct
from xml.etree import ElementTree as ET

import pytest

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY
from invoicing.plan.drawing.render import render
from invoicing.plan.drawing.scene import rounded_up, scene, times
from invoicing.plan.model.report import Report, report
from invoicing.plan.model.work import Ended, Fleet, Moment, Outcome, Work

COURSE = tuple(Moment(float(at), at % 5, at * 10) for at in range(101))


def told(fleet: Fleet, *waits_s: float | None) -> Report:
    jobs = []
    for waited in waits_s:
        work = Work(0.0, "acme", "acme/1", Priority.NORMAL, 0.5, 0.5, 0)
        jobs.append(Ended(work, waited, None if waited is None else waited + 0.5))
    return report([Outcome(tuple(jobs), 100.0, 400.0, 0.0, {}, COURSE)], fleet, POLICY)


TODAY = told(Fleet((4,)), 0.0, 0.1, 1.0)
WHAT_IF = told(Fleet((2, 1)), 0.1, 10.0, None)
BOTH = [("today: 4 slots", TODAY), ("what if: 3 slots", WHAT_IF)]


def test_a_wait_stands_where_the_axis_says_it_is() -> None:
    waits = scene("", "", BOTH, [])["waits"]
    ticks = {tick["label"]: tick["at"] for tick in waits["ticks"]}
    (row,) = waits["rows"]
    today, what_if = row["bars"]
    assert list(ticks) == ["≤ 10 ms", "100 ms", "1 s", "10 s"]
    assert (ticks["≤ 10 ms"], ticks["10 s"]) == (0.0, 1.0)
    assert today["p50"] == pytest.approx(ticks["100 ms"])
    assert today["max"] == pytest.approx(ticks["1 s"])
    assert what_if["p50"] == pytest.approx(ticks["10 s"])
    assert "never" in what_if["says"]
    assert what_if["max"] == 1.0
    assert row["label"] == Size.SMALL
    assert row["note"] == "3 / 3 jobs"


def test_few_jobs_are_marked() -> None:
    assert all("(few)" in bar["says"] for bar in scene("", "", BOTH, [])["waits"]["rows"][0]["bars"])


def test_slots_in_use_and_jobs_waiting_run_from_the_beginning_to_the_end() -> None:
    slots, waiting = scene("", "", BOTH, [])["series"]
    assert [level["label"] for level in slots["levels"]] == ["3 slots", "4 slots"]
    assert waiting["levels"] == []
    for series in (slots, waiting):
        for line in series["lines"]:
            assert line["points"][0][0] == 0
            assert line["points"][-1][0] == 1
            assert all(0 <= height <= 1 for _, height in line["points"])
    assert waiting["lines"][0]["points"][-1][1] == pytest.approx(1000 / 1000)
    assert [tick["label"] for tick in waiting["ticks"]][-1] == "1,000"


def test_levels_that_are_the_same_are_drawn_once_and_labels_do_not_touch() -> None:
    assert len(scene("", "", [("a", TODAY), ("b", TODAY)], [])["series"][0]["levels"]) == 1
    places = [level["place"] for level in scene("", "", BOTH, [])["series"][0]["levels"]]
    assert places[1] - places[0] >= 0.1


@pytest.mark.parametrize("value", [0, 1, 3, 7, 8, 12, 99, 100, 2_345, 1_000_000])
def test_an_axis_ends_above_its_largest_value_in_a_few_round_steps(value: float) -> None:
    upper, marks = rounded_up(value)
    assert upper >= value
    assert upper <= max(1, 2 * value)
    assert 2 <= len(marks) <= 7
    assert marks[-1] == upper


@pytest.mark.parametrize("lasted_s", [0.5, 10.0, 100.0, 3600.0, 7260.0, 86_400.0, 700_000.0, 1e8])
def test_the_time_is_marked_in_a_few_round_steps(lasted_s: float) -> None:
    marks = times(lasted_s)
    assert 1 <= len(marks) <= 9
    assert all(0 <= mark["at"] <= 1 for mark in marks)
    assert len({mark["label"] for mark in marks}) == len(marks)


def test_the_picture_is_drawn_as_svg_and_as_png() -> None:
    laid_out = scene('#panic("no code") $ what if', "it's *plain* text", BOTH, ["a note \\ with #signs"])
    drawing = ET.fromstring(render(laid_out, "svg"))
    assert drawing.tag.endswith("svg")
    picture = render(laid_out, "png")
    assert picture.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", picture[16:24])
    assert 1200 < width < 2000
    assert 700 < height < 2500


def test_a_picture_without_jobs_over_time_is_drawn_too() -> None:
    nothing = report([], Fleet((4,)), POLICY)
    assert render(scene("t", "s", [("today", nothing)], []), "png").startswith(b"\x89PNG")
