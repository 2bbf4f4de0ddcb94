"""A measurement's result: a table for people, with the bars that it is held against."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Table:
    """Rows of text under headings, and bars that are met or not."""

    title: str
    headings: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    bars: list[str] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(cells)

    def bar(self, what: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
        """Hold a figure against its bar."""
        met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        bound = f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}"
        self.bars.append(f"{'met   ' if met else 'MISSED'}  {value:.2f}  ({bound})  {what}")

    def __str__(self) -> str:
        """Write it as text."""
        widths = [max(len(row[place]) for row in [self.headings, *self.rows]) for place in range(len(self.headings))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [self.headings, *self.rows]
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([f"## {self.title}", "", *lines, "", *self.bars, ""])
