"""What the official rules find, in the words of a request."""

import pytest

from invoicing.invoices.model import Syntax
from invoicing.invoices.rules import Violation
from invoicing.invoices.rules_text import findings_of, is_ours


def _violation(rule: str, location: str = "/Invoice[1]", syntax: Syntax = Syntax.UBL) -> Violation:
    return Violation(rule, "fatal", location, f"[{rule}]-text", syntax, "v")


@pytest.mark.parametrize(
    ("rule", "location", "field"),
    [
        ("BR-27", "/Invoice[1]/InvoiceLine[12]/Price[1]", "/lines/11/price"),
        ("BR-CL-23", "/Invoice[1]/InvoiceLine[1]/InvoicedQuantity[1]", "/lines/0/unit"),
        ("BR-S-05", "/CreditNote[1]/CreditNoteLine[2]/Item[1]", "/lines/1/vat/rate"),
        ("BR-IC-02", "/Invoice[1]", "/seller/vat_id"),
        ("BR-CO-26", "/Invoice[1]", "/seller"),
        ("BR-UNKNOWN", "/Invoice[1]/InvoiceLine[3]", "/lines/2"),
        ("BR-UNKNOWN", "/Invoice[1]", ""),
    ],
)
def test_a_rule_is_told_by_the_field_that_broke_it(rule: str, location: str, field: str) -> None:
    (finding,) = findings_of([_violation(rule, location)])
    assert (finding.rule, finding.field) == (rule, field)
    assert finding.remedy


def test_what_both_syntaxes_find_is_told_once() -> None:
    cii = "/CrossIndustryInvoice[1]/SupplyChainTradeTransaction[1]/IncludedSupplyChainTradeLineItem[3]/X[1]"
    found = [_violation("BR-27", "/Invoice[1]/InvoiceLine[3]/Price[1]"), _violation("BR-27", cii, Syntax.CII)]
    assert [finding.field for finding in findings_of(found)] == ["/lines/2/price"]


@pytest.mark.parametrize("rule", ["BR-CO-10", "BR-CO-16", "BR-S-08", "BR-DEC-14", "XSD"])
def test_a_fault_of_our_sums_is_not_blamed_on_the_customer(rule: str) -> None:
    assert is_ours(_violation(rule))
    assert "support" in findings_of([_violation(rule)])[0].remedy


@pytest.mark.parametrize("rule", ["BR-27", "BR-S-05", "BR-CO-26", "BR-CL-23"])
def test_a_fault_of_the_request_is_not_taken_for_ours(rule: str) -> None:
    assert not is_ours(_violation(rule))
