"""From the terms of an invoice to the text on its page: pure, so that it can be tested without a PDF."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from invoicing.invoices.model import Attachment, DocumentType, Header, Line, Totals
from invoicing.invoices.print import address, figures
from invoicing.invoices.print.language import Language, language_for
from invoicing.invoices.print.payment import payment_box
from invoicing.invoices.print.rows import Rows, facts
from invoicing.invoices.print.view import Fact, Headings, PrintedAdjustment, PrintedGroup, PrintedInvoice, PrintedLine

LINES_PRINTED_AT_MOST = 1000
DETAIL_FILE = "invoice.lines.csv"


@dataclass(frozen=True, slots=True)
class SummaryGroup:
    """Lines that print as one row: a product, a month, an account."""

    name: str
    line_count: int
    net: Decimal


@dataclass(frozen=True, slots=True)
class Summary:
    """What a large invoice prints in place of its lines, and the file that lists them."""

    groups: tuple[SummaryGroup, ...] = ()
    detail_file: str = DETAIL_FILE


def printed(
    header: Header, body: Iterable[Line] | Summary, totals: Totals, number: str, language: str | None = None
) -> PrintedInvoice:
    """Word and format an invoice, in the language given, else in that of the buyer's country.

    `body` is its lines, or a `Summary` for more than 1,000 of them (else ValueError).
    """
    spoken = language_for(header.buyer.address.country, language)
    rows = Rows(spoken, header.currency, totals)
    title = spoken.say(header.type.value)
    seller, seen_from = header.seller, header.seller.address.country
    return PrintedInvoice(
        language=spoken.code,
        issue_date=header.issue_date,
        title=title,
        number=number,
        description=f"{title} {number}, {figures.day(header.issue_date, spoken.format)}, {seller.name}",
        author=seller.name,
        keywords=(title, number, "Factur-X", "EN 16931"),
        letterhead=seller.trading_name or seller.name,
        letterhead_details=address.letterhead_details(seller),
        sender=address.sender(seller),
        recipient=address.recipient(header.buyer, seen_from),
        facts=tuple(facts(header, number, spoken)),
        introduction=_introduction(header, spoken),
        headings=_headings(header, spoken),
        lines=_lines(body, rows),
        groups=_groups(body, rows),
        detail_reference=_detail_reference(body, totals, spoken),
        adjustments=_adjustments(header, rows),
        vat=rows.vat(),
        totals=rows.sums(),
        payable=_payable(header, rows),
        vat_notes=rows.vat_notes(),
        payment=payment_box(header, totals, number, spoken),
        parties=address.other_parties(header, spoken),
        notes=header.notes,
        attachments=_attachments(header.attachments, spoken),
        footer=address.footer(header, spoken),
    )


def _introduction(header: Header, language: Language) -> tuple[str, ...]:
    corrected = header.preceding_invoice
    if corrected is None or header.type is not DocumentType.CREDIT_NOTE:
        return ()
    if corrected.date is None:
        return (language.say("correction_of", number=corrected.number),)
    day = figures.day(corrected.date, language.format)
    return (language.say("correction_of_dated", number=corrected.number, date=day),)


def _headings(header: Header, language: Language) -> Headings:
    same = ("position", "description", "quantity", "price", "vat", "group", "lines", "vat_rate", "taxable", "tax")
    return Headings(
        amount=language.say("amount", currency=header.currency),
        page=language.words["page"],
        **{word: language.say(word) for word in same},
    )


def _lines(body: Iterable[Line] | Summary, rows: Rows) -> tuple[PrintedLine, ...]:
    if isinstance(body, Summary):
        return ()
    lines = tuple(islice(body, LINES_PRINTED_AT_MOST + 1))
    if len(lines) > LINES_PRINTED_AT_MOST:
        raise ValueError(f"more than {LINES_PRINTED_AT_MOST} lines: print a Summary of them")
    return tuple(rows.line(line) for line in lines)


def _groups(body: Iterable[Line] | Summary, rows: Rows) -> tuple[PrintedGroup, ...]:
    if not isinstance(body, Summary):
        return ()
    form = rows.language.format
    return tuple(
        PrintedGroup(group.name, figures.number(Decimal(group.line_count), form), rows.amount(group.net))
        for group in body.groups
    )


def _detail_reference(body: Iterable[Line] | Summary, totals: Totals, language: Language) -> str:
    if not isinstance(body, Summary):
        return ""
    count = figures.number(Decimal(totals.line_count), language.format)
    return language.say("detail", count=count, file=body.detail_file)


def _adjustments(header: Header, rows: Rows) -> tuple[PrintedAdjustment, ...]:
    allowances = (rows.adjustment(each, charge=False) for each in header.allowances)
    charges = (rows.adjustment(each, charge=True) for each in header.charges)
    return (*allowances, *charges)


def _payable(header: Header, rows: Rows) -> Fact:
    word = "credited" if header.type is DocumentType.CREDIT_NOTE else "payable"
    return Fact(rows.language.say(word), rows.money(rows.totals.payable))


def _attachments(attachments: tuple[Attachment, ...], language: Language) -> str:
    if not attachments:
        return ""
    names = (" · ".join(part for part in (each.id, each.description, each.url) if part) for each in attachments)
    return f"{language.say('attachments')}{language.format.colon}{'; '.join(names)}"
