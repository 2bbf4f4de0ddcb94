"""The terms of an invoice as frozen values, named after EN 16931's business terms (BT) and groups (BG)."""

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)
ONE = Decimal(1)


class DocumentType(StrEnum):
    """What is issued (BT-3)."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"

    @property
    def code(self) -> str:
        """UNTDID 1001: 380 commercial invoice, 381 credit note."""
        return "380" if self is DocumentType.INVOICE else "381"


class Syntax(StrEnum):
    """The two syntaxes of EN 16931."""

    UBL = "ubl"
    CII = "cii"


class VatCategory(StrEnum):
    """UNCL 5305, the part of it that EN 16931 admits."""

    STANDARD = "S"
    ZERO_RATED = "Z"
    EXEMPT = "E"
    REVERSE_CHARGE = "AE"
    INTRA_COMMUNITY = "K"
    EXPORT = "G"
    OUTSIDE_SCOPE = "O"
    CANARY_ISLANDS = "L"
    CEUTA_MELILLA = "M"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a request: the rule broken, where (a JSON pointer into the payload), and what to do."""

    rule: str
    field: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier and, where it has one, the scheme it belongs to (ISO 6523 ICD, or EAS for addresses)."""

    value: str
    scheme: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """BG-5, BG-8, BG-12, BG-15."""

    country: str
    line1: str | None = None
    line2: str | None = None
    line3: str | None = None
    postcode: str | None = None
    city: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """BG-6, BG-9."""

    name: str | None = None
    phone: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """Seller (BG-4) or buyer (BG-7)."""

    name: str
    address: Address
    trading_name: str | None = None
    vat_id: str | None = None
    tax_id: str | None = None  # BT-32, a local registration; of a seller only
    legal_id: Identifier | None = None
    legal_form: str | None = None  # BT-33, of a seller only
    identifiers: tuple[Identifier, ...] = ()
    contact: Contact | None = None
    electronic_address: Identifier | None = None


@dataclass(frozen=True, slots=True)
class Payee:
    """BG-10: who is paid when it is not the seller."""

    name: str
    identifier: Identifier | None = None
    legal_id: Identifier | None = None


@dataclass(frozen=True, slots=True)
class TaxRepresentative:
    """BG-11: who owes the seller's VAT where the seller is not registered."""

    name: str
    vat_id: str
    address: Address


@dataclass(frozen=True, slots=True)
class Period:
    """BG-14, BG-26: either end may be open."""

    start: dt.date | None = None
    end: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """BG-13, BG-15."""

    date: dt.date | None = None
    name: str | None = None
    location: Identifier | None = None
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """BG-17: an account to pay into, by IBAN or by a national number."""

    iban: str | None = None
    number: str | None = None
    name: str | None = None
    bic: str | None = None


@dataclass(frozen=True, slots=True)
class DirectDebit:
    """BG-19: the mandate under which the seller collects the amount."""

    mandate: str
    creditor: str | None = None
    debited_iban: str | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """BG-16 and BT-20."""

    means: str
    means_text: str | None = None
    terms: str | None = None
    remittance: str | None = None
    accounts: tuple[Account, ...] = ()
    direct_debit: DirectDebit | None = None


@dataclass(frozen=True, slots=True)
class PrecedingInvoice:
    """BG-3: the invoice that is corrected."""

    number: str
    date: dt.date | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """BG-24: a supporting document, embedded (base64) or behind an address; with neither, a mere reference."""

    id: str
    description: str | None = None
    filename: str | None = None
    media_type: str | None = None
    content: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Vat:
    """BG-30: the category and the rate in percent; the reason where the category demands one."""

    category: VatCategory
    rate: Decimal = ZERO
    exemption_reason: str | None = None
    exemption_code: str | None = None


@dataclass(frozen=True, slots=True)
class Adjustment:
    """An allowance or a charge (BG-20, BG-21, BG-27, BG-28); which of them, says the list that it is in."""

    amount: Decimal
    reason: str | None = None
    reason_code: str | None = None
    base: Decimal | None = None
    percentage: Decimal | None = None


@dataclass(frozen=True, slots=True)
class DocumentAdjustment:
    """An allowance or charge on the whole document, with the VAT it is subject to."""

    terms: Adjustment
    vat: Vat


@dataclass(frozen=True, slots=True)
class References:
    """The other documents that this one belongs to (BT-10 to BT-19)."""

    buyer: str | None = None  # BT-10
    project: str | None = None  # BT-11
    contract: str | None = None  # BT-12
    order: str | None = None  # BT-13
    sales_order: str | None = None  # BT-14
    receipt: str | None = None  # BT-15
    despatch: str | None = None  # BT-16
    tender: str | None = None  # BT-17
    invoiced_object: Identifier | None = None  # BT-18
    buyer_accounting: str | None = None  # BT-19


@dataclass(frozen=True, slots=True)
class Expected:
    """What the customer's own books say; each figure is compared with ours when it is there."""

    lines: Decimal | None = None
    net: Decimal | None = None
    vat: Decimal | None = None
    gross: Decimal | None = None
    payable: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """Everything about an invoice that is not a line; its number is allocated last and hence not here."""

    type: DocumentType
    series: str
    currency: str
    issue_date: dt.date
    seller: Party
    buyer: Party
    due_date: dt.date | None = None
    tax_point_date: dt.date | None = None
    payee: Payee | None = None
    tax_representative: TaxRepresentative | None = None
    delivery: Delivery | None = None
    period: Period | None = None
    payment: Payment | None = None
    references: References = field(default_factory=References)
    preceding_invoice: PrecedingInvoice | None = None
    notes: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    allowances: tuple[DocumentAdjustment, ...] = ()
    charges: tuple[DocumentAdjustment, ...] = ()
    prepaid: Decimal = ZERO
    rounding: Decimal = ZERO
    expected: Expected | None = None


@dataclass(frozen=True, slots=True)
class Classification:
    """BT-158: a code and the list (UNTDID 7143) it is taken from."""

    code: str
    list: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """BG-32."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Line:
    """BG-25; `price` is the net price (BT-146) of `base_quantity` units."""

    id: str
    name: str
    quantity: Decimal
    unit: str
    price: Decimal
    vat: Vat
    description: str | None = None
    base_quantity: Decimal = ONE
    gross_price: Decimal | None = None
    price_discount: Decimal | None = None
    allowances: tuple[Adjustment, ...] = ()
    charges: tuple[Adjustment, ...] = ()
    note: str | None = None
    period: Period | None = None
    order_line: str | None = None
    invoiced_object: Identifier | None = None
    buyer_accounting: str | None = None
    seller_item_id: str | None = None
    buyer_item_id: str | None = None
    standard_item_id: Identifier | None = None
    classifications: tuple[Classification, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    origin_country: str | None = None


@dataclass(frozen=True, slots=True)
class VatBreakdown:
    """BG-23: one (category, rate) with the amount it is due on and the amount due."""

    vat: Vat
    taxable: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class Totals:
    """BG-22 and BG-23; every amount has two decimals."""

    lines: Decimal  # BT-106
    allowances: Decimal  # BT-107
    charges: Decimal  # BT-108
    net: Decimal  # BT-109
    vat: Decimal  # BT-110
    gross: Decimal  # BT-112
    prepaid: Decimal  # BT-113
    rounding: Decimal  # BT-114
    payable: Decimal  # BT-115
    breakdown: tuple[VatBreakdown, ...]
    line_count: int
