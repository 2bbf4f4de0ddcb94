"""The page about scheduling lists the settings that there are, with the defaults that hold."""

import re
import shlex
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typst

from invoicing.cli.scheduling import _changes as read_settings
from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, Policy, quotas
from invoicing.lanes.model.overrides import OF_A_HOST, SLOTS, as_settings, misfits
from invoicing.lanes.store.workers import ALIVE_FOR
from workers.heartbeat import LEASE
from workers.terms import OVERRUN

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scheduling.md").read_text("utf-8")
PICTURE = ROOT / "docs" / "pictures" / "scheduling.svg"
ROWS = {row[0]: row[1:] for row in re.findall(r"(?m)^\| `(\w+)` \| (.+?) \| (yes|no) \| (.+) \|$", PAGE)}


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from numbers(inner)
    else:
        yield float(value)


def test_every_setting_is_listed_and_no_other() -> None:
    assert set(ROWS) == {field.name for field in fields(Policy)} | {SLOTS}


@pytest.mark.parametrize("name", [field.name for field in fields(Policy) if field.name != "delays_s"])
def test_a_default_that_is_listed_is_the_one_that_holds(name: str) -> None:
    assert [float(number) for number in ROWS[name][0].split(" / ")] == list(numbers(as_settings(POLICY)[name]))


def test_what_a_host_may_have_of_its_own_is_said() -> None:
    assert {name for name, (_, host, _) in ROWS.items() if host == "yes"} == OF_A_HOST


def test_the_table_of_due_times_is_the_one_that_holds() -> None:
    table = {
        row[0]: [float(cell) for cell in row[1].split(" | ")]
        for row in re.findall(r"(?m)^ *\| (urgent|normal|bulk) \| ([\d| ]+\d) \|$", PAGE)
    }
    assert table == {str(priority): list(POLICY.delays_s[priority].values()) for priority in Priority}


COMMANDS = re.findall(r"(?m)^\$ (invoicing .+?)(?: {2,}#.*)?$", PAGE)


@pytest.mark.parametrize("command", [command for command in COMMANDS if " set " in command])
def test_a_setting_that_is_shown_being_set_can_be_set(command: str) -> None:
    words = shlex.split(command)[3:]
    settings = words[: next(place for place, word in enumerate(words) if word.startswith("--"))]
    assert misfits(read_settings(settings), POLICY, host="--host" in words) == []


def test_the_quotas_that_are_told_and_drawn_are_those_that_hold() -> None:
    of_eight = quotas(8, POLICY)
    told = re.search(r"Of 8, jobs that are \*large or huge\* may hold (\d) at most, \*huge\* (\d)", PAGE)
    assert told is not None
    assert [int(number) for number in told.groups()] == [of_eight[Size.LARGE], of_eight[Size.HUGE]]
    colours = {"small": "#2e7d5b", "medium": "#2f6db5", "large": "#b7791f", "huge": "#a3456b"}
    cells = re.findall(r'<rect [^>]*width="19" height="24"[^>]*fill="(#\w+)"', PICTURE.read_text("utf-8"))
    assert {name: cells.count(colour) for name, colour in colours.items()} == {
        str(size): count for size, count in of_eight.items()
    }


def test_the_times_that_are_told_and_drawn_are_those_that_hold() -> None:
    drawn = PICTURE.read_text("utf-8")
    turns = [POLICY.turn_s[size] for size in (Size.MEDIUM, Size.LARGE, Size.HUGE)]
    assert f">{POLICY.least_run_s:g} s at least<" in drawn
    assert f">none within {POLICY.quantum_s:g} s<" in drawn
    assert f"equals take turns: {min(turns):g} to {max(turns):g} s" in drawn
    assert f"until it is {POLICY.lead_s:g} s ahead" in PAGE
    assert f"within {POLICY.slack_s:g} s of each other are equals" in PAGE
    assert f"runs longer than {OVERRUN:g} times the limit of its class" in PAGE
    assert f"leases run out after {LEASE.total_seconds():g} s at most" in PAGE
    assert f"count for nothing {ALIVE_FOR.total_seconds():g} s after its last beat" in PAGE


def test_the_picture_is_shown_says_what_it_shows_and_can_be_drawn(tmp_path: Path) -> None:
    assert "](pictures/scheduling.svg)" in PAGE
    root = ET.fromstring(PICTURE.read_text("utf-8"))
    names = {child.tag.rpartition("}")[2] for child in root}
    assert {"title", "desc"} <= names
    shutil.copy(PICTURE, tmp_path)
    sheet = tmp_path / "sheet.typ"
    sheet.write_text('#set page(width: auto, height: auto)\n#image("scheduling.svg")')
    drawn = typst.compile(sheet, root=tmp_path, format="png")
    assert drawn.startswith(b"\x89PNG")
    assert len(drawn) > 20_000  # more than an empty sheet
