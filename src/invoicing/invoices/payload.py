"""The payload of `invoice.issue`: a whole request, or its header and its lines apart when it is large."""

from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from invoicing.invoices import model
from invoicing.invoices.fields import Amount, Currency, Day, Name, Part, Reference, Series, Text, term
from invoicing.invoices.payload_line import LINES, DocumentAdjustmentPart, LinePart, PeriodPart
from invoicing.invoices.payload_party import (
    DeliveryPart,
    IdentifierPart,
    PartyPart,
    PayeePart,
    PaymentPart,
    TaxRepresentativePart,
)
from invoicing.invoices.totals import Sums

_EMBEDDED_LIMIT = 4_000_000  # base64 characters, about 3 MB: headers are kept whole in the ledger


class PrecedingInvoicePart(Part):
    """The invoice that is corrected (BG-3)."""

    number: Reference
    date: Day | None = None

    def to_model(self) -> model.PrecedingInvoice:
        return model.PrecedingInvoice(self.number, self.date)


class AttachmentPart(Part):
    """A supporting document: embedded (content, media_type, filename) or behind a url; never both."""

    id: Reference
    description: Text | None = None
    filename: Annotated[Name | None, Field(examples=["timesheet.pdf"])] = None
    media_type: Annotated[str | None, Field(pattern=r"^[a-z]+/[A-Za-z0-9.+-]+$", examples=["application/pdf"])] = None
    content: Annotated[
        str | None,
        Field(pattern=r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", max_length=_EMBEDDED_LIMIT),
        Field(description="The file in base64, without line breaks."),
    ] = None
    url: Annotated[str | None, Field(pattern=r"^https?://[!-~]+$", max_length=2000)] = None

    @model_validator(mode="after")
    def _embedded_or_linked(self) -> Self:
        if self.content is not None and self.url is not None:
            raise PydanticCustomError("attachment_twice", "is embedded (content) and linked (url); choose one")
        if self.content is not None and not (self.filename and self.media_type):
            raise PydanticCustomError("attachment_untyped", "is embedded, so it needs filename and media_type")
        return self

    def to_model(self) -> model.Attachment:
        return model.Attachment(self.id, self.description, self.filename, self.media_type, self.content, self.url)


class ExpectedPart(Part):
    """What your own books say; a difference from what we compute is refused with both figures."""

    lines: Annotated[Amount | None, Field(description="Sum of the lines' net amounts (BT-106).")] = None
    net: Annotated[Amount | None, Field(description="Total without VAT (BT-109).")] = None
    vat: Annotated[Amount | None, Field(description="Total VAT (BT-110).")] = None
    gross: Annotated[Amount | None, Field(description="Total with VAT (BT-112).")] = None
    payable: Annotated[Amount | None, Field(description="Amount due (BT-115).", examples=["351.05"])] = None

    def to_model(self) -> model.Expected:
        return model.Expected(self.lines, self.net, self.vat, self.gross, self.payable)


class HeaderPart(Part):
    """Everything of a request but its lines."""

    type: Annotated[model.DocumentType, Field(examples=["invoice"])] = model.DocumentType.INVOICE
    series: Annotated[Series, Field(description="Numbers are gapless per seller and series.", examples=["2026"])]
    currency: Annotated[Currency, Field(description="ISO 4217.", examples=["EUR"])]
    issue_date: Day
    due_date: Day | None = None
    tax_point_date: Day | None = None
    seller: PartyPart
    buyer: PartyPart
    payee: PayeePart | None = None
    tax_representative: TaxRepresentativePart | None = None
    delivery: DeliveryPart | None = None
    period: PeriodPart | None = None
    payment: PaymentPart | None = None
    buyer_reference: Annotated[Reference | None, Field(examples=["PO-7"])] = None
    project_reference: Reference | None = None
    contract_reference: Reference | None = None
    order_reference: Reference | None = None
    sales_order_reference: Reference | None = None
    receipt_reference: Reference | None = None
    despatch_reference: Reference | None = None
    tender_reference: Reference | None = None
    invoiced_object: IdentifierPart | None = None
    buyer_accounting: Reference | None = None
    preceding_invoice: Annotated[
        PrecedingInvoicePart | None, Field(description="A credit note must name the invoice it corrects.")
    ] = None
    notes: Annotated[tuple[Text, ...], Field(max_length=20)] = ()
    attachments: Annotated[tuple[AttachmentPart, ...], Field(max_length=20)] = ()
    allowances: Annotated[tuple[DocumentAdjustmentPart, ...], Field(max_length=100)] = ()
    charges: Annotated[tuple[DocumentAdjustmentPart, ...], Field(max_length=100)] = ()
    prepaid: Annotated[Amount, Field(description="Already paid (BT-113).")] = model.ZERO
    rounding: Annotated[Amount, Field(description="Added to round the amount due (BT-114).")] = model.ZERO
    expected: ExpectedPart | None = None

    def to_header(self) -> model.Header:
        return model.Header(
            type=self.type,
            series=self.series,
            currency=self.currency,
            issue_date=self.issue_date,
            seller=self.seller.to_model(),
            buyer=self.buyer.to_model(),
            due_date=self.due_date,
            tax_point_date=self.tax_point_date,
            payee=term(self.payee),
            tax_representative=term(self.tax_representative),
            delivery=term(self.delivery),
            period=term(self.period),
            payment=term(self.payment),
            references=self._references(),
            preceding_invoice=term(self.preceding_invoice),
            notes=self.notes,
            attachments=tuple(part.to_model() for part in self.attachments),
            allowances=tuple(part.to_model() for part in self.allowances),
            charges=tuple(part.to_model() for part in self.charges),
            prepaid=self.prepaid,
            rounding=self.rounding,
            expected=term(self.expected),
        )

    def _references(self) -> model.References:
        return model.References(
            buyer=self.buyer_reference,
            project=self.project_reference,
            contract=self.contract_reference,
            order=self.order_reference,
            sales_order=self.sales_order_reference,
            receipt=self.receipt_reference,
            despatch=self.despatch_reference,
            tender=self.tender_reference,
            invoiced_object=term(self.invoiced_object),
            buyer_accounting=self.buyer_accounting,
        )


class InvoicePayload(HeaderPart):
    """A whole request."""

    lines: Annotated[list[LinePart], Field(min_length=1)]

    def to_lines(self) -> tuple[model.Line, ...]:
        return tuple(part.to_model() for part in self.lines)

    @cached_property
    def summed(self) -> tuple[model.Header, tuple[model.Line, ...], Sums]:
        """Header, lines and their sums, made once: a request is checked by them, and worth what they say."""
        lines = self.to_lines()
        return self.to_header(), lines, Sums.of(lines)


def read_lines(part: bytes) -> tuple[model.Line, ...]:
    """Read the lines of one part, a JSON array; raises pydantic.ValidationError with places relative to the part."""
    return tuple(line.to_model() for line in LINES.validate_json(part))


def findings_of(error: ValidationError, base: str = "", first_index: int = 0) -> list[model.Finding]:
    """Word what pydantic refused as findings.

    `base` is the JSON pointer of what was validated; for a part of the lines it is "/lines" and `first_index` is the
    place of the part's first line in the whole request.
    """
    return [_finding(details, base, first_index) for details in error.errors(include_url=False)]


def _finding(details: ErrorDetails, base: str, first_index: int) -> model.Finding:
    place = list(details["loc"])
    if first_index and place and isinstance(place[0], int):
        place[0] += first_index
    pointer = base + "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in place)
    kind = details["type"]
    return model.Finding(
        rule=f"FIELD-{kind.upper().replace('_', '-')}",
        field=pointer,
        message=f"{place[-1] if place else 'payload'}: {details['msg']}",
        remedy=_REMEDIES.get(kind, "Correct the field; GET /v1/kinds/invoice.issue has its schema."),
    )


_REMEDIES = {
    "missing": "Add the field; GET /v1/kinds/invoice.issue has the schema.",
    "extra_forbidden": "Remove the field or correct its name; GET /v1/kinds/invoice.issue lists all names.",
    "decimal_not_string": 'Put the number in quotes: "12.50".',
    "illegal_character": "Remove the character and submit again.",
}
