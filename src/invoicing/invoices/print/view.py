"""What stands on a printed invoice: frozen, already worded and formatted text, so that the template decides nothing."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and its value, as in «Order: 4711»."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """One row of the invoice; `details` stand below the name, in small."""

    position: str
    name: str
    details: tuple[str, ...]
    quantity: str
    unit: str
    price: str
    vat: str
    amount: str


@dataclass(frozen=True, slots=True)
class PrintedGroup:
    """One row of the summary that stands in for the lines of a large invoice."""

    name: str
    lines: str
    amount: str


@dataclass(frozen=True, slots=True)
class PrintedAdjustment:
    """An allowance or charge on the whole document; an allowance is negative."""

    reason: str
    vat: str
    amount: str


@dataclass(frozen=True, slots=True)
class PrintedVat:
    """One row of the VAT breakdown."""

    rate: str
    taxable: str
    tax: str


@dataclass(frozen=True, slots=True)
class PaymentBox:
    """How to pay, or how the money comes back; `qr` is an SVG, empty where a bank code does not apply."""

    heading: str
    request: str
    facts: tuple[Fact, ...]
    terms: str
    qr: str
    qr_caption: str


@dataclass(frozen=True, slots=True)
class Headings:
    """The words of the table heads and page corners."""

    position: str
    description: str
    quantity: str
    price: str
    vat: str
    amount: str
    group: str
    lines: str
    vat_rate: str
    taxable: str
    tax: str
    page: str  # with {page} and {pages}, which only the typesetter knows


@dataclass(frozen=True, slots=True)
class PrintedInvoice:
    """A whole document; empty text and empty tuples print nothing."""

    language: str
    issue_date: date  # the PDF's own date, so that the same invoice is the same file
    title: str
    number: str
    description: str  # for the PDF's metadata
    author: str
    keywords: tuple[str, ...]
    letterhead: str
    letterhead_details: tuple[str, ...]
    sender: str
    recipient: tuple[str, ...]
    facts: tuple[Fact, ...]
    introduction: tuple[str, ...]
    headings: Headings
    lines: tuple[PrintedLine, ...]
    groups: tuple[PrintedGroup, ...]
    detail_reference: str
    adjustments: tuple[PrintedAdjustment, ...]
    vat: tuple[PrintedVat, ...]
    totals: tuple[Fact, ...]
    payable: Fact
    vat_notes: tuple[str, ...]
    payment: PaymentBox | None
    parties: tuple[Fact, ...]
    notes: tuple[str, ...]
    attachments: str
    footer: tuple[tuple[str, ...], ...]  # up to three columns
