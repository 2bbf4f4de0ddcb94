"""The page about incidents says of every cause what the code does."""

import re
from pathlib import Path

from invoicing.incidents.model.causes import OPENS_AFTER, Cause
from invoicing.incidents.model.course import HOLD_DOWN, HOLD_DOWN_WHEN_FLAPPING, REOPENS_WITHIN
from invoicing.incidents.model.incident import ChangeKind
from invoicing.incidents.model.severity import BASE

PAGE = (Path(__file__).parents[3] / "docs" / "incidents.md").read_text()


def test_every_cause_is_listed_with_its_scope_its_beginning_and_its_severity() -> None:
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \|(.*)\|$", PAGE))
    assert set(rows) == set(Cause)
    for cause, row in rows.items():
        *_, opens, base = row.split("|")
        assert base.strip().split(";")[0] == BASE[Cause(cause)]
        after = OPENS_AFTER.get(Cause(cause))
        assert after is None or f"{after.seconds} s" in opens


def test_the_times_are_those_of_the_code() -> None:
    assert f"quiet for {HOLD_DOWN.seconds} seconds" in PAGE
    assert f"quiet for {HOLD_DOWN_WHEN_FLAPPING.seconds // 60} minutes" in PAGE
    assert f"within {REOPENS_WITHIN.seconds // 60} minutes" in PAGE


def test_every_change_that_is_logged_is_named() -> None:
    by_the_service = set(ChangeKind) - {
        ChangeKind.ACKNOWLEDGED, ChangeKind.ASSIGNED, ChangeKind.NOTED, ChangeKind.ESTIMATED
    }  # fmt: skip
    assert [kind for kind in by_the_service if f"`incident.{kind}`" not in PAGE] == []
