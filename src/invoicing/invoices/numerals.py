"""Exact decimal arithmetic and the one way in which figures and dates are written in documents."""

import datetime as dt
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

# Quantities and prices have at most 12 + 10 digits each, so a product and a sum of millions of them stay exact.
EXACT: Final = Context(prec=80, rounding=ROUND_HALF_UP)
_CENT: Final = Decimal("0.01")


def cents(value: Decimal) -> Decimal:
    """Round half up, away from zero, to the two decimals that EN 16931 (BR-DEC-*) allows an amount."""
    rounded = value.quantize(_CENT, context=EXACT)
    return rounded or abs(rounded)


def amount(value: Decimal) -> str:
    """Write an amount: always two decimals, never an exponent, never minus zero."""
    return f"{cents(value):f}"


def plain(value: Decimal) -> str:
    """Write a rate, price or quantity: no exponent and no trailing zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def iso(day: dt.date | None) -> str | None:
    """Write a date as ISO 8601."""
    return None if day is None else day.isoformat()


def compact(day: dt.date | None) -> str | None:
    """Write a date as YYYYMMDD, format 102 of UNTDID 2379."""
    return None if day is None else day.strftime("%Y%m%d")
