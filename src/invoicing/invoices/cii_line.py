"""One line as UN/CEFACT CII, by a fixed template: a tree per line would cost ten times as much."""

import datetime as dt
from decimal import Decimal

from invoicing.invoices.markup import attribute, escape, tagged
from invoicing.invoices.model import (
    ONE,
    Adjustment,
    Attribute,
    Classification,
    Identifier,
    Line,
    Period,
    Vat,
    VatCategory,
)
from invoicing.invoices.numerals import EXACT, amount, plain
from invoicing.invoices.totals import line_net


def line_of(line: Line) -> str:
    """Write one line, ending in a line break."""
    unit = f' unitCode="{escape(line.unit)}"'
    return (
        "    <ram:IncludedSupplyChainTradeLineItem>"
        f"<ram:AssociatedDocumentLineDocument><ram:LineID>{escape(line.id)}</ram:LineID>"
        f"{_wrapped('ram:IncludedNote', tagged('ram:Content', line.note))}</ram:AssociatedDocumentLineDocument>"
        f"{_product(line)}{_agreement(line, unit)}"
        f"<ram:SpecifiedLineTradeDelivery><ram:BilledQuantity{unit}>{plain(line.quantity)}</ram:BilledQuantity>"
        f"</ram:SpecifiedLineTradeDelivery>{_settlement(line)}"
        "</ram:IncludedSupplyChainTradeLineItem>\n"
    )


def _wrapped(tag: str, content: str) -> str:
    return content and f"<{tag}>{content}</{tag}>"


def _product(line: Line) -> str:
    standard = line.standard_item_id
    scheme = attribute("schemeID", standard.scheme) if standard else ""
    return (
        "<ram:SpecifiedTradeProduct>"
        f"{tagged('ram:GlobalID', standard.value if standard else None, scheme)}"
        f"{tagged('ram:SellerAssignedID', line.seller_item_id)}"
        f"{tagged('ram:BuyerAssignedID', line.buyer_item_id)}"
        f"<ram:Name>{escape(line.name)}</ram:Name>{tagged('ram:Description', line.description)}"
        f"{''.join(map(_characteristic, line.attributes))}"
        f"{''.join(map(_classification, line.classifications))}"
        f"{_wrapped('ram:OriginTradeCountry', tagged('ram:ID', line.origin_country))}"
        "</ram:SpecifiedTradeProduct>"
    )


def _characteristic(given: Attribute) -> str:
    content = tagged("ram:Description", given.name) + tagged("ram:Value", given.value)
    return _wrapped("ram:ApplicableProductCharacteristic", content)


def _classification(given: Classification) -> str:
    attributes = attribute("listID", given.list) + attribute("listVersionID", given.version)
    return _wrapped("ram:DesignatedProductClassification", tagged("ram:ClassCode", given.code, attributes))


def _agreement(line: Line, unit: str) -> str:
    base = (
        "" if line.base_quantity == ONE else f"<ram:BasisQuantity{unit}>{plain(line.base_quantity)}</ram:BasisQuantity>"
    )
    return (
        "<ram:SpecifiedLineTradeAgreement>"
        f"{_wrapped('ram:BuyerOrderReferencedDocument', tagged('ram:LineID', line.order_line))}"
        f"{_gross(line.gross_price, line.price, base)}"
        f"<ram:NetPriceProductTradePrice><ram:ChargeAmount>{plain(line.price)}</ram:ChargeAmount>{base}"
        "</ram:NetPriceProductTradePrice></ram:SpecifiedLineTradeAgreement>"
    )


def _gross(gross: Decimal | None, price: Decimal, base: str) -> str:
    if gross is None:
        return ""
    return (
        f"<ram:GrossPriceProductTradePrice><ram:ChargeAmount>{plain(gross)}</ram:ChargeAmount>{base}"
        "<ram:AppliedTradeAllowanceCharge><ram:ChargeIndicator><udt:Indicator>false</udt:Indicator>"
        f"</ram:ChargeIndicator><ram:ActualAmount>{plain(EXACT.subtract(gross, price))}</ram:ActualAmount>"
        "</ram:AppliedTradeAllowanceCharge></ram:GrossPriceProductTradePrice>"
    )


def _settlement(line: Line) -> str:
    return (
        f"<ram:SpecifiedLineTradeSettlement>{_tax(line.vat)}{_period(line.period)}"
        f"{''.join(_adjustment(each, 'false') for each in line.allowances)}"
        f"{''.join(_adjustment(each, 'true') for each in line.charges)}"
        "<ram:SpecifiedTradeSettlementLineMonetarySummation>"
        f"<ram:LineTotalAmount>{amount(line_net(line))}</ram:LineTotalAmount>"
        "</ram:SpecifiedTradeSettlementLineMonetarySummation>"
        f"{_object(line.invoiced_object)}"
        f"{_wrapped('ram:ReceivableSpecifiedTradeAccountingAccount', tagged('ram:ID', line.buyer_accounting))}"
        "</ram:SpecifiedLineTradeSettlement>"
    )


def _tax(vat: Vat) -> str:
    rate = None if vat.category is VatCategory.OUTSIDE_SCOPE else plain(vat.rate)
    return (
        f"<ram:ApplicableTradeTax><ram:TypeCode>VAT</ram:TypeCode><ram:CategoryCode>{vat.category.value}"
        f"</ram:CategoryCode>{tagged('ram:RateApplicablePercent', rate)}</ram:ApplicableTradeTax>"
    )


def _period(period: Period | None) -> str:
    if period is None:
        return ""
    start, end = _day("ram:StartDateTime", period.start), _day("ram:EndDateTime", period.end)
    return _wrapped("ram:BillingSpecifiedPeriod", start + end)


def _day(tag: str, day: dt.date | None) -> str:
    if day is None:
        return ""
    return f'<{tag}><udt:DateTimeString format="102">{day:%Y%m%d}</udt:DateTimeString></{tag}>'


def _adjustment(given: Adjustment, is_charge: str) -> str:
    return (
        "<ram:SpecifiedTradeAllowanceCharge>"
        f"<ram:ChargeIndicator><udt:Indicator>{is_charge}</udt:Indicator></ram:ChargeIndicator>"
        f"{tagged('ram:CalculationPercent', None if given.percentage is None else plain(given.percentage))}"
        f"{tagged('ram:BasisAmount', None if given.base is None else amount(given.base))}"
        f"<ram:ActualAmount>{amount(given.amount)}</ram:ActualAmount>"
        f"{tagged('ram:ReasonCode', given.reason_code)}{tagged('ram:Reason', given.reason)}"
        "</ram:SpecifiedTradeAllowanceCharge>"
    )


def _object(given: Identifier | None) -> str:
    if given is None:
        return ""
    return _wrapped(
        "ram:AdditionalReferencedDocument",
        tagged("ram:IssuerAssignedID", given.value)
        + "<ram:TypeCode>130</ram:TypeCode>"
        + tagged("ram:ReferenceTypeCode", given.scheme),
    )
