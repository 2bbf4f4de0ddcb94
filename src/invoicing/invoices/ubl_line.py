"""One line as UBL 2.1, by a fixed template: a tree per line would cost ten times as much."""

from decimal import Decimal

from invoicing.invoices.markup import attribute, escape, tagged
from invoicing.invoices.model import (
    ONE,
    Adjustment,
    Attribute,
    Classification,
    DocumentType,
    Identifier,
    Line,
    Period,
    VatCategory,
)
from invoicing.invoices.numerals import EXACT, amount, iso, plain
from invoicing.invoices.totals import line_net

_TAGS = {
    DocumentType.INVOICE: ("cac:InvoiceLine", "cbc:InvoicedQuantity"),
    DocumentType.CREDIT_NOTE: ("cac:CreditNoteLine", "cbc:CreditedQuantity"),
}
_VAT_SCHEME = "<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"


def line_of(line: Line, document_type: DocumentType, currency: str) -> str:
    """Write one line, ending in a line break; the currency comes checked."""
    tag, quantity = _TAGS[document_type]
    money = f' currencyID="{currency}"'
    unit = f' unitCode="{escape(line.unit)}"'
    return (
        f"  <{tag}><cbc:ID>{escape(line.id)}</cbc:ID>"
        f"{tagged('cbc:Note', line.note)}"
        f"<{quantity}{unit}>{plain(line.quantity)}</{quantity}>"
        f"<cbc:LineExtensionAmount{money}>{amount(line_net(line))}</cbc:LineExtensionAmount>"
        f"{tagged('cbc:AccountingCost', line.buyer_accounting)}"
        f"{_period(line.period)}"
        f"{_wrapped('cac:OrderLineReference', tagged('cbc:LineID', line.order_line))}"
        f"{_object(line.invoiced_object)}"
        f"{''.join(_adjustment(each, money, 'false') for each in line.allowances)}"
        f"{''.join(_adjustment(each, money, 'true') for each in line.charges)}"
        f"{_item(line)}{_price(line, money, unit)}"
        f"</{tag}>\n"
    )


def _wrapped(tag: str, content: str) -> str:
    return content and f"<{tag}>{content}</{tag}>"


def _period(period: Period | None) -> str:
    if period is None:
        return ""
    start = tagged("cbc:StartDate", iso(period.start))
    end = tagged("cbc:EndDate", iso(period.end))
    return _wrapped("cac:InvoicePeriod", start + end)


def _object(identifier: Identifier | None) -> str:
    if identifier is None:
        return ""
    return _wrapped(
        "cac:DocumentReference",
        tagged("cbc:ID", identifier.value, attribute("schemeID", identifier.scheme))
        + "<cbc:DocumentTypeCode>130</cbc:DocumentTypeCode>",
    )


def _adjustment(given: Adjustment, money: str, is_charge: str) -> str:
    return (
        f"<cac:AllowanceCharge><cbc:ChargeIndicator>{is_charge}</cbc:ChargeIndicator>"
        f"{tagged('cbc:AllowanceChargeReasonCode', given.reason_code)}"
        f"{tagged('cbc:AllowanceChargeReason', given.reason)}"
        f"{tagged('cbc:MultiplierFactorNumeric', None if given.percentage is None else plain(given.percentage))}"
        f"<cbc:Amount{money}>{amount(given.amount)}</cbc:Amount>"
        f"{tagged('cbc:BaseAmount', None if given.base is None else amount(given.base), money)}"
        "</cac:AllowanceCharge>"
    )


def _item(line: Line) -> str:
    rate = None if line.vat.category is VatCategory.OUTSIDE_SCOPE else plain(line.vat.rate)
    standard = line.standard_item_id
    return (
        f"<cac:Item>{tagged('cbc:Description', line.description)}<cbc:Name>{escape(line.name)}</cbc:Name>"
        f"{_wrapped('cac:BuyersItemIdentification', tagged('cbc:ID', line.buyer_item_id))}"
        f"{_wrapped('cac:SellersItemIdentification', tagged('cbc:ID', line.seller_item_id))}"
        f"{_standard(standard)}"
        f"{_wrapped('cac:OriginCountry', tagged('cbc:IdentificationCode', line.origin_country))}"
        f"{''.join(map(_classification, line.classifications))}"
        f"<cac:ClassifiedTaxCategory><cbc:ID>{line.vat.category.value}</cbc:ID>{tagged('cbc:Percent', rate)}"
        f"{_VAT_SCHEME}</cac:ClassifiedTaxCategory>"
        f"{''.join(map(_attribute, line.attributes))}"
        "</cac:Item>"
    )


def _standard(given: Identifier | None) -> str:
    if given is None:
        return ""
    return _wrapped(
        "cac:StandardItemIdentification", tagged("cbc:ID", given.value, attribute("schemeID", given.scheme))
    )


def _classification(given: Classification) -> str:
    attributes = attribute("listID", given.list) + attribute("listVersionID", given.version)
    return _wrapped("cac:CommodityClassification", tagged("cbc:ItemClassificationCode", given.code, attributes))


def _attribute(given: Attribute) -> str:
    return _wrapped("cac:AdditionalItemProperty", tagged("cbc:Name", given.name) + tagged("cbc:Value", given.value))


def _price(line: Line, money: str, unit: str) -> str:
    base = (
        "" if line.base_quantity == ONE else f"<cbc:BaseQuantity{unit}>{plain(line.base_quantity)}</cbc:BaseQuantity>"
    )
    return (
        f"<cac:Price><cbc:PriceAmount{money}>{plain(line.price)}</cbc:PriceAmount>{base}"
        f"{_discount(line.gross_price, line.price, money)}</cac:Price>"
    )


def _discount(gross: Decimal | None, price: Decimal, money: str) -> str:
    if gross is None:
        return ""
    return (
        "<cac:AllowanceCharge><cbc:ChargeIndicator>false</cbc:ChargeIndicator>"
        f"<cbc:Amount{money}>{plain(EXACT.subtract(gross, price))}</cbc:Amount>"
        f"<cbc:BaseAmount{money}>{plain(gross)}</cbc:BaseAmount></cac:AllowanceCharge>"
    )
