"""What is refused at submission: each fault by its rule, at its field, with words on what to do."""

from collections.abc import Callable
from typing import Any

import pytest

from invoicing.invoices import checks
from invoicing.invoices.check_lines import line_findings
from invoicing.invoices.model import Finding
from invoicing.invoices.payload import InvoicePayload

Payload = dict[str, Any]
Spoil = Callable[[Payload], object]


def _findings(payload: Payload) -> list[Finding]:
    read = InvoicePayload.model_validate(payload)
    return checks.findings(read.to_header(), read.to_lines())


def _vat(category: str, rate: str = "0", **terms: str) -> Spoil:
    def spoil(payload: Payload) -> None:
        payload.pop("expected")
        payload["lines"][0]["vat"] = {"category": category, "rate": rate, **terms}

    return spoil


def _line(**terms: object) -> Spoil:
    def spoil(payload: Payload) -> None:
        payload.pop("expected")
        payload["lines"][0].update(terms)

    return spoil


def _mixed_with_outside_scope(payload: Payload) -> None:
    payload.pop("expected")
    payload["seller"] = {**payload["seller"], "vat_id": None, "tax_id": "1", "legal_id": {"value": "HRB 1"}}
    vat = {"category": "O", "exemption_code": "VATEX-EU-O"}
    payload["lines"].append({**payload["lines"][0], "id": "2", "vat": vat})


def _two_reasons(payload: Payload) -> None:
    _vat("E", exemption_reason="one")(payload)
    vat = {"category": "E", "exemption_reason": "another"}
    payload["lines"].append({**payload["lines"][0], "id": "2", "vat": vat})


def _embedded(media_type: str, times: int = 1) -> Spoil:
    file = {"id": "1", "content": "QQ==", "filename": "a", "media_type": media_type}
    return lambda payload: payload.update(attachments=[file] * times)


def test_a_right_request_is_accepted(payload: Payload) -> None:
    assert _findings(payload) == []


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda p: p.update(currency="EUX"), {("BR-CL-04", "/currency")}),
        (lambda p: p["seller"]["address"].update(country="XX"), {("BR-CL-14", "/seller/address/country")}),
        (lambda p: p.update(due_date="2026-11-21"), {("DATE-ORDER", "/due_date")}),
        (lambda p: p["period"].update(end="2026-09-30"), {("BR-29", "/period/end")}),
        (lambda p: p.update(period={}), {("BR-CO-19", "/period")}),
        (lambda p: p["seller"].update(vat_id="136695976"), {("BR-CO-09", "/seller/vat_id")}),
        (lambda p: p["buyer"].update(vat_id="ATU12345678"), {("VAT-ID", "/buyer/vat_id")}),
        (lambda p: p["buyer"].update(vat_id="NO123456789MVA"), {("VAT-ID", "/buyer/vat_id")}),
        (lambda p: p["seller"].update(vat_id=None), {("BR-CO-26", "/seller"), ("BR-S-02", "/seller/vat_id")}),
        (
            lambda p: p["seller"]["electronic_address"].update(scheme="XX"),
            {("BR-CL-25", "/seller/electronic_address/scheme")},
        ),
        (
            lambda p: p["buyer"].update(identifiers=[{"value": "1"}, {"value": "2"}]),
            {("UBL-SR-16", "/buyer/identifiers")},
        ),
        (lambda p: p["buyer"].update(tax_id="1"), {("SELLER-ONLY", "/buyer/tax_id")}),
        (lambda p: p["payment"].update(iban="DE02120300000000202052"), {("IBAN", "/payment/iban")}),
        (lambda p: p["payment"].update(bic="NOBIC"), {("BIC", "/payment/bic")}),
        (lambda p: p["payment"].update(means="ZZ"), {("BR-CL-16", "/payment/means")}),
        (lambda p: p["payment"].pop("iban"), {("BR-61", "/payment/iban")}),
        (lambda p: p.update(due_date=None, payment=None), {("BR-CO-25", "/due_date")}),
        (lambda p: p.update(type="credit_note"), {("CREDIT-NOTE-REFERENCE", "/preceding_invoice")}),
        (_embedded("text/html"), {("BR-CL-24", "/attachments/0/media_type")}),
        (_embedded("text/csv", times=2), {("CII-SR-476", "/attachments")}),
        (lambda p: p.update(expected={"net": "295.01", "vat": "56.05"}), {("EXPECTED-TOTAL", "/expected/net")}),
        (_line(unit="HOURS"), {("BR-CL-23", "/lines/0/unit")}),
        (_line(price="-1"), {("BR-27", "/lines/0/price")}),
        (_line(gross_price="0.50"), {("PRICE-DISCOUNT", "/lines/0/gross_price")}),
        (_line(gross_price="2", price_discount="0.5"), {("PRICE-DISCOUNT", "/lines/0/gross_price")}),
        (_line(allowances=[{"amount": "5.00"}]), {("BR-42", "/lines/0/allowances/0/reason")}),
        (_line(charges=[{"amount": "5.00", "reason_code": "95"}]), {("BR-CL-20", "/lines/0/charges/0/reason_code")}),
        (
            _line(allowances=[{"amount": "5.00", "reason": "x", "base": "100.00", "percentage": "6"}]),
            {("ADJUSTMENT-ARITHMETIC", "/lines/0/allowances/0/amount")},
        ),
        (_line(period={"start": "2026-10-02", "end": "2026-10-01"}), {("BR-30", "/lines/0/period/end")}),
        (_line(standard_item_id={"value": "1"}), {("BR-64", "/lines/0/standard_item_id/scheme")}),
        (_line(origin_country="XX"), {("BR-CL-15", "/lines/0/origin_country")}),
        (_line(classifications=[{"code": "1", "list": "XXX"}]), {("BR-CL-13", "/lines/0/classifications/0/list")}),
        (_line(quantity="999999999999", price="99999"), {("AMOUNT-TOO-LARGE", "/lines")}),
        (_vat("S", "0"), {("BR-S-05", "/lines/0/vat/rate")}),
        (_vat("L", "0"), {("BR-AF-05", "/lines/0/vat/rate")}),
        (_vat("Z", "19"), {("BR-Z-05", "/lines/0/vat/rate")}),
        (_vat("S", "19", exemption_reason="none"), {("BR-S-10", "/lines/0/vat")}),
        (_vat("E"), {("BR-E-10", "/lines")}),
        (_vat("E", exemption_code="VATEX-EU-XX"), {("BR-CL-22", "/lines/0/vat/exemption_code")}),
        (_vat("AE", exemption_code="VATEX-EU-AE"), {("BR-AE-02", "/buyer/vat_id")}),
        (
            _vat("K", exemption_code="VATEX-EU-IC"),
            {("BR-IC-02", "/buyer/vat_id"), ("BR-IC-12", "/delivery/address/country")},
        ),
        (_vat("G"), {("BR-G-10", "/lines")}),
        (_vat("O", exemption_code="VATEX-EU-O"), {("BR-O-02", "/seller/vat_id")}),
        (_mixed_with_outside_scope, {("BR-O-11", "/lines")}),
        (_two_reasons, {("VAT-REASON-CONFLICT", "/lines")}),
        (
            lambda p: p.update(allowances=[{"amount": "1.00", "vat": {"category": "S", "rate": "19"}}], expected=None),
            {("BR-33", "/allowances/0/reason")},
        ),
    ],
)
def test_a_fault_is_refused_at_its_field(payload: Payload, spoil: Spoil, expected: set[tuple[str, str]]) -> None:
    spoil(payload)
    findings = _findings(payload)
    assert {(finding.rule, finding.field) for finding in findings} == expected
    assert all(finding.message and finding.remedy for finding in findings)


def test_a_different_total_is_refused_with_both_figures(payload: Payload) -> None:
    payload["expected"] = {"payable": "350.00"}
    (finding,) = _findings(payload)
    assert "350.00 EUR" in finding.message
    assert "351.05 EUR" in finding.message


def test_a_line_id_used_in_two_parts_is_found(payload: Payload) -> None:
    (line,) = InvoicePayload.model_validate(payload).to_lines()
    seen: set[str] = set()
    assert line_findings([line], 0, seen) == []
    assert [(each.rule, each.field) for each in line_findings([line], 500, seen)] == [
        ("LINE-ID-TWICE", "/lines/500/id")
    ]
