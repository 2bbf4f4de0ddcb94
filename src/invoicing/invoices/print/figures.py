"""Figures as people read them: amounts, prices, dates, account numbers, each in the manner of a language."""

from datetime import date
from decimal import Decimal

from invoicing.invoices.model import Period
from invoicing.invoices.numerals import cents, plain
from invoicing.invoices.print.language import Format

MINUS = "\N{MINUS SIGN}"
NO_BREAK = "\N{NO-BREAK SPACE}"
_RANGE = "\N{THIN SPACE}\N{EN DASH}\N{THIN SPACE}"
# ISO 4217: currencies without a minor unit; they print without decimals as long as there are none to lose.
_WHOLE = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF"}
)


def amount(value: Decimal, currency: str, form: Format) -> str:
    """Write a monetary amount without its currency: «1,234.50»."""
    whole = currency in _WHOLE and value == value.to_integral_value()
    return _written(value if whole else cents(value), 0 if whole else 2, form)


def money(value: Decimal, currency: str, form: Format) -> str:
    """Write a monetary amount with its currency: «EUR 1,234.50»."""
    text = form.money.format(amount=amount(value.copy_abs(), currency, form), currency=currency)
    return (MINUS if value < 0 else "") + text.replace(" ", NO_BREAK)


def price(value: Decimal, form: Format) -> str:
    """Write a unit price with all the decimals that it has, two at least."""
    return _written(value, 2, form)


def number(value: Decimal, form: Format) -> str:
    """Write a quantity or a count, without trailing zeros."""
    return _written(value, 0, form)


def percent(value: Decimal, form: Format) -> str:
    return form.percent.format(rate=number(value, form)).replace(" ", NO_BREAK)


def day(value: date, form: Format) -> str:
    month = form.months[value.month - 1] if form.months else ""
    return form.day.format(day=value.day, number=value.month, month=month, year=value.year)


def period(value: Period, form: Format) -> str:
    """Write both days with a dash between them; an open end leaves nothing beside the dash."""
    start, end = ("" if edge is None else day(edge, form) for edge in (value.start, value.end))
    return start if start == end else f"{start}{_RANGE}{end}".strip()


def iban(value: str) -> str:
    """Write an account number in groups of four, as ISO 13616 has it printed."""
    compact = "".join(value.split()).upper()
    return NO_BREAK.join(compact[start : start + 4] for start in range(0, len(compact), 4))


def _written(value: Decimal, decimals: int, form: Format) -> str:
    """Group the digits, with at least this many decimals, and every further one that is not a trailing zero."""
    whole, _, fraction = plain(value.copy_abs()).partition(".")
    fraction = fraction.ljust(decimals, "0")
    sign = MINUS if value < 0 else ""
    return sign + f"{int(whole):,}".replace(",", form.group_mark) + (form.decimal_mark + fraction if fraction else "")
