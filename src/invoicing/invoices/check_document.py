"""What can be refused once all lines are summed: VAT rules across the document, and figures that differ from yours."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from invoicing.invoices.check_terms import NEEDS_REASON, RULE_OF
from invoicing.invoices.model import ZERO, DocumentType, Expected, Finding, Header, Totals, VatCategory
from invoicing.invoices.numerals import amount
from invoicing.invoices.totals import Group, Sums, finish, taxed

# The rules for CII, like many readers, compute in binary: beyond 2^53 cents (9 * 10^13) they lose cents.
_LARGEST: Final = Decimal(10) ** 13
_VAT_REGISTRATION: Final = frozenset({VatCategory.INTRA_COMMUNITY, VatCategory.EXPORT})
_USUAL_CODE: Final = {
    VatCategory.EXEMPT: "the VATEX code of the exemption",
    VatCategory.REVERSE_CHARGE: "VATEX-EU-AE",
    VatCategory.INTRA_COMMUNITY: "VATEX-EU-IC",
    VatCategory.EXPORT: "VATEX-EU-G",
    VatCategory.OUTSIDE_SCOPE: "VATEX-EU-O",
}


def document_findings(header: Header, sums: Sums) -> list[Finding]:
    """Name everything that is wrong with the document as a whole."""
    return list(_all(header, sums))


def _all(header: Header, sums: Sums) -> Iterator[Finding]:
    if sums.line_count == 0:
        yield Finding("BR-16", "/lines", "An invoice needs at least one line.", "Add a line.")
    groups = taxed(sums, header).in_order()
    for group in groups:
        yield from _reason(group)
        yield from _registrations(header, group.vat.category)
    yield from _outside_scope(header, {group.vat.category for group in groups})
    yield from _figures(header, finish(sums, header))


def _reason(group: Group) -> Iterator[Finding]:
    category = group.vat.category
    if category not in NEEDS_REASON:
        return
    if group.conflict:
        yield Finding(
            "VAT-REASON-CONFLICT",
            "/lines",
            f"Lines of VAT category {category.value} give different reasons; an invoice states one.",
            "Give all of them the same reason, or split the invoice.",
        )
    if group.vat.exemption_reason is None and group.vat.exemption_code is None:
        yield Finding(
            f"BR-{RULE_OF[category]}-10",
            "/lines",
            f"VAT category {category.value} demands a reason, and no line gives one.",
            f"Add vat.exemption_reason, or vat.exemption_code ({_USUAL_CODE[category]}).",
        )


def _registrations(header: Header, category: VatCategory) -> Iterator[Finding]:
    """BR-S-02 and its like: who must be registered, and where supplies within the Union went."""
    if category is VatCategory.OUTSIDE_SCOPE:
        return
    rule = f"BR-{RULE_OF[category]}-02"
    represented = header.tax_representative is not None
    local = header.seller.tax_id is not None and category not in _VAT_REGISTRATION
    if not (header.seller.vat_id or represented or local):
        yield Finding(
            rule,
            "/seller/vat_id",
            f"VAT category {category.value} demands the seller's VAT id.",
            "Add seller.vat_id, or a tax_representative.",
        )
    if category is VatCategory.REVERSE_CHARGE and not (header.buyer.vat_id or header.buyer.legal_id):
        yield Finding(
            rule,
            "/buyer/vat_id",
            "Under reverse charge the buyer owes the VAT, so the buyer must be identified.",
            "Add buyer.vat_id or buyer.legal_id.",
        )
    if category is VatCategory.INTRA_COMMUNITY:
        yield from _intra_community(header, rule)


def _intra_community(header: Header, rule: str) -> Iterator[Finding]:
    if not header.buyer.vat_id:
        yield Finding(
            rule, "/buyer/vat_id", "An intra-community supply demands the buyer's VAT id.", "Add buyer.vat_id."
        )
    if not ((header.delivery and header.delivery.date) or header.period):
        yield Finding(
            "BR-IC-11",
            "/delivery/date",
            "An intra-community supply demands the delivery date or the invoiced period.",
            "Add delivery.date or period.",
        )
    if not (header.delivery and header.delivery.address):
        yield Finding(
            "BR-IC-12",
            "/delivery/address/country",
            "An intra-community supply demands the country it was delivered to.",
            "Add delivery.address with its country.",
        )


def _outside_scope(header: Header, categories: set[VatCategory]) -> Iterator[Finding]:
    if VatCategory.OUTSIDE_SCOPE not in categories:
        return
    if len(categories) > 1:
        others = ", ".join(sorted(category.value for category in categories - {VatCategory.OUTSIDE_SCOPE}))
        yield Finding(
            "BR-O-11",
            "/lines",
            f"Category O (not subject to VAT) cannot be mixed with others ({others}).",
            "Invoice what is not subject to VAT apart, or use category E or Z.",
        )
    for place, given in (("/seller/vat_id", header.seller.vat_id), ("/buyer/vat_id", header.buyer.vat_id)):
        if given is not None:
            yield Finding(
                "BR-O-02",
                place,
                "An invoice outside the scope of VAT (category O) must not show a VAT id.",
                "Remove the VAT id, and identify the party by legal_id; or use another category.",
            )
    if header.tax_representative is not None:
        yield Finding(
            "BR-O-02",
            "/tax_representative",
            "An invoice outside the scope of VAT (category O) has no tax representative.",
            "Remove tax_representative, or use another category.",
        )


def _figures(header: Header, totals: Totals) -> Iterator[Finding]:
    if max(abs(totals.gross), abs(totals.payable), abs(totals.lines)) >= _LARGEST:
        yield Finding(
            "AMOUNT-TOO-LARGE",
            "/lines",
            f"The total of {amount(totals.gross)} is beyond 10^13, more than systems read exactly.",
            "Check quantities and prices, or split the invoice.",
        )
    is_invoice = header.type is DocumentType.INVOICE
    if (
        is_invoice
        and totals.payable > ZERO
        and header.due_date is None
        and not (header.payment and header.payment.terms)
    ):
        yield Finding(
            "BR-CO-25",
            "/due_date",
            f"{amount(totals.payable)} {header.currency} are to be paid, but it is not said by when.",
            "Add due_date or payment.terms.",
        )
    if header.expected is not None:
        yield from _differences(header.expected, totals, header.currency)


def _differences(expected: Expected, totals: Totals, currency: str) -> Iterator[Finding]:
    for name in ("lines", "net", "vat", "gross", "payable"):
        theirs: Decimal | None = getattr(expected, name)
        ours: Decimal = getattr(totals, name)
        if theirs is not None and theirs != ours:
            yield Finding(
                "EXPECTED-TOTAL",
                f"/expected/{name}",
                f"Your books say {name} {amount(theirs)} {currency}; the request adds up to {amount(ours)} {currency}.",
                "Correct the lines, allowances, charges or rates, or the expected figure.",
            )
