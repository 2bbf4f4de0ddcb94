"""What can be refused in lines, one part of a request at a time."""

from collections.abc import Iterable, Iterator

from invoicing.invoices import codes
from invoicing.invoices.check_terms import adjustment_findings, code_finding, period_findings, vat_findings
from invoicing.invoices.model import ZERO, Finding, Line
from invoicing.invoices.numerals import EXACT, plain


def line_findings(lines: Iterable[Line], first_index: int = 0, seen: set[str] | None = None) -> list[Finding]:
    """Name everything that is wrong with these lines.

    `first_index` is the place of the first of them in the whole request. `seen` collects the ids: pass the same set
    with every part, and an id used in two parts is found.
    """
    known = set[str]() if seen is None else seen
    findings: list[Finding] = []
    for index, line in enumerate(lines, first_index):
        place = f"/lines/{index}"
        findings.extend(_line(line, place))
        if line.id in known:
            findings.append(
                Finding(
                    "LINE-ID-TWICE",
                    f"{place}/id",
                    f'The line id "{line.id}" is used twice.',
                    "Give every line an id of its own.",
                )
            )
        known.add(line.id)
    return findings


def _line(line: Line, place: str) -> Iterator[Finding]:
    yield from code_finding(codes.UNIT, line.unit, f"{place}/unit", "unit (UN/ECE recommendation 20 or 21)")
    yield from vat_findings(line.vat, f"{place}/vat")
    yield from _price(line, place)
    for index, allowance in enumerate(line.allowances):
        yield from adjustment_findings(allowance, f"{place}/allowances/{index}", codes.ALLOWANCE_REASON, "BR-42")
    for index, charge in enumerate(line.charges):
        yield from adjustment_findings(charge, f"{place}/charges/{index}", codes.CHARGE_REASON, "BR-44")
    if line.period is not None:
        yield from period_findings(line.period, f"{place}/period", order_rule="BR-30", empty_rule="BR-CO-20")
    yield from _item(line, place)


def _price(line: Line, place: str) -> Iterator[Finding]:
    if line.price < ZERO:
        yield Finding(
            "BR-27",
            f"{place}/price",
            f"The net price {plain(line.price)} is negative.",
            "Make the price positive and the quantity negative.",
        )
    if line.gross_price is None:
        return
    if line.gross_price < ZERO:
        yield Finding("BR-28", f"{place}/gross_price", "The gross price is negative.", "Give a gross price from 0 up.")
    discount = EXACT.subtract(line.gross_price, line.price)
    if discount < ZERO or (line.price_discount is not None and line.price_discount != discount):
        yield Finding(
            "PRICE-DISCOUNT",
            f"{place}/gross_price",
            f"The gross price {plain(line.gross_price)} less its discount does not give the price {plain(line.price)}.",
            "Correct price, gross_price or price_discount: price = gross_price - price_discount.",
        )


def _item(line: Line, place: str) -> Iterator[Finding]:
    if line.origin_country is not None:
        yield from code_finding(codes.ORIGIN_COUNTRY, line.origin_country, f"{place}/origin_country", "country")
    for index, each in enumerate(line.classifications):
        where = f"{place}/classifications/{index}/list"
        yield from code_finding(codes.CLASSIFICATION_LIST, each.list, where, "classification list (UNTDID 7143)")
    if line.invoiced_object is not None and line.invoiced_object.scheme is not None:
        where = f"{place}/invoiced_object/scheme"
        yield from code_finding(codes.OBJECT_SCHEME, line.invoiced_object.scheme, where, "object scheme (UNTDID 1153)")
    if line.standard_item_id is None:
        return
    where = f"{place}/standard_item_id/scheme"
    if line.standard_item_id.scheme is None:
        yield Finding("BR-64", where, "A standard item id needs its scheme.", "Add the scheme: 0160 for a GTIN.")
    else:
        yield from code_finding(codes.ITEM_SCHEME, line.standard_item_id.scheme, where, "item scheme (ISO 6523)")
