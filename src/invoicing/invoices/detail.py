"""The lines as CSV, for people who check a large invoice in a spreadsheet."""

import csv
import io
from collections.abc import Iterable
from typing import Final

from invoicing.invoices.model import Line
from invoicing.invoices.numerals import amount, iso, plain
from invoicing.invoices.totals import adjusted, line_net

_COLUMNS: Final = (
    *("line", "name", "description", "quantity", "unit", "price", "price for quantity", "allowances", "charges"),
    *(
        "net",
        "vat category",
        "vat rate",
        "period start",
        "period end",
        "order line",
        "seller item",
        "buyer item",
        "note",
    ),
)
# What a spreadsheet takes for the start of a formula (OWASP, CSV injection).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def heading() -> bytes:
    """Write the first row; the mark before it tells spreadsheets that this is UTF-8."""
    return b"\xef\xbb\xbf" + _rows([_COLUMNS])


def rows_of(lines: Iterable[Line]) -> bytes:
    """Write one row per line."""
    return _rows(map(_row, lines))


def _rows(rows: Iterable[Iterable[str]]) -> bytes:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode()


def _row(line: Line) -> tuple[str, ...]:
    start, end = (line.period.start, line.period.end) if line.period else (None, None)
    return (
        harmless(line.id),
        harmless(line.name),
        harmless(line.description),
        plain(line.quantity),
        harmless(line.unit),
        plain(line.price),
        plain(line.base_quantity),
        amount(adjusted(line.allowances)),
        amount(adjusted(line.charges)),
        amount(line_net(line)),
        line.vat.category.value,
        plain(line.vat.rate),
        iso(start) or "",
        iso(end) or "",
        harmless(line.order_line),
        harmless(line.seller_item_id),
        harmless(line.buyer_item_id),
        harmless(line.note),
    )


def harmless(text: str | None) -> str:
    """Keep a spreadsheet from running text as a formula; figures are ours and keep their sign."""
    if text is None:
        return ""
    return f"'{text}" if text.startswith(_FORMULA) else text
