"""Where a command writes: results to standard output, all else to standard error."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table

_WIDTH_OF_FILES = 200
"""Where nobody looks at a terminal, tables keep their words whole."""

_ENDLESS = 100_000
"""More columns of a terminal than a table needs, to measure it unbroken."""

_BETWEEN = 2
"""Blanks between two columns of a table."""

OUT = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
ERRORS = Console(stderr=True, highlight=False)


def emit(value: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    """Write a result for a program: one JSON document."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a plain line for people, whole at any width of the terminal."""
    OUT.print(text, soft_wrap=True)


def show_table(table: Table, spare: Sequence[str] = ()) -> None:
    """Write a table; where the terminal is too narrow, without the columns that can be spared, first first.

    What is too wide all the same is written whole, and the terminal breaks its lines: half an id is of no use.
    """
    left_out: list[str] = []
    for heading in spare:
        if _least_width(table) <= OUT.width:
            break
        table = _without(table, heading)
        left_out.append(heading)
    if _least_width(table) > OUT.width:
        table.width = _least_width(table)
    OUT.print(table, crop=False)
    if left_out:
        ERRORS.print(f"[dim]The terminal is too narrow for: {', '.join(left_out)}.[/]", soft_wrap=True)


def _without(table: Table, heading: str) -> Table:
    kept = (column for column in table.columns if column.header != heading)
    narrower = Table(*kept, box=None, pad_edge=False, header_style="bold")
    narrower.rows = table.rows
    return narrower


def _least_width(table: Table) -> int:
    return sum(map(_least_width_of, table.columns)) + _BETWEEN * (len(table.columns) - 1)


def _least_width_of(column: Column) -> int:
    """Measure what a column needs so that no word of it is cut."""
    endless = OUT.options.update(width=_ENDLESS)
    sizes = [OUT.measure(cell, options=endless) for cell in (column.header, *column.cells)]
    return max(one.maximum if column.no_wrap else one.minimum for one in sizes)
