"""What people read about drills is what the drills are."""

from pathlib import Path

from invoicing.cli.drill_promises import DRILLS
from invoicing.cli.drill_scenes import SCENES

PAGE = (Path(__file__).parents[3] / "docs" / "drills.md").read_text()


def test_every_drill_has_a_scene_and_a_row_of_the_page_with_its_promise() -> None:
    assert SCENES.keys() == DRILLS.keys()
    rows = [
        f"| `{one.name}{' SECONDS' if one.settable else ''}` | {one.does} | {one.promise} |" for one in DRILLS.values()
    ]
    assert [row for row in rows if row not in PAGE] == []


def test_the_page_states_every_bound() -> None:
    for one in DRILLS.values():
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{one.name}")]
        lease = "a lease + " if one.leases else ""
        assert f"| {lease}{one.bound_s:g} s" in row
        if one.alone_s is not None:
            assert f"({lease}{one.alone_s:g} s with one worker)" in row
