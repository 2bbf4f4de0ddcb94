"""The lines as a spreadsheet reads them."""

import csv
import io
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from invoicing.invoices import detail
from invoicing.invoices.model import Line
from invoicing.invoices.payload import InvoicePayload


@pytest.fixture
def line(payload: dict[str, Any]) -> Line:
    return InvoicePayload.model_validate(payload).to_lines()[0]


def _read(written: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written.decode("utf-8-sig"), newline="")))


def test_a_line_reads_back_under_its_headings(line: Line) -> None:
    heading, row = _read(detail.heading() + detail.rows_of([line]))
    read = dict(zip(heading, row, strict=True))
    assert (read["name"], read["quantity"], read["net"]) == ("Compute, October", "300", "295.00")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://evil")'])
def test_no_text_runs_as_a_formula(line: Line, name: str) -> None:
    (row,) = _read(detail.rows_of([replace(line, name=name, id=name)]))
    assert row[0] == row[1] == f"'{name}"


def test_a_negative_figure_stays_a_figure(line: Line) -> None:
    (row,) = _read(detail.rows_of([replace(line, quantity=Decimal(-3), allowances=())]))
    assert row[3] == "-3"
    assert row[9] == "-3.00"


def test_quotes_and_line_breaks_stay_in_their_cell(line: Line) -> None:
    (row,) = _read(detail.rows_of([replace(line, note='say "x",\nand y')]))
    assert row[-1] == 'say "x",\nand y'
