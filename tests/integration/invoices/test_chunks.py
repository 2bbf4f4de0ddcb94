"""A large document judged in chunks and folded: the same rules are found as when it is judged whole."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from invoicing.invoices import canary
from invoicing.invoices.chunks import judge_chunk, judge_folded, judge_whole
from invoicing.invoices.model import (
    Account,
    Adjustment,
    Attribute,
    Classification,
    Delivery,
    DirectDebit,
    DocumentAdjustment,
    Header,
    Identifier,
    Line,
    Payment,
    Period,
    TaxRepresentative,
    Totals,
    Vat,
    VatCategory,
)
from invoicing.invoices.rules import Judge
from invoicing.invoices.rules_text import findings_of
from invoicing.invoices.totals import Sums, finish

_STANDARD, _REDUCED = Vat(VatCategory.STANDARD, Decimal(19)), Vat(VatCategory.STANDARD, Decimal(7))
_EXEMPT = Vat(VatCategory.EXEMPT, exemption_reason="Education")
_ZERO = Vat(VatCategory.ZERO_RATED)
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Document:
    header: Header
    lines: tuple[Line, ...]
    change_totals: Callable[[Totals], Totals] = lambda totals: totals

    @property
    def sums(self) -> Sums:
        return Sums.of(self.lines)

    @property
    def totals(self) -> Totals:
        return self.change_totals(finish(self.sums, self.header))


Mutation = Callable[[Document], Document]


def _adjusted(amount: str, vat: Vat, reason: str | None = "why") -> DocumentAdjustment:
    return DocumentAdjustment(Adjustment(Decimal(amount), reason), vat)


def _right() -> Document:
    rates = (_STANDARD, _REDUCED, _EXEMPT, _ZERO)
    line = canary._LINES[0]
    lines = tuple(
        replace(line, id=str(index), vat=rates[index % 4], price=Decimal("3.33") * (index + 1)) for index in range(12)
    )
    header = replace(
        canary._HEADER,
        allowances=(_adjusted("10.00", _STANDARD),),
        charges=(_adjusted("2.50", _REDUCED),),
        prepaid=Decimal(5),
        rounding=_CENT,
    )
    return Document(header, (*lines, replace(line, id="12", quantity=Decimal(-500), vat=_ZERO)))


def _header(**changes: object) -> Mutation:
    return lambda document: replace(document, header=replace(document.header, **changes))  # type: ignore[arg-type]  # any field


def _seller(**changes: object) -> Mutation:
    return lambda document: replace(
        document,
        header=replace(document.header, seller=replace(document.header.seller, **changes)),  # type: ignore[arg-type]  # any field
    )


def _line(place: int, **changes: object) -> Mutation:
    def mutate(document: Document) -> Document:
        lines = list(document.lines)
        lines[place] = replace(lines[place], **changes)  # type: ignore[arg-type]  # any field
        return replace(document, lines=tuple(lines))

    return mutate


def _totals(name: str) -> Mutation:
    return lambda document: replace(
        document,
        change_totals=lambda totals: replace(totals, **{name: getattr(totals, name) + Decimal(7)}),
    )


def _breakdown(change: Callable[[Totals], Totals]) -> Mutation:
    return lambda document: replace(document, change_totals=change)


def _first_taxable(totals: Totals) -> Totals:
    first, *others = totals.breakdown
    return replace(totals, breakdown=(replace(first, taxable=first.taxable + 9), *others))


def _first_tax(totals: Totals) -> Totals:
    first, *others = totals.breakdown
    return replace(totals, breakdown=(replace(first, tax=first.tax + 9), *others))


_MUTATIONS: dict[str, Mutation] = {
    "nothing": lambda document: document,
    "no allowances or charges": _header(allowances=(), charges=()),
    "lines total": _totals("lines"),
    "allowance total": _totals("allowances"),
    "charge total": _totals("charges"),
    "net": _totals("net"),
    "vat": _totals("vat"),
    "gross": _totals("gross"),
    "prepaid": _totals("prepaid"),
    "rounding": _totals("rounding"),
    "payable": _totals("payable"),
    "taxable of a rate": _breakdown(_first_taxable),
    "tax of a rate": _breakdown(_first_tax),
    "a rate is missing": _breakdown(lambda totals: replace(totals, breakdown=totals.breakdown[1:])),
    "no rates at all": _breakdown(lambda totals: replace(totals, breakdown=())),
    "a rate twice": _breakdown(lambda totals: replace(totals, breakdown=(totals.breakdown[-1], *totals.breakdown))),
    "negative price": _line(7, price=Decimal(-1)),
    "negative gross price": _line(7, gross_price=Decimal(-1)),
    "unknown unit": _line(3, unit="NONE"),
    "empty line id": _line(3, id=""),
    "empty item name": _line(3, name=""),
    "unknown origin": _line(5, origin_country="XX"),
    "line period reversed": _line(
        5, period=Period(canary._HEADER.issue_date.replace(day=9), canary._HEADER.issue_date.replace(day=8))
    ),
    "line period empty": _line(5, period=Period()),
    "line allowance without reason": _line(6, allowances=(Adjustment(Decimal(1)),)),
    "line charge without reason": _line(6, charges=(Adjustment(Decimal(1)),)),
    "line charge reason unknown": _line(6, charges=(Adjustment(Decimal(1), None, "QQQ"),)),
    "item id without scheme": _line(8, standard_item_id=Identifier("1")),
    "item id scheme unknown": _line(8, standard_item_id=Identifier("1", "9999")),
    "classification list unknown": _line(8, classifications=(Classification("1", "QQQ"),)),
    "empty attribute": _line(8, attributes=(Attribute("", ""),)),
    "S at zero": _line(0, vat=Vat(VatCategory.STANDARD)),
    "Z at a rate": _line(3, vat=Vat(VatCategory.ZERO_RATED, Decimal(5))),
    "E at a rate": _line(2, vat=Vat(VatCategory.EXEMPT, Decimal(5), "why")),
    "E without reason": lambda document: replace(
        document,
        lines=tuple(replace(line, vat=Vat(line.vat.category, line.vat.rate)) for line in document.lines),
    ),
    "S with a reason": _line(0, vat=Vat(VatCategory.STANDARD, Decimal(19), "why")),
    "AE without a buyer": _line(4, vat=Vat(VatCategory.REVERSE_CHARGE, exemption_code="VATEX-EU-AE")),
    "K without delivery": _line(4, vat=Vat(VatCategory.INTRA_COMMUNITY, exemption_code="VATEX-EU-IC")),
    "G without reason": _line(4, vat=Vat(VatCategory.EXPORT)),
    "O among others": _line(4, vat=Vat(VatCategory.OUTSIDE_SCOPE, exemption_code="VATEX-EU-O")),
    "O in an allowance": _header(allowances=(_adjusted("1", Vat(VatCategory.OUTSIDE_SCOPE)),)),
    "unknown exemption code": _line(2, vat=Vat(VatCategory.EXEMPT, exemption_code="VATEX-XX")),
    "seller unregistered": _seller(vat_id=None),
    "seller registered locally": _seller(vat_id=None, tax_id="12/345"),
    "seller vat id without country": _seller(vat_id="136695976"),
    "seller without a name": _seller(name=""),
    "unknown currency": _header(currency="EUX"),
    "period reversed": _header(
        period=Period(canary._HEADER.issue_date.replace(day=9), canary._HEADER.issue_date.replace(day=8))
    ),
    "period empty": _header(period=Period()),
    "no account": _header(payment=Payment("58")),
    "unknown payment means": _header(payment=Payment("QQ", accounts=(Account(iban="DE02120300000000202051"),))),
    "direct debit": _header(payment=Payment("59", direct_debit=DirectDebit("M-1", "DE98ZZZ09999999999"))),
    "document allowance without reason": _header(allowances=(_adjusted("10.00", _STANDARD, None),)),
    "document charge without reason": _header(charges=(_adjusted("10.00", _STANDARD, None),)),
    "document allowance at S 0": _header(allowances=(_adjusted("10.00", Vat(VatCategory.STANDARD)),)),
    "document charge at a rate of its own": _header(
        charges=(_adjusted("10.00", Vat(VatCategory.STANDARD, Decimal(5))),)
    ),
    "document allowance larger than the lines": _header(allowances=(_adjusted("99999.00", _STANDARD),)),
    "delivery to nowhere": _header(delivery=Delivery(address=replace(canary._HEADER.seller.address, country="XX"))),
    "representative without country": _header(
        tax_representative=TaxRepresentative("R", "136695976", canary._HEADER.seller.address)
    ),
}


@pytest.mark.parametrize("name", _MUTATIONS)
def test_chunks_and_folded_find_the_rules_that_the_whole_finds(name: str, judge: Judge) -> None:
    document = _MUTATIONS[name](_right())
    whole = judge_whole(judge, document.header, document.lines, document.totals)
    found = judge_folded(judge, document.header, document.sums, document.totals)
    for start in range(0, len(document.lines), 4):
        found += judge_chunk(judge, document.header, document.lines[start : start + 4], start)
    assert {(each.syntax, each.rule) for each in found} == {(each.syntax, each.rule) for each in whole}


def test_most_mutations_break_a_rule(judge: Judge) -> None:
    """Were they all harmless, the test above would compare nothing with nothing."""
    broken = {
        name
        for name, mutate in _MUTATIONS.items()
        if (document := mutate(_right())) and judge_whole(judge, document.header, document.lines, document.totals)
    }
    assert len(broken) >= 45
    assert "nothing" not in broken


def test_a_fault_in_a_late_chunk_is_named_by_its_line_in_the_whole_request(judge: Judge) -> None:
    document = _line(9, price=Decimal(-1))(_right())
    found = judge_chunk(judge, document.header, document.lines[8:], 1008)
    assert {(each.rule, each.field) for each in findings_of(found)} == {("BR-27", "/lines/1009/price")}
