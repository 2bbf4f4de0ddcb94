"""Lines, and what lines and documents have in common (VAT, allowances, charges, periods), as a request words it."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field, TypeAdapter

from invoicing.invoices import model
from invoicing.invoices.fields import (
    Amount,
    BaseQuantity,
    Code,
    Country,
    Day,
    Name,
    Part,
    Percentage,
    Price,
    Quantity,
    Reference,
    Text,
    term,
)
from invoicing.invoices.numerals import EXACT
from invoicing.invoices.payload_party import IdentifierPart


class VatPart(Part):
    """VAT category and rate; the reason where the category (E, AE, K, G, O) demands one."""

    category: Annotated[model.VatCategory, Field(description="UNCL 5305.", examples=["S"])]
    rate: Annotated[Percentage, Field(description="In percent; 0 for Z, E, AE, K, G and O.", examples=["19"])] = (
        model.ZERO
    )
    exemption_reason: Text | None = None
    exemption_code: Annotated[Code | None, Field(description="VATEX code.", examples=["VATEX-EU-AE"])] = None

    def to_model(self) -> model.Vat:
        return model.Vat(self.category, self.rate, self.exemption_reason, self.exemption_code)


class PeriodPart(Part):
    """The time that is invoiced; either end may be open."""

    start: Day | None = None
    end: Day | None = None

    def to_model(self) -> model.Period:
        return model.Period(self.start, self.end)


class AdjustmentPart(Part):
    """An allowance or a charge on a line; `base` and `percentage` say how the amount came about."""

    amount: Annotated[Amount, Field(examples=["5.00"])]
    reason: Annotated[Text | None, Field(examples=["volume"])] = None
    reason_code: Annotated[
        Code | None, Field(description="UNTDID 5189 (allowances) or 7161 (charges).", examples=["95"])
    ] = None
    base: Amount | None = None
    percentage: Percentage | None = None

    def terms(self) -> model.Adjustment:
        return model.Adjustment(self.amount, self.reason, self.reason_code, self.base, self.percentage)


class DocumentAdjustmentPart(AdjustmentPart):
    """An allowance or a charge on the whole document, with its VAT."""

    vat: VatPart

    def to_model(self) -> model.DocumentAdjustment:
        return model.DocumentAdjustment(self.terms(), self.vat.to_model())


class ClassificationPart(Part):
    """A commodity code (BT-158) and the list it is from (UNTDID 7143), such as HS or STI."""

    code: Reference
    list: Code
    version: Reference | None = None

    def to_model(self) -> model.Classification:
        return model.Classification(self.code, self.list, self.version)


class AttributePart(Part):
    """A property of the item, such as colour: black."""

    name: Name
    value: Text

    def to_model(self) -> model.Attribute:
        return model.Attribute(self.name, self.value)


class LinePart(Part):
    """One line: net = quantity * price / base_quantity - allowances + charges, rounded half up to two decimals."""

    id: Annotated[Reference, Field(description="Unique in the invoice.", examples=["1"])]
    name: Annotated[Name, Field(examples=["Compute, October"])]
    description: Text | None = None
    quantity: Annotated[Quantity, Field(examples=["300"])]
    unit: Annotated[Code, Field(description="UN/ECE rec. 20 or 21: HUR hour, C62 piece.", examples=["HUR"])]
    price: Annotated[Price, Field(description="Net price (BT-146), never negative.", examples=["1.00"])]
    base_quantity: Annotated[BaseQuantity, Field(description="Units that the price is for (BT-149).")] = model.ONE
    gross_price: Annotated[
        Price | None, Field(description="Price before its discount (BT-148); price + price_discount.")
    ] = None
    price_discount: Annotated[Price | None, Field(description="gross_price - price (BT-147).")] = None
    allowances: Annotated[tuple[AdjustmentPart, ...], Field(max_length=50)] = ()
    charges: Annotated[tuple[AdjustmentPart, ...], Field(max_length=50)] = ()
    vat: VatPart
    note: Text | None = None
    period: PeriodPart | None = None
    order_line: Reference | None = None
    invoiced_object: IdentifierPart | None = None
    buyer_accounting: Reference | None = None
    seller_item_id: Reference | None = None
    buyer_item_id: Reference | None = None
    standard_item_id: IdentifierPart | None = None
    classifications: Annotated[tuple[ClassificationPart, ...], Field(max_length=20)] = ()
    attributes: Annotated[tuple[AttributePart, ...], Field(max_length=50)] = ()
    origin_country: Country | None = None

    def to_model(self) -> model.Line:
        return model.Line(
            id=self.id,
            name=self.name,
            quantity=self.quantity,
            unit=self.unit,
            price=self.price,
            vat=self.vat.to_model(),
            description=self.description,
            base_quantity=self.base_quantity,
            gross_price=self._gross_price(),
            price_discount=self.price_discount,
            allowances=tuple(part.terms() for part in self.allowances),
            charges=tuple(part.terms() for part in self.charges),
            note=self.note,
            period=term(self.period),
            order_line=self.order_line,
            invoiced_object=term(self.invoiced_object),
            buyer_accounting=self.buyer_accounting,
            seller_item_id=self.seller_item_id,
            buyer_item_id=self.buyer_item_id,
            standard_item_id=term(self.standard_item_id),
            classifications=tuple(part.to_model() for part in self.classifications),
            attributes=tuple(part.to_model() for part in self.attributes),
            origin_country=self.origin_country,
        )

    def _gross_price(self) -> Decimal | None:
        if self.gross_price is None and self.price_discount is not None:
            return EXACT.add(self.price, self.price_discount)
        return self.gross_price


LINES: TypeAdapter[list[LinePart]] = TypeAdapter(list[LinePart])
