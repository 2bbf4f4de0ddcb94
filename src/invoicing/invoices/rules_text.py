"""What the official rules found, in the words of a request: which field it is, and what to do about it."""

import re
from collections.abc import Iterable
from typing import Final

from invoicing.invoices.chunks import line_index
from invoicing.invoices.model import Finding
from invoicing.invoices.rules import Violation

_CATEGORY: Final = r"(S|Z|E|AE|IC|G|O|AF|AG)"

# Rule (a pattern) → the field it is about, below the line when it is found in one, and the remedy.
_WHERE: Final[tuple[tuple[re.Pattern[str], str, str], ...]] = tuple(
    (re.compile(pattern), field, remedy)
    for pattern, field, remedy in (
        (r"BR-0?6|BR-0?8|BR-0?9", "/seller", "Complete the seller's name and address."),
        (r"BR-0?7|BR-1[01]", "/buyer", "Complete the buyer's name and address."),
        (r"BR-CO-26", "/seller", "Add seller.vat_id, seller.legal_id or seller.identifiers."),
        (r"BR-CO-09", "/seller/vat_id", "Write VAT ids with their country prefix."),
        (r"BR-16", "/lines", "Add a line."),
        (r"BR-22|BR-CO-04", "/quantity", "Give every line its quantity and VAT category."),
        (r"BR-23|BR-CL-23", "/unit", "Use a unit code of UN/ECE recommendation 20 or 21."),
        (r"BR-25", "/name", "Name the item."),
        (r"BR-26|BR-27", "/price", "Give a price from 0 up; make the quantity negative instead."),
        (r"BR-28", "/gross_price", "Give a gross price from 0 up."),
        (r"BR-29|BR-CO-19", "/period", "Let the period start before it ends."),
        (r"BR-30|BR-CO-20", "/period", "Let the line's period start before it ends."),
        (r"BR-3[1-5]|BR-CO-(05|21)", "/allowances", "Give every allowance an amount, a reason and its VAT."),
        (r"BR-3[6-9]|BR-40|BR-CO-(06|22)", "/charges", "Give every charge an amount, a reason and its VAT."),
        (r"BR-4[12]|BR-CO-(07|23)", "/allowances", "Give the line's allowance an amount and a reason."),
        (r"BR-4[34]|BR-CO-(08|24)", "/charges", "Give the line's charge an amount and a reason."),
        (r"BR-5[0]|BR-61", "/payment/iban", "Add the account that is paid into."),
        (r"BR-49", "/payment/means", "Say how the amount is paid (UNTDID 4461)."),
        (r"BR-5[2]|BR-CL-24", "/attachments", "Give the attachment an id, and one of the media types admitted."),
        (r"BR-55", "/preceding_invoice/number", "Name the preceding invoice by its number."),
        (r"BR-5[6]|BR-18|BR-19|BR-20", "/tax_representative", "Complete the tax representative."),
        (r"BR-57|BR-IC-12", "/delivery/address/country", "Add the country that was delivered to."),
        (r"BR-IC-11", "/delivery/date", "Add delivery.date or period."),
        (r"BR-62|BR-CL-25", "/seller/electronic_address", "Give the electronic address a scheme of the EAS list."),
        (r"BR-63", "/buyer/electronic_address", "Give the electronic address a scheme of the EAS list."),
        (r"BR-64|BR-CL-21", "/standard_item_id", "Give the standard item id its ISO 6523 scheme."),
        (r"BR-65|BR-CL-13", "/classifications", "Give the classification its list (UNTDID 7143)."),
        (r"BR-CO-25", "/due_date", "Add due_date or payment.terms."),
        (r"BR-CL-0[345]", "/currency", "Use an ISO 4217 currency."),
        (r"BR-CL-14", "/seller/address/country", "Use ISO 3166-1 country codes."),
        (r"BR-CL-15", "/origin_country", "Use an ISO 3166-1 country code."),
        (r"BR-CL-16", "/payment/means", "Use a code of UNTDID 4461."),
        (r"BR-CL-19", "/allowances", "Use a reason code of UNTDID 5189."),
        (r"BR-CL-20", "/charges", "Use a reason code of UNTDID 7161."),
        (r"BR-CL-22", "/vat/exemption_code", "Use a VATEX code."),
        (r"BR-CL-1[01]", "/seller", "Use ISO 6523 schemes for identifiers."),
        (rf"BR-{_CATEGORY}-0[234]", "/seller/vat_id", "Add the VAT ids that the VAT category demands."),
        (rf"BR-{_CATEGORY}-0[567]", "/vat/rate", "Correct the rate, or the VAT category."),
        (rf"BR-{_CATEGORY}-10", "/vat/exemption_reason", "Give a reason where the category demands one, else none."),
        (r"BR-O-1[1-4]", "/lines", "Invoice what is not subject to VAT apart."),
    )
)
# Sums that we computed ourselves: no field of a request can be at fault.
_OURS: Final = re.compile(rf"BR-CO-1[0-8]|BR-DEC-\d+|BR-{_CATEGORY}-0?[189]|XSD")
_WRITE_SUPPORT: Final = "Write to support: the document that we made of your request is at fault."


def is_ours(violation: Violation) -> bool:
    """Tell whether the fault can only lie in the document that we wrote, not in what was asked for."""
    return _OURS.fullmatch(violation.rule) is not None


def findings_of(violations: Iterable[Violation]) -> list[Finding]:
    """Word violations as findings, each rule and field once: both syntaxes find the same."""
    worded = [_finding(violation) for violation in violations]
    return list({(finding.rule, finding.field): finding for finding in worded}.values())


def _finding(violation: Violation) -> Finding:
    field, remedy = _place(violation)
    return Finding(violation.rule, field, violation.text, remedy)


def _place(violation: Violation) -> tuple[str, str]:
    index = line_index(violation)
    below = "" if index is None else f"/lines/{index}"
    if is_ours(violation):
        return below, _WRITE_SUPPORT
    for pattern, field, remedy in _WHERE:
        if pattern.fullmatch(violation.rule):
            return below + field, remedy
    return below, "Correct what the rule names; its text says what it demands."
