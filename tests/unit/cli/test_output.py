"""Tables on a terminal: nothing in them is cut, however narrow it is."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from invoicing.cli import output

ID = "01a2013d-0f08-7b48-a650-270387a8071a"


def shown(monkeypatch: pytest.MonkeyPatch, width: int) -> tuple[list[str], str]:
    """Show a table on a terminal of a width; gives its lines, and what is said beside it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "state", "kind", "what"):
        table.add_column(column, no_wrap=column != "what")
    table.add_row(ID, "[green]succeeded[/]", "invoice.issue", "some words that may stand below each other")
    written, beside = io.StringIO(), io.StringIO()
    monkeypatch.setattr(output, "OUT", Console(file=written, width=width))
    monkeypatch.setattr(output, "ERRORS", Console(file=beside, width=width))
    output.show_table(table, spare=("kind", "what"))
    return [line.rstrip() for line in written.getvalue().splitlines()], beside.getvalue()


def test_a_table_that_fits_shows_all(monkeypatch: pytest.MonkeyPatch) -> None:
    (heading, row), beside = shown(monkeypatch, 120)
    assert heading.split() == ["id", "state", "kind", "what"]
    assert row.endswith("invoice.issue  some words that may stand below each other")
    assert not beside


def test_a_narrow_terminal_goes_without_what_can_be_spared_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    (heading, row, *more), beside = shown(monkeypatch, 60)
    assert heading.split() == ["id", "state", "what"]
    assert row.startswith(f"{ID}  succeeded  some")
    assert more
    assert beside == "The terminal is too narrow for: kind.\n"


def test_what_cannot_be_spared_is_whole_even_where_the_terminal_breaks_the_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (heading, row), beside = shown(monkeypatch, 30)
    assert heading.split() == ["id", "state"]
    assert row == f"{ID}  succeeded"
    assert "kind, what" in beside
