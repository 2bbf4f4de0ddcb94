"""Real invoices that others wrote: their content as our requests, their totals against ours, to the cent."""

import io
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from stdnum import iban
from stdnum.eu import vat

from invoicing.invoices import checks, cii, ubl
from invoicing.invoices.model import Syntax, Totals
from invoicing.invoices.payload import InvoicePayload
from invoicing.invoices.rules import Judge
from invoicing.invoices.schemas import Schemas
from invoicing.invoices.totals import Sums, finish

_DEFAULT = Path(__file__).parents[3].parent / "shared" / "data"
_FOLDER = Path(os.environ.get("INVOICING_EXAMPLES_DIR", _DEFAULT)) / "en16931" / "ubl"
_EXAMPLES = (
    "guide-example1",
    "sample-discount-price",
    "ubl-tc434-creditnote1",
    "ubl-tc434-example1",
    "ubl-tc434-example2",
    "ubl-tc434-example3",
    "ubl-tc434-example4",
    "ubl-tc434-example5",
)
_SPACES = {
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}
# The examples' VAT ids are invented and fail their check digits, which we refuse: real ones take their place.
_VAT_ID_OF = {"DK": "DK13585628", "BE": "BE0403019261", "NL": "NL820098395B01", "NO": "NO995525828MVA"}
_IBAN_INSTEAD = "DK5000400440116243"
_AMOUNTS = {
    "lines": "LineExtensionAmount",
    "net": "TaxExclusiveAmount",
    "gross": "TaxInclusiveAmount",
    "payable": "PayableAmount",
}

pytestmark = pytest.mark.skipif(
    not _FOLDER.is_dir(), reason=f"no example invoices in {_FOLDER}; INVOICING_EXAMPLES_DIR says where they are"
)


@pytest.fixture(params=_EXAMPLES)
def example(request: pytest.FixtureRequest) -> etree._Element:
    return etree.parse(_FOLDER / f"{request.param}.xml", etree.XMLParser(resolve_entities=False)).getroot()


def test_our_totals_are_theirs_to_the_cent(example: etree._Element) -> None:
    totals = _totals(_payload(example))
    theirs = _first(example, "cac:LegalMonetaryTotal")
    assert {name: f"{getattr(totals, name)}" for name in _AMOUNTS} == {
        name: _text(theirs, f"cbc:{tag}") for name, tag in _AMOUNTS.items()
    }
    subtotals = _all(example, "cac:TaxTotal/cac:TaxSubtotal")
    assert sorted((f"{each.taxable}", f"{each.tax}") for each in totals.breakdown) == sorted(
        (str(_text(each, "cbc:TaxableAmount")), str(_text(each, "cbc:TaxAmount"))) for each in subtotals
    )


def test_what_we_make_of_it_passes_the_official_rules(example: etree._Element, judge: Judge, schemas: Schemas) -> None:
    payload = _payload(example)
    header, lines = payload.to_header(), payload.to_lines()
    assert checks.findings(header, lines) == []
    for syntax, write in ((Syntax.UBL, ubl.document), (Syntax.CII, cii.document)):
        document = write(header, lines, _totals(payload), "2026-1")
        assert judge.judge(syntax, document) == []
        assert schemas.check(syntax, header.type, io.BytesIO(document)) == []


def test_nothing_of_the_example_is_lost_on_the_way(example: etree._Element) -> None:
    payload = _payload(example)
    document = ubl.document(payload.to_header(), payload.to_lines(), _totals(payload), "2026-1")
    assert list(_lost(example, etree.fromstring(document))) == []


def _lost(theirs: etree._Element, ours: etree._Element) -> Iterator[str]:
    kept = set(_texts(ours))
    replaced = ("CompanyID", "ProfileID", "TaxCurrencyCode", "DescriptionCode", "Percent", "ChargeIndicator")
    tax_totals = _all(theirs, "cac:TaxTotal")[1:]  # in a second currency, which we do not write
    replaced_values = {"LOC", "DK1212341234123412", "0.27", _text(theirs, "cbc:ID")}
    replaced_values |= {_text(each, "cbc:TaxAmount") for each in tax_totals}
    for element in theirs.iter():
        if not isinstance(element.tag, str) or len(element) or etree.QName(element).localname in replaced:
            continue
        text = _plain(element)
        if text not in kept and text not in replaced_values:
            yield f"{etree.QName(element).localname}: {text}"


def _texts(root: etree._Element) -> Iterator[str]:
    return (_plain(element) for element in root.iter() if isinstance(element.tag, str))


def _plain(element: etree._Element) -> str:
    """Write a leaf's text so that spaces in an IBAN and trailing zeros do not matter."""
    text = " ".join((element.text or "").split())
    if iban.is_valid(text):
        return iban.compact(text)
    if text.replace(".", "").replace("-", "").isdigit() and "." in text:
        return text.rstrip("0").rstrip(".")
    return text


def _totals(payload: InvoicePayload) -> Totals:
    return finish(Sums.of(payload.to_lines()), payload.to_header())


def _payload(root: etree._Element) -> InvoicePayload:
    return InvoicePayload.model_validate(_without_nothing(_request(root)))


# Reading UBL into a request; every function gives plain JSON values, and None for what is not there.


def _all(parent: etree._Element, path: str) -> list[etree._Element]:
    return parent.findall(path, _SPACES)


def _first(parent: etree._Element, path: str) -> etree._Element:
    found = parent.find(path, _SPACES)
    assert found is not None, path
    return found


def _text(parent: etree._Element | None, path: str) -> str | None:
    return None if parent is None else parent.findtext(path, None, _SPACES)


def _without_nothing(value: Any) -> Any:
    match value:
        case dict():
            kept = {key: _without_nothing(each) for key, each in value.items()}
            return {key: each for key, each in kept.items() if each not in (None, "", {}, [])}
        case list():
            return [_without_nothing(each) for each in value]
    return value


def _request(root: etree._Element) -> dict[str, Any]:
    is_invoice = etree.QName(root).localname == "Invoice"
    adjustments = [
        (_text(each, "cbc:ChargeIndicator"), _adjustment(each)) for each in _all(root, "cac:AllowanceCharge")
    ]
    reference = root.find("cac:BillingReference/cac:InvoiceDocumentReference", _SPACES)
    totals = _first(root, "cac:LegalMonetaryTotal")
    reasons = {
        _text(each, "cbc:ID"): _text(each, "cbc:TaxExemptionReason")
        for each in _all(root, "cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory")
    }
    line_tag = "cac:InvoiceLine" if is_invoice else "cac:CreditNoteLine"
    return {
        "type": "invoice" if is_invoice else "credit_note",
        "series": "2026",
        "currency": _text(root, "cbc:DocumentCurrencyCode"),
        "issue_date": _text(root, "cbc:IssueDate"),
        "due_date": _text(root, "cbc:DueDate"),
        "tax_point_date": _text(root, "cbc:TaxPointDate"),
        "seller": _party(_first(root, "cac:AccountingSupplierParty/cac:Party")),
        "buyer": _party(_first(root, "cac:AccountingCustomerParty/cac:Party")),
        "payee": _payee(root.find("cac:PayeeParty", _SPACES)),
        "tax_representative": _representative(root.find("cac:TaxRepresentativeParty", _SPACES)),
        "delivery": _delivery(root.find("cac:Delivery", _SPACES)),
        "period": _period(root.find("cac:InvoicePeriod", _SPACES)),
        "payment": _payment(root),
        "buyer_reference": _text(root, "cbc:BuyerReference"),
        "buyer_accounting": _text(root, "cbc:AccountingCost"),
        "project_reference": _text(root, "cac:ProjectReference/cbc:ID"),
        "contract_reference": _text(root, "cac:ContractDocumentReference/cbc:ID"),
        "order_reference": _text(root, "cac:OrderReference/cbc:ID"),
        "sales_order_reference": _text(root, "cac:OrderReference/cbc:SalesOrderID"),
        "receipt_reference": _text(root, "cac:ReceiptDocumentReference/cbc:ID"),
        "despatch_reference": _text(root, "cac:DespatchDocumentReference/cbc:ID"),
        "tender_reference": _text(root, "cac:OriginatorDocumentReference/cbc:ID"),
        "preceding_invoice": {"number": _text(reference, "cbc:ID"), "date": _text(reference, "cbc:IssueDate")}
        if is_invoice
        else {"number": "2019-1"},  # the example credit note names none, and we demand one
        "notes": [each.text for each in _all(root, "cbc:Note")],
        "attachments": [
            each for each in map(_attachment, _all(root, "cac:AdditionalDocumentReference")) if "object" not in each
        ],
        "invoiced_object": next(
            (
                {"value": _text(each, "cbc:ID"), "scheme": _first(each, "cbc:ID").get("schemeID")}
                for each in _all(root, "cac:AdditionalDocumentReference")
                if _text(each, "cbc:DocumentTypeCode") == "130"
            ),
            None,
        ),
        "allowances": [terms for charge, terms in adjustments if charge in ("false", "0")],
        "charges": [terms for charge, terms in adjustments if charge in ("true", "1")],
        "prepaid": _text(totals, "cbc:PrepaidAmount"),
        "rounding": _text(totals, "cbc:PayableRoundingAmount"),
        "lines": [_line(each, reasons) for each in _all(root, line_tag)],
    }


def _identifier(found: etree._Element | None) -> dict[str, Any] | None:
    return None if found is None else {"value": found.text, "scheme": found.get("schemeID")}


def _address(found: etree._Element | None) -> dict[str, Any] | None:
    return (
        found
        if found is None
        else {
            "line1": _text(found, "cbc:StreetName"),
            "line2": _text(found, "cbc:AdditionalStreetName"),
            "line3": _text(found, "cac:AddressLine/cbc:Line"),
            "city": _text(found, "cbc:CityName"),
            "postcode": _text(found, "cbc:PostalZone"),
            "region": _text(found, "cbc:CountrySubentity"),
            "country": _text(found, "cac:Country/cbc:IdentificationCode"),
        }
    )


def _vat_id(given: str | None) -> str | None:
    return given if given is None or vat.is_valid(given) else _VAT_ID_OF[given[:2]]


def _party(party: etree._Element) -> dict[str, Any]:
    schemes = {
        _text(each, "cac:TaxScheme/cbc:ID"): _text(each, "cbc:CompanyID") for each in _all(party, "cac:PartyTaxScheme")
    }
    return {
        "name": _text(party, "cac:PartyLegalEntity/cbc:RegistrationName"),
        "trading_name": _text(party, "cac:PartyName/cbc:Name"),
        "vat_id": _vat_id(schemes.pop("VAT", None)),
        "tax_id": next(iter(schemes.values()), None),
        "legal_id": _identifier(party.find("cac:PartyLegalEntity/cbc:CompanyID", _SPACES)),
        "legal_form": _text(party, "cac:PartyLegalEntity/cbc:CompanyLegalForm"),
        "identifiers": [_identifier(each) for each in _all(party, "cac:PartyIdentification/cbc:ID")],
        "address": _address(party.find("cac:PostalAddress", _SPACES)),
        "contact": {
            "name": _text(party, "cac:Contact/cbc:Name"),
            "phone": _text(party, "cac:Contact/cbc:Telephone"),
            "email": _text(party, "cac:Contact/cbc:ElectronicMail"),
        },
        "electronic_address": _identifier(party.find("cbc:EndpointID", _SPACES)),
    }


def _payee(party: etree._Element | None) -> dict[str, Any] | None:
    return (
        party
        if party is None
        else {
            "name": _text(party, "cac:PartyName/cbc:Name"),
            "identifier": _identifier(party.find("cac:PartyIdentification/cbc:ID", _SPACES)),
            "legal_id": _identifier(party.find("cac:PartyLegalEntity/cbc:CompanyID", _SPACES)),
        }
    )


def _representative(party: etree._Element | None) -> dict[str, Any] | None:
    return (
        party
        if party is None
        else {
            "name": _text(party, "cac:PartyName/cbc:Name"),
            "vat_id": _vat_id(_text(party, "cac:PartyTaxScheme/cbc:CompanyID")),
            "address": _address(party.find("cac:PostalAddress", _SPACES)),
        }
    )


def _delivery(found: etree._Element | None) -> dict[str, Any] | None:
    return (
        found
        if found is None
        else {
            "date": _text(found, "cbc:ActualDeliveryDate"),
            "name": _text(found, "cac:DeliveryParty/cac:PartyName/cbc:Name"),
            "location": _identifier(found.find("cac:DeliveryLocation/cbc:ID", _SPACES)),
            "address": _address(found.find("cac:DeliveryLocation/cac:Address", _SPACES)),
        }
    )


def _period(found: etree._Element | None) -> dict[str, Any]:
    return {"start": _text(found, "cbc:StartDate"), "end": _text(found, "cbc:EndDate")}


def _payment(root: etree._Element) -> dict[str, Any]:
    means = _all(root, "cac:PaymentMeans")
    mandate = root.find("cac:PaymentMeans/cac:PaymentMandate", _SPACES)
    debited = _text(mandate, "cac:PayerFinancialAccount/cbc:ID")
    return {
        "means": _text(means[0], "cbc:PaymentMeansCode") if means else "1",
        "remittance": _text(means[0], "cbc:PaymentID") if means else None,
        "terms": _text(root, "cac:PaymentTerms/cbc:Note"),
        "accounts": [_account(each) for each in _all(root, "cac:PaymentMeans/cac:PayeeFinancialAccount")],
        "direct_debit": {"mandate": _text(mandate, "cbc:ID"), "debited_iban": debited and _IBAN_INSTEAD},
    }


def _account(found: etree._Element) -> dict[str, Any]:
    number = _text(found, "cbc:ID")
    return {
        "iban" if iban.is_valid(number or "") else "number": number,
        "name": _text(found, "cbc:Name"),
        "bic": _text(found, "cac:FinancialInstitutionBranch/cbc:ID"),
    }


def _attachment(found: etree._Element) -> dict[str, Any]:
    if _text(found, "cbc:DocumentTypeCode") == "130":
        return {"object": True}
    binary = found.find("cac:Attachment/cbc:EmbeddedDocumentBinaryObject", _SPACES)
    return {
        "id": _text(found, "cbc:ID"),
        "description": _text(found, "cbc:DocumentDescription"),
        "filename": None if binary is None else binary.get("filename"),
        "media_type": None if binary is None else binary.get("mimeCode"),
        "content": None if binary is None else binary.text,
        "url": _text(found, "cac:Attachment/cac:ExternalReference/cbc:URI"),
    }


def _vat(found: etree._Element | None, reasons: dict[str | None, str | None]) -> dict[str, Any] | None:
    if found is None:
        return None
    category = _text(found, "cbc:ID")
    reason = (reasons.get(category) or "Exempt") if category == "E" else None
    return {"category": category, "rate": _text(found, "cbc:Percent"), "exemption_reason": reason}


def _adjustment(found: etree._Element) -> dict[str, Any]:
    return {
        "amount": _text(found, "cbc:Amount"),
        "reason": _text(found, "cbc:AllowanceChargeReason"),
        "reason_code": _text(found, "cbc:AllowanceChargeReasonCode"),
        "base": _text(found, "cbc:BaseAmount"),
        "percentage": _text(found, "cbc:MultiplierFactorNumeric"),
        "vat": _vat(found.find("cac:TaxCategory", _SPACES), {}),
    }


def _line(found: etree._Element, reasons: dict[str | None, str | None]) -> dict[str, Any]:
    quantity = found.find("cbc:InvoicedQuantity", _SPACES)
    quantity = _first(found, "cbc:CreditedQuantity") if quantity is None else quantity
    item, price = _first(found, "cac:Item"), _first(found, "cac:Price")
    adjustments = [
        (_text(each, "cbc:ChargeIndicator"), _adjustment(each)) for each in _all(found, "cac:AllowanceCharge")
    ]
    return {
        "id": _text(found, "cbc:ID"),
        "name": _text(item, "cbc:Name"),
        "description": _text(item, "cbc:Description"),
        "note": _text(found, "cbc:Note"),
        "quantity": _signed(quantity.text, _text(found, "cbc:LineExtensionAmount")),
        "unit": quantity.get("unitCode"),
        "price": _text(price, "cbc:PriceAmount"),
        "base_quantity": _base_quantity(found, quantity.text, price),
        "gross_price": _text(price, "cac:AllowanceCharge/cbc:BaseAmount"),
        "price_discount": _price_discount(price),
        "allowances": [terms for charge, terms in adjustments if charge in ("false", "0")],
        "charges": [terms for charge, terms in adjustments if charge in ("true", "1")],
        "vat": _vat(_first(item, "cac:ClassifiedTaxCategory"), reasons),
        "period": _period(found.find("cac:InvoicePeriod", _SPACES)),
        "order_line": _text(found, "cac:OrderLineReference/cbc:LineID"),
        "invoiced_object": _identifier(found.find("cac:DocumentReference/cbc:ID", _SPACES)),
        "buyer_accounting": _text(found, "cbc:AccountingCost"),
        "seller_item_id": _text(item, "cac:SellersItemIdentification/cbc:ID"),
        "buyer_item_id": _text(item, "cac:BuyersItemIdentification/cbc:ID"),
        "standard_item_id": _identifier(item.find("cac:StandardItemIdentification/cbc:ID", _SPACES)),
        "classifications": [
            {"code": each.text, "list": each.get("listID")}
            for each in _all(item, "cac:CommodityClassification/cbc:ItemClassificationCode")
        ],
        "attributes": [
            {"name": _text(each, "cbc:Name"), "value": _text(each, "cbc:Value")}
            for each in _all(item, "cac:AdditionalItemProperty")
        ],
        "origin_country": _text(item, "cac:OriginCountry/cbc:IdentificationCode"),
    }


def _signed(quantity: str | None, net: str | None) -> str:
    """Read 6 units that give -109.98 as -6 units: one example leaves the sign to the amount."""
    assert quantity is not None
    assert net is not None
    return f"-{quantity}" if net.startswith("-") and not quantity.startswith("-") else quantity


def _base_quantity(found: etree._Element, quantity: str | None, price: etree._Element) -> str | None:
    """Read a price that is the whole line's as a price for that quantity: two examples state it so."""
    is_whole = _text(price, "cbc:PriceAmount") == _text(found, "cbc:LineExtensionAmount")
    return quantity if is_whole and quantity != "1" else _text(price, "cbc:BaseQuantity")


def _price_discount(price: etree._Element) -> str | None:
    """Leave out the one discount (2.70 - 0.27 = 2.48, it says) that is not gross less net."""
    net, gross = _text(price, "cbc:PriceAmount"), _text(price, "cac:AllowanceCharge/cbc:BaseAmount")
    discount = _text(price, "cac:AllowanceCharge/cbc:Amount")
    if None not in (net, gross, discount) and Decimal(str(gross)) - Decimal(str(discount)) != Decimal(str(net)):
        return None
    return discount
