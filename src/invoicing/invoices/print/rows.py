"""The rows of the printed tables: lines, allowances and charges, VAT, totals."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from invoicing.invoices.model import Adjustment, DocumentAdjustment, Header, Line, Totals, Vat, VatCategory
from invoicing.invoices.print import figures
from invoicing.invoices.print.address import country_name
from invoicing.invoices.print.language import Language
from invoicing.invoices.print.view import Fact, PrintedAdjustment, PrintedLine, PrintedVat
from invoicing.invoices.totals import key_of, line_net

_TAXED = frozenset({VatCategory.STANDARD, VatCategory.CANARY_ISLANDS, VatCategory.CEUTA_MELILLA})
_NOTHING = "\N{EN DASH}"
_TIMES = "\N{MULTIPLICATION SIGN}"
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, slots=True)
class Rows:
    """Prints rows of one invoice: its language, its currency, and the marks of its VAT notes."""

    language: Language
    currency: str
    totals: Totals

    def line(self, line: Line) -> PrintedLine:
        form = self.language.format
        return PrintedLine(
            position=line.id,
            name=line.name,
            details=tuple(self._details(line)),
            quantity=figures.number(line.quantity, form),
            unit=self._unit(line),
            price=figures.price(line.price, form),
            vat=self.rate(line.vat),
            amount=self.amount(line_net(line)),
        )

    def adjustment(self, adjustment: DocumentAdjustment, *, charge: bool) -> PrintedAdjustment:
        amount = adjustment.terms.amount if charge else -adjustment.terms.amount
        reason = self._reason(adjustment.terms, charge=charge)
        return PrintedAdjustment(reason, self.rate(adjustment.vat), self.amount(amount))

    def vat(self) -> tuple[PrintedVat, ...]:
        return tuple(
            PrintedVat(self.rate(row.vat), self.amount(row.taxable), self.amount(row.tax))
            for row in self.totals.breakdown
        )

    def vat_notes(self) -> tuple[str, ...]:
        """Say why no VAT is due; the buyer's accountant (and Directive 2006/112/EC, art. 226) asks for it."""
        return tuple(f"{self._mark(vat)} {self._why(vat)}" for vat in self._untaxed())

    def sums(self) -> tuple[Fact, ...]:
        """List the steps from the lines to the amount due; those of nothing are left out."""
        totals = self.totals
        adjusted = bool(totals.allowances or totals.charges)
        steps = (
            ("sum_lines", totals.lines, adjusted),
            ("sum_allowances", -totals.allowances, bool(totals.allowances)),
            ("sum_charges", totals.charges, bool(totals.charges)),
            ("net", totals.net, True),
            ("vat_total", totals.vat, True),
            ("gross", totals.gross, True),
            ("prepaid", -totals.prepaid, bool(totals.prepaid)),
            ("rounding", totals.rounding, bool(totals.rounding)),
        )
        return tuple(Fact(self.language.say(word), self.amount(value)) for word, value, shown in steps if shown)

    def amount(self, value: Decimal) -> str:
        return figures.amount(value, self.currency, self.language.format)

    def money(self, value: Decimal) -> str:
        return figures.money(value, self.currency, self.language.format)

    def rate(self, vat: Vat) -> str:
        nothing = _NOTHING if vat.category is VatCategory.OUTSIDE_SCOPE else ""
        return (nothing or figures.percent(vat.rate, self.language.format)) + self._mark(vat)

    def _details(self, line: Line) -> Iterator[str]:
        say = self._labelled
        if line.description:
            yield line.description
        if line.period:
            yield say("period", figures.period(line.period, self.language.format))
        yield from self._identifiers(line)
        yield from (f"{each.name}{self.language.format.colon}{each.value}" for each in line.attributes)
        if line.origin_country:
            yield say("origin", country_name(line.origin_country))
        if line.note:
            yield line.note
        yield from self._price_details(line)
        yield from self._line_adjustments(line)

    def _identifiers(self, line: Line) -> Iterator[str]:
        known = (
            ("item", line.seller_item_id),
            ("buyer_item", line.buyer_item_id),
            ("standard_item", line.standard_item_id and line.standard_item_id.value),
            ("order_line", line.order_line),
            ("object", line.invoiced_object and line.invoiced_object.value),
            ("accounting", line.buyer_accounting),
        )
        parts = [self._labelled(word, value) for word, value in known if value]
        if parts:
            yield " · ".join(parts)

    def _price_details(self, line: Line) -> Iterator[str]:
        form = self.language.format
        if line.base_quantity != 1:
            base = f"{figures.number(line.base_quantity, form)}{figures.NO_BREAK}{self._unit(line)}"
            yield self.language.say("price_per", quantity=base)
        if line.gross_price is not None and line.price_discount:
            yield self.language.say(
                "gross_price",
                price=figures.price(line.gross_price, form),
                discount=figures.price(line.price_discount, form),
            )

    def _line_adjustments(self, line: Line) -> Iterator[str]:
        colon = self.language.format.colon
        for allowance in line.allowances:
            yield f"{self._reason(allowance, charge=False)}{colon}{self.amount(-allowance.amount)}"
        for charge in line.charges:
            yield f"{self._reason(charge, charge=True)}{colon}{self.amount(charge.amount)}"

    def _reason(self, terms: Adjustment, *, charge: bool) -> str:
        kind = self.language.say("charge" if charge else "allowance")
        named = f"{kind}{self.language.format.colon}{terms.reason}" if terms.reason else kind
        if terms.percentage is None or terms.base is None:
            return named
        return f"{named} ({figures.percent(terms.percentage, self.language.format)} {_TIMES} {self.amount(terms.base)})"

    def _unit(self, line: Line) -> str:
        return self.language.units.get(line.unit, line.unit)

    def _labelled(self, word: str, value: str) -> str:
        return f"{self.language.say(word)}{self.language.format.colon}{value}"

    def _untaxed(self) -> list[Vat]:
        return [row.vat for row in self.totals.breakdown if row.vat.category not in _TAXED]

    def _mark(self, vat: Vat) -> str:
        keys = [key_of(each) for each in self._untaxed()]
        return str(keys.index(key_of(vat)) + 1).translate(_SUPERSCRIPT) if key_of(vat) in keys else ""

    def _why(self, vat: Vat) -> str:
        general = self.language.vat_notes[vat.category]
        particular = vat.exemption_reason or vat.exemption_code
        return f"{general} {particular}" if particular and particular not in general else general


def facts(header: Header, number: str, language: Language) -> Iterator[Fact]:
    """List number, dates and references: what stands beside the address."""
    form, refs = language.format, header.references
    delivered = header.delivery.date if header.delivery else None
    known = (
        ("number", number),
        ("issued", figures.day(header.issue_date, form)),
        ("due", header.due_date and figures.day(header.due_date, form)),
        ("delivered", delivered and figures.day(delivered, form)),
        ("period", header.period and figures.period(header.period, form)),
        ("tax_point", header.tax_point_date and figures.day(header.tax_point_date, form)),
        ("corrects", header.preceding_invoice and header.preceding_invoice.number),
        ("buyer_vat_id", header.buyer.vat_id),
        ("buyer_reference", refs.buyer),
        ("order", refs.order),
        ("sales_order", refs.sales_order),
        ("contract", refs.contract),
        ("project", refs.project),
        ("receipt", refs.receipt),
        ("despatch", refs.despatch),
        ("tender", refs.tender),
        ("invoiced_object", refs.invoiced_object and refs.invoiced_object.value),
        ("buyer_accounting", refs.buyer_accounting),
    )
    return (Fact(language.say(word), value) for word, value in known if value)
