"""What a customer reads on the page, before any PDF is made of it."""

import string
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from invoicing.invoices.model import (
    Account,
    Address,
    Adjustment,
    DirectDebit,
    DocumentAdjustment,
    DocumentType,
    Header,
    Line,
    Party,
    Payment,
    Period,
    PrecedingInvoice,
    Vat,
    VatCategory,
)
from invoicing.invoices.print import figures
from invoicing.invoices.print.glyphs import LONGEST_WORD, breakable, printable
from invoicing.invoices.print.language import Language, language_for, languages
from invoicing.invoices.print.page import LINES_PRINTED_AT_MOST, Summary, printed
from invoicing.invoices.print.view import Fact, PrintedInvoice
from invoicing.invoices.totals import Sums, finish

EN, DE, FR, ZH = (languages()[code].format for code in ("en", "de", "fr", "zh"))
STANDARD = Vat(VatCategory.STANDARD, Decimal(19))
LINE = Line("1", "Compute", Decimal(300), "HUR", Decimal("1.00"), STANDARD)
HEADER = Header(
    type=DocumentType.INVOICE,
    series="2026",
    currency="EUR",
    issue_date=date(2026, 11, 22),
    due_date=date(2026, 12, 6),
    seller=Party("Cloud GmbH", Address("DE", "Hauptstraße 1", postcode="10115", city="Berlin"), vat_id="DE136695976"),
    buyer=Party("Acme AG", Address("DE", "Kai 7", postcode="20095", city="Hamburg")),
    payment=Payment("58", accounts=(Account(iban="DE02120300000000202051", bic="BYLADEM1001"),)),
)


def page(header: Header = HEADER, *lines: Line, language: str | None = "en") -> PrintedInvoice:
    lines = lines or (LINE,)
    return printed(header, lines, finish(Sums.of(lines), header), "2026-1", language)


@pytest.mark.parametrize(
    ("value", "english", "german", "french"),
    [
        ("1234567.5", "1,234,567.50", "1.234.567,50", "1\u202f234\u202f567,50"),
        ("-12", "\u221212.00", "\u221212,00", "\u221212,00"),
        ("0.005", "0.01", "0,01", "0,01"),
        ("0", "0.00", "0,00", "0,00"),
    ],
)
def test_an_amount_is_written_as_the_reader_writes_it(value: str, english: str, german: str, french: str) -> None:
    written = [figures.amount(Decimal(value), "EUR", form) for form in (EN, DE, FR)]
    assert written == [english, german, french]


def test_money_carries_its_currency_and_never_breaks_apart() -> None:
    assert figures.money(Decimal("-1234.5"), "EUR", EN) == "\u2212EUR\u00a01,234.50"
    assert figures.money(Decimal("1234.5"), "EUR", DE) == "1.234,50\u00a0EUR"


def test_a_currency_without_cents_prints_none_unless_there_are_some() -> None:
    assert figures.amount(Decimal("1200.00"), "JPY", EN) == "1,200"
    assert figures.amount(Decimal("1200.50"), "JPY", EN) == "1,200.50"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("0.0215", "0.0215"),
        ("1", "1.00"),
        ("18.5", "18.50"),
        ("1E+3", "1,000.00"),
        ("123456789012.1234567891", "123,456,789,012.1234567891"),
    ],
)
def test_a_price_keeps_every_decimal(value: str, written: str) -> None:
    assert figures.price(Decimal(value), EN) == written


def test_a_quantity_has_no_trailing_zeros() -> None:
    assert figures.number(Decimal("1E+2"), EN) == "100"
    assert figures.number(Decimal("2.500"), DE) == "2,5"
    assert figures.percent(Decimal("19.00"), DE) == "19\u00a0%"


def test_dates_read_in_each_language() -> None:
    day = date(2026, 1, 5)
    assert [figures.day(day, form) for form in (EN, DE, FR, ZH)] == [
        "5 January 2026",
        "05.01.2026",
        "05/01/2026",
        "2026年1月5日",
    ]


def test_a_period_may_be_open_or_a_single_day() -> None:
    start, end = date(2026, 1, 1), date(2026, 1, 31)
    assert figures.period(Period(start, end), DE) == "01.01.2026\u2009\u2013\u200931.01.2026"
    assert figures.period(Period(None, end), DE) == "\u2013\u200931.01.2026"
    assert figures.period(Period(start, None), DE) == "01.01.2026\u2009\u2013"
    assert figures.period(Period(start, start), DE) == "01.01.2026"


def test_an_iban_is_printed_in_groups_of_four() -> None:
    assert figures.iban("de02 1203 0000 0000 2020 51").split("\u00a0") == ["DE02", "1203", "0000", "0000", "2020", "51"]


@pytest.mark.parametrize("language", languages().values(), ids=lambda language: language.code)
def test_every_language_says_everything(language: Language) -> None:
    english = languages()["en"]
    assert language.words.keys() == english.words.keys()
    assert language.units.keys() == english.units.keys()
    assert language.vat_notes.keys() == english.vat_notes.keys()
    for word, text in language.words.items():
        assert fields(text) == fields(english.words[word]) or word == "collect", word
        assert text.strip()


def fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize(
    ("country", "wanted", "code"),
    [
        ("DE", None, "de"),
        ("AT", None, "de"),
        ("FR", None, "fr"),
        ("CN", None, "zh"),
        ("NO", None, "en"),
        ("DE", "en", "en"),
    ],
)
def test_the_buyers_country_chooses_the_language(country: str, wanted: str | None, code: str) -> None:
    assert language_for(country, wanted).code == code


def test_totals_are_shown_step_by_step() -> None:
    discount = DocumentAdjustment(Adjustment(Decimal(50), "loyalty", None, Decimal(1000), Decimal(5)), STANDARD)
    view = page(replace(HEADER, allowances=(discount,), prepaid=Decimal(100)))
    assert [(fact.label, fact.value) for fact in view.totals] == [
        ("Sum of lines", "300.00"),
        ("Allowances", "\u221250.00"),
        ("Net total", "250.00"),
        ("VAT", "47.50"),
        ("Total incl. VAT", "297.50"),
        ("Paid already", "\u2212100.00"),
    ]
    assert view.payable == Fact("Amount due", "EUR\u00a0197.50")
    assert view.adjustments[0].reason == "Allowance: loyalty (5% \u00d7 1,000.00)"


def test_every_vat_rate_and_the_reason_for_none_are_printed() -> None:
    exempt = Vat(VatCategory.EXEMPT, exemption_reason="Insurance, art. 135")
    reverse = Vat(VatCategory.REVERSE_CHARGE)
    view = page(HEADER, LINE, replace(LINE, vat=exempt), replace(LINE, vat=reverse))
    assert [(row.rate, row.taxable, row.tax) for row in view.vat] == [
        ("19%", "300.00", "57.00"),
        ("0%¹", "300.00", "0.00"),
        ("0%²", "300.00", "0.00"),
    ]
    assert view.vat_notes == (
        "¹ Exempt from VAT. Insurance, art. 135",
        "² Reverse charge: the customer accounts for the VAT.",
    )
    assert [line.vat for line in view.lines] == ["19%", "0%¹", "0%²"]


def test_a_line_says_how_its_amount_came_about() -> None:
    line = replace(
        LINE,
        quantity=Decimal(200),
        unit="H87",
        price=Decimal(899),
        base_quantity=Decimal(100),
        gross_price=Decimal(999),
        price_discount=Decimal(100),
        allowances=(Adjustment(Decimal(5), "volume"),),
        description="rack mounted",
        seller_item_id="PS-1",
    )
    (shown,) = page(HEADER, line).lines
    assert (shown.quantity, shown.unit, shown.price, shown.amount) == ("200", "pcs", "899.00", "1,793.00")
    assert shown.details == (
        "rack mounted",
        "Item no.: PS-1",
        "price per 100\u00a0pcs",
        "list price 999.00, less 100.00",
        "Allowance: volume: \u22125.00",
    )


def test_a_unit_without_a_word_prints_as_its_code() -> None:
    assert page(HEADER, replace(LINE, unit="X8Z")).lines[0].unit == "X8Z"


def test_the_payment_box_names_amount_day_and_account() -> None:
    box = page().payment
    assert box is not None
    assert box.request == "Please pay EUR\u00a0357.00 by 6 December 2026."
    assert Fact("IBAN", figures.iban("DE02120300000000202051")) in box.facts
    assert Fact("Reference", "2026-1") in box.facts
    assert box.qr.startswith("<svg")


def test_no_bank_code_where_it_does_not_apply() -> None:
    box = page(replace(HEADER, currency="CHF")).payment
    assert box is not None
    assert (box.qr, box.qr_caption) == ("", "")


def test_a_direct_debit_is_announced_not_asked_for() -> None:
    debit = DirectDebit("M-7", "DE98ZZZ09999999999", "DE02120300000000202051")
    box = page(replace(HEADER, payment=Payment("59", direct_debit=debit))).payment
    assert box is not None
    assert box.request == "We collect EUR\u00a0357.00 by direct debit under mandate M-7."
    assert Fact("Creditor ID", "DE98ZZZ09999999999") in box.facts


def test_nobody_is_asked_to_pay_nothing() -> None:
    box = page(replace(HEADER, prepaid=Decimal(357))).payment
    assert box is not None
    assert (box.request, box.facts) == ("Nothing is left to pay.", ())


def test_a_credit_note_says_so_and_asks_for_no_money() -> None:
    corrected = PrecedingInvoice("2026-0007", date(2026, 11, 1))
    view = page(replace(HEADER, type=DocumentType.CREDIT_NOTE, preceding_invoice=corrected))
    assert view.title == "Credit note"
    assert view.introduction == ("This credit note corrects invoice 2026-0007 of 1 November 2026.",)
    assert view.payment is not None
    assert view.payment.request == "We credit you with EUR\u00a0357.00."


def test_a_letter_abroad_names_the_country() -> None:
    abroad = replace(HEADER.buyer, address=Address("AT", "Ring 3", postcode="1010", city="Wien"))
    assert page(replace(HEADER, buyer=abroad)).recipient[-2:] == ("1010 Wien", "AUSTRIA")
    assert page().recipient[-1] == "20095 Hamburg"


def test_a_thousand_lines_print_and_one_more_asks_for_a_summary() -> None:
    lines = [replace(LINE, id=str(n)) for n in range(LINES_PRINTED_AT_MOST + 1)]
    totals = finish(Sums.of(lines), HEADER)
    assert len(printed(HEADER, lines[:-1], totals, "1").lines) == LINES_PRINTED_AT_MOST
    with pytest.raises(ValueError, match="Summary"):
        printed(HEADER, lines, totals, "1")
    view = printed(HEADER, Summary(), totals, "1", "de")
    assert view.lines == ()
    assert view.detail_reference.startswith("Diese Rechnung hat 1.001 Positionen.")
    assert "invoice.lines.csv" in view.detail_reference


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Straße, Łódź, Αθήνα, Київ, 北京, שלום", "Straße, Łódź, Αθήνα, Київ, 北京, שלום"),
        ("e\u0301", "é"),
        ("efficient: ﬁ", "efficient: fi"),
        ("pay \u202e00.1\u202c now", "pay 00.1 now"),
        ("a\x00b\x07c\td", "abc d"),
        ("half \udc80", "half □"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_text_is_fitted_to_the_fonts(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_only_words_longer_than_a_column_may_break() -> None:
    assert breakable("x" * LONGEST_WORD) == "x" * LONGEST_WORD
    assert breakable("y " + "x" * 30).replace("\u200b", "|") == "y xxxxxxxxxxxx|xxxxxxxxxxxx|xxxxxx"
