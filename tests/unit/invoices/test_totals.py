"""Sums: exact, the same however the lines are cut, and rounded as EN 16931 says."""

import datetime as dt
import json
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.invoices.model import (
    Address,
    Adjustment,
    DocumentAdjustment,
    DocumentType,
    Header,
    Line,
    Party,
    Vat,
    VatCategory,
)
from invoicing.invoices.totals import Sums, finish, line_net

_RATES = st.sampled_from(["19", "19.00", "7", "0"])
_NUMBERS = st.decimals("-99999999", "99999999", places=4, allow_nan=False)
_AMOUNTS = st.decimals("0", "9999", places=2, allow_nan=False)
_REASONS = st.sampled_from([None, "first", "second"])


def _header(*, allowances: tuple[str, ...] = (), prepaid: str = "0", rounding: str = "0") -> Header:
    standard = Vat(VatCategory.STANDARD, Decimal(19))
    return Header(
        type=DocumentType.INVOICE,
        series="2026",
        currency="EUR",
        issue_date=dt.date(2026, 11, 22),
        seller=Party("Seller", Address("DE")),
        buyer=Party("Buyer", Address("DE")),
        allowances=tuple(DocumentAdjustment(Adjustment(Decimal(each), "why"), standard) for each in allowances),
        prepaid=Decimal(prepaid),
        rounding=Decimal(rounding),
    )


def _line(quantity: str, price: str, rate: str = "19", *, base: str = "1") -> Line:
    vat = Vat(VatCategory.STANDARD, Decimal(rate))
    return Line("1", "Item", Decimal(quantity), "C62", Decimal(price), vat, base_quantity=Decimal(base))


@st.composite
def _lines(draw: st.DrawFn) -> Line:
    rate = draw(_RATES)
    category = VatCategory.EXEMPT if rate == "0" else VatCategory.STANDARD
    reason = draw(_REASONS) if rate == "0" else None
    charges = tuple(Adjustment(each, "why") for each in draw(st.lists(_AMOUNTS, max_size=2)))
    vat = Vat(category, Decimal(rate), reason)
    return Line("1", "Item", draw(_NUMBERS), "C62", abs(draw(_NUMBERS)), vat, charges=charges)


@given(st.lists(_lines(), max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_an_invoice_costs_the_same_however_its_lines_are_cut(lines: list[Line], cuts: list[int]) -> None:
    whole = Sums.of(lines)
    pieces = Sums.none()
    edges = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    for start, end in pairwise(edges):
        pieces += Sums.from_json(json.loads(json.dumps(Sums.of(lines[start:end]).to_json())))
    assert json.dumps(pieces.to_json()) == json.dumps(whole.to_json())
    assert finish(pieces, _header()) == finish(whole, _header())


@given(st.lists(_lines(), max_size=9), st.lists(_lines(), max_size=9), st.lists(_lines(), max_size=9))
def test_parts_may_be_summed_in_any_grouping(one: list[Line], two: list[Line], three: list[Line]) -> None:
    a, b, c = Sums.of(one), Sums.of(two), Sums.of(three)
    assert ((a + b) + c).to_json() == (a + (b + c)).to_json()
    assert (a + Sums.none()).to_json() == a.to_json() == (Sums.none() + a).to_json()


@given(st.lists(_lines(), min_size=1, max_size=30))
def test_the_totals_of_a_document_agree_with_each_other(lines: list[Line]) -> None:
    totals = finish(Sums.of(lines), _header(allowances=("1.11", "2.22"), prepaid="5.00", rounding="0.03"))
    assert totals.lines == sum(map(line_net, lines))
    assert totals.net == totals.lines - totals.allowances + totals.charges == sum(e.taxable for e in totals.breakdown)
    assert totals.vat == sum(each.tax for each in totals.breakdown)
    assert totals.gross == totals.net + totals.vat
    assert totals.payable == totals.gross - Decimal("5.00") + Decimal("0.03")


@pytest.mark.parametrize(
    ("line", "net"),
    [
        (_line("3", "0.335"), "1.01"),  # 1.005 goes up
        (_line("-3", "0.335"), "-1.01"),  # and a credit of the same mirrors it
        (_line("1", "0.004"), "0.00"),
        (_line("-1", "0.004"), "0.00"),  # never minus zero
        (_line("2500", "1.235", base="100"), "30.88"),
        (_line("1", "1", base="3"), "0.33"),
        (_line("0", "999"), "0.00"),
        (
            _line("999999999999.9999999999", "999999999999.9999999999"),
            "999999999999999999999800.00",
        ),  # (10^12 - 10^-10)^2
    ],
)
def test_a_line_is_rounded_once_and_half_up(line: Line, net: str) -> None:
    assert str(line_net(line)) == net


def test_vat_is_due_on_the_sum_and_not_on_each_line() -> None:
    lines = [_line("1", "0.13") for _ in range(100)]  # 0.0247 each: 0.02 a line, but 2.47 in all
    assert finish(Sums.of(lines), _header()).vat == Decimal("2.47")


def test_two_ways_to_write_a_rate_are_one_rate() -> None:
    totals = finish(Sums.of([_line("1", "1", "19"), _line("1", "1", "19.00")]), _header())
    assert [str(each.vat.rate) for each in totals.breakdown] == ["19"]


@pytest.mark.parametrize("stored", [{}, {"line_count": 1}, {"line_count": "1", "groups": []}])
def test_sums_that_were_stored_wrong_are_not_believed(stored: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no sums"):
        Sums.from_json(stored)
