"""Reading UBL that others wrote into requests of ours: plain JSON values, and None for what is not there."""

from decimal import Decimal
from typing import Any

from lxml import etree
from stdnum import iban
from stdnum.eu import vat

_SPACES = {
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}
# The examples' VAT ids are invented and fail their check digits, which we refuse: real ones take their place.
_VAT_ID_OF = {"DK": "DK13585628", "BE": "BE0403019261", "NL": "NL820098395B01", "NO": "NO995525828MVA"}
_IBAN_INSTEAD = "DK5000400440116243"


def every(parent: etree._Element, path: str) -> list[etree._Element]:
    return parent.findall(path, _SPACES)


def first(parent: etree._Element, path: str) -> etree._Element:
    found = parent.find(path, _SPACES)
    assert found is not None, path
    return found


def text_of(parent: etree._Element | None, path: str) -> str | None:
    return None if parent is None else parent.findtext(path, None, _SPACES)


def without_nothing(value: Any) -> Any:
    match value:
        case dict():
            kept = {key: without_nothing(each) for key, each in value.items()}
            return {key: each for key, each in kept.items() if each not in (None, "", {}, [])}
        case list():
            return [without_nothing(each) for each in value]
    return value


def request_of(root: etree._Element) -> dict[str, Any]:
    is_invoice = etree.QName(root).localname == "Invoice"
    adjustments = [
        (text_of(each, "cbc:ChargeIndicator"), _adjustment(each)) for each in every(root, "cac:AllowanceCharge")
    ]
    reference = root.find("cac:BillingReference/cac:InvoiceDocumentReference", _SPACES)
    totals = first(root, "cac:LegalMonetaryTotal")
    reasons = {
        text_of(each, "cbc:ID"): text_of(each, "cbc:TaxExemptionReason")
        for each in every(root, "cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory")
    }
    line_tag = "cac:InvoiceLine" if is_invoice else "cac:CreditNoteLine"
    return {
        "type": "invoice" if is_invoice else "credit_note",
        "series": "2026",
        "currency": text_of(root, "cbc:DocumentCurrencyCode"),
        "issue_date": text_of(root, "cbc:IssueDate"),
        "due_date": text_of(root, "cbc:DueDate"),
        "tax_point_date": text_of(root, "cbc:TaxPointDate"),
        "seller": _party(first(root, "cac:AccountingSupplierParty/cac:Party")),
        "buyer": _party(first(root, "cac:AccountingCustomerParty/cac:Party")),
        "payee": _payee(root.find("cac:PayeeParty", _SPACES)),
        "tax_representative": _representative(root.find("cac:TaxRepresentativeParty", _SPACES)),
        "delivery": _delivery(root.find("cac:Delivery", _SPACES)),
        "period": _period(root.find("cac:InvoicePeriod", _SPACES)),
        "payment": _payment(root),
        "buyer_reference": text_of(root, "cbc:BuyerReference"),
        "buyer_accounting": text_of(root, "cbc:AccountingCost"),
        "project_reference": text_of(root, "cac:ProjectReference/cbc:ID"),
        "contract_reference": text_of(root, "cac:ContractDocumentReference/cbc:ID"),
        "order_reference": text_of(root, "cac:OrderReference/cbc:ID"),
        "sales_order_reference": text_of(root, "cac:OrderReference/cbc:SalesOrderID"),
        "receipt_reference": text_of(root, "cac:ReceiptDocumentReference/cbc:ID"),
        "despatch_reference": text_of(root, "cac:DespatchDocumentReference/cbc:ID"),
        "tender_reference": text_of(root, "cac:OriginatorDocumentReference/cbc:ID"),
        "preceding_invoice": {"number": text_of(reference, "cbc:ID"), "date": text_of(reference, "cbc:IssueDate")}
        if is_invoice
        else {"number": "2019-1"},  # the example credit note names none, and we demand one
        "notes": [each.text for each in every(root, "cbc:Note")],
        "attachments": [
            each for each in map(_attachment, every(root, "cac:AdditionalDocumentReference")) if "object" not in each
        ],
        "invoiced_object": next(
            (
                {"value": text_of(each, "cbc:ID"), "scheme": first(each, "cbc:ID").get("schemeID")}
                for each in every(root, "cac:AdditionalDocumentReference")
                if text_of(each, "cbc:DocumentTypeCode") == "130"
            ),
            None,
        ),
        "allowances": [terms for charge, terms in adjustments if charge in ("false", "0")],
        "charges": [terms for charge, terms in adjustments if charge in ("true", "1")],
        "prepaid": text_of(totals, "cbc:PrepaidAmount"),
        "rounding": text_of(totals, "cbc:PayableRoundingAmount"),
        "lines": [_line(each, reasons) for each in every(root, line_tag)],
    }


def _identifier(found: etree._Element | None) -> dict[str, Any] | None:
    return None if found is None else {"value": found.text, "scheme": found.get("schemeID")}


def _address(found: etree._Element | None) -> dict[str, Any] | None:
    return (
        found
        if found is None
        else {
            "line1": text_of(found, "cbc:StreetName"),
            "line2": text_of(found, "cbc:AdditionalStreetName"),
            "line3": text_of(found, "cac:AddressLine/cbc:Line"),
            "city": text_of(found, "cbc:CityName"),
            "postcode": text_of(found, "cbc:PostalZone"),
            "region": text_of(found, "cbc:CountrySubentity"),
            "country": text_of(found, "cac:Country/cbc:IdentificationCode"),
        }
    )


def _vat_id(given: str | None) -> str | None:
    return given if given is None or vat.is_valid(given) else _VAT_ID_OF[given[:2]]


def _party(party: etree._Element) -> dict[str, Any]:
    schemes = {
        text_of(each, "cac:TaxScheme/cbc:ID"): text_of(each, "cbc:CompanyID")
        for each in every(party, "cac:PartyTaxScheme")
    }
    return {
        "name": text_of(party, "cac:PartyLegalEntity/cbc:RegistrationName"),
        "trading_name": text_of(party, "cac:PartyName/cbc:Name"),
        "vat_id": _vat_id(schemes.pop("VAT", None)),
        "tax_id": next(iter(schemes.values()), None),
        "legal_id": _identifier(party.find("cac:PartyLegalEntity/cbc:CompanyID", _SPACES)),
        "legal_form": text_of(party, "cac:PartyLegalEntity/cbc:CompanyLegalForm"),
        "identifiers": [_identifier(each) for each in every(party, "cac:PartyIdentification/cbc:ID")],
        "address": _address(party.find("cac:PostalAddress", _SPACES)),
        "contact": {
            "name": text_of(party, "cac:Contact/cbc:Name"),
            "phone": text_of(party, "cac:Contact/cbc:Telephone"),
            "email": text_of(party, "cac:Contact/cbc:ElectronicMail"),
        },
        "electronic_address": _identifier(party.find("cbc:EndpointID", _SPACES)),
    }


def _payee(party: etree._Element | None) -> dict[str, Any] | None:
    return (
        party
        if party is None
        else {
            "name": text_of(party, "cac:PartyName/cbc:Name"),
            "identifier": _identifier(party.find("cac:PartyIdentification/cbc:ID", _SPACES)),
            "legal_id": _identifier(party.find("cac:PartyLegalEntity/cbc:CompanyID", _SPACES)),
        }
    )


def _representative(party: etree._Element | None) -> dict[str, Any] | None:
    return (
        party
        if party is None
        else {
            "name": text_of(party, "cac:PartyName/cbc:Name"),
            "vat_id": _vat_id(text_of(party, "cac:PartyTaxScheme/cbc:CompanyID")),
            "address": _address(party.find("cac:PostalAddress", _SPACES)),
        }
    )


def _delivery(found: etree._Element | None) -> dict[str, Any] | None:
    return (
        found
        if found is None
        else {
            "date": text_of(found, "cbc:ActualDeliveryDate"),
            "name": text_of(found, "cac:DeliveryParty/cac:PartyName/cbc:Name"),
            "location": _identifier(found.find("cac:DeliveryLocation/cbc:ID", _SPACES)),
            "address": _address(found.find("cac:DeliveryLocation/cac:Address", _SPACES)),
        }
    )


def _period(found: etree._Element | None) -> dict[str, Any]:
    return {"start": text_of(found, "cbc:StartDate"), "end": text_of(found, "cbc:EndDate")}


def _payment(root: etree._Element) -> dict[str, Any]:
    means = every(root, "cac:PaymentMeans")
    mandate = root.find("cac:PaymentMeans/cac:PaymentMandate", _SPACES)
    debited = text_of(mandate, "cac:PayerFinancialAccount/cbc:ID")
    return {
        "means": text_of(means[0], "cbc:PaymentMeansCode") if means else "1",
        "remittance": text_of(means[0], "cbc:PaymentID") if means else None,
        "terms": text_of(root, "cac:PaymentTerms/cbc:Note"),
        "accounts": [_account(each) for each in every(root, "cac:PaymentMeans/cac:PayeeFinancialAccount")],
        "direct_debit": {"mandate": text_of(mandate, "cbc:ID"), "debited_iban": debited and _IBAN_INSTEAD},
    }


def _account(found: etree._Element) -> dict[str, Any]:
    number = text_of(found, "cbc:ID")
    return {
        "iban" if iban.is_valid(number or "") else "number": number,
        "name": text_of(found, "cbc:Name"),
        "bic": text_of(found, "cac:FinancialInstitutionBranch/cbc:ID"),
    }


def _attachment(found: etree._Element) -> dict[str, Any]:
    if text_of(found, "cbc:DocumentTypeCode") == "130":
        return {"object": True}
    binary = found.find("cac:Attachment/cbc:EmbeddedDocumentBinaryObject", _SPACES)
    return {
        "id": text_of(found, "cbc:ID"),
        "description": text_of(found, "cbc:DocumentDescription"),
        "filename": None if binary is None else binary.get("filename"),
        "media_type": None if binary is None else binary.get("mimeCode"),
        "content": None if binary is None else binary.text,
        "url": text_of(found, "cac:Attachment/cac:ExternalReference/cbc:URI"),
    }


def _vat(found: etree._Element | None, reasons: dict[str | None, str | None]) -> dict[str, Any] | None:
    if found is None:
        return None
    category = text_of(found, "cbc:ID")
    reason = (reasons.get(category) or "Exempt") if category == "E" else None
    return {"category": category, "rate": text_of(found, "cbc:Percent"), "exemption_reason": reason}


def _adjustment(found: etree._Element) -> dict[str, Any]:
    return {
        "amount": text_of(found, "cbc:Amount"),
        "reason": text_of(found, "cbc:AllowanceChargeReason"),
        "reason_code": text_of(found, "cbc:AllowanceChargeReasonCode"),
        "base": text_of(found, "cbc:BaseAmount"),
        "percentage": text_of(found, "cbc:MultiplierFactorNumeric"),
        "vat": _vat(found.find("cac:TaxCategory", _SPACES), {}),
    }


def _line(found: etree._Element, reasons: dict[str | None, str | None]) -> dict[str, Any]:
    quantity = found.find("cbc:InvoicedQuantity", _SPACES)
    quantity = first(found, "cbc:CreditedQuantity") if quantity is None else quantity
    item, price = first(found, "cac:Item"), first(found, "cac:Price")
    adjustments = [
        (text_of(each, "cbc:ChargeIndicator"), _adjustment(each)) for each in every(found, "cac:AllowanceCharge")
    ]
    return {
        "id": text_of(found, "cbc:ID"),
        "name": text_of(item, "cbc:Name"),
        "description": text_of(item, "cbc:Description"),
        "note": text_of(found, "cbc:Note"),
        "quantity": _signed(quantity.text, text_of(found, "cbc:LineExtensionAmount")),
        "unit": quantity.get("unitCode"),
        "price": text_of(price, "cbc:PriceAmount"),
        "base_quantity": _base_quantity(found, quantity.text, price),
        "gross_price": text_of(price, "cac:AllowanceCharge/cbc:BaseAmount"),
        "price_discount": _price_discount(price),
        "allowances": [terms for charge, terms in adjustments if charge in ("false", "0")],
        "charges": [terms for charge, terms in adjustments if charge in ("true", "1")],
        "vat": _vat(first(item, "cac:ClassifiedTaxCategory"), reasons),
        "period": _period(found.find("cac:InvoicePeriod", _SPACES)),
        "order_line": text_of(found, "cac:OrderLineReference/cbc:LineID"),
        "invoiced_object": _identifier(found.find("cac:DocumentReference/cbc:ID", _SPACES)),
        "buyer_accounting": text_of(found, "cbc:AccountingCost"),
        "seller_item_id": text_of(item, "cac:SellersItemIdentification/cbc:ID"),
        "buyer_item_id": text_of(item, "cac:BuyersItemIdentification/cbc:ID"),
        "standard_item_id": _identifier(item.find("cac:StandardItemIdentification/cbc:ID", _SPACES)),
        "classifications": [
            {"code": each.text, "list": each.get("listID")}
            for each in every(item, "cac:CommodityClassification/cbc:ItemClassificationCode")
        ],
        "attributes": [
            {"name": text_of(each, "cbc:Name"), "value": text_of(each, "cbc:Value")}
            for each in every(item, "cac:AdditionalItemProperty")
        ],
        "origin_country": text_of(item, "cac:OriginCountry/cbc:IdentificationCode"),
    }


def _signed(quantity: str | None, net: str | None) -> str:
    """Read 6 units that give -109.98 as -6 units: one example leaves the sign to the amount."""
    assert quantity is not None
    assert net is not None
    return f"-{quantity}" if net.startswith("-") and not quantity.startswith("-") else quantity


def _base_quantity(found: etree._Element, quantity: str | None, price: etree._Element) -> str | None:
    """Read a price that is the whole line's as a price for that quantity: two examples state it so."""
    is_whole = text_of(price, "cbc:PriceAmount") == text_of(found, "cbc:LineExtensionAmount")
    return quantity if is_whole and quantity != "1" else text_of(price, "cbc:BaseQuantity")


def _price_discount(price: etree._Element) -> str | None:
    """Leave out the one discount (2.70 - 0.27 = 2.48, it says) that is not gross less net."""
    net, gross = text_of(price, "cbc:PriceAmount"), text_of(price, "cac:AllowanceCharge/cbc:BaseAmount")
    discount = text_of(price, "cac:AllowanceCharge/cbc:Amount")
    if None not in (net, gross, discount) and Decimal(str(gross)) - Decimal(str(discount)) != Decimal(str(net)):
        return None
    return discount
