"""Checks that headers and lines share: codes, periods, allowances and charges, VAT terms."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from invoicing.invoices import codes
from invoicing.invoices.model import ZERO, Adjustment, Finding, Period, Vat, VatCategory
from invoicing.invoices.numerals import EXACT, amount, cents, plain

_CENT: Final = Decimal("0.01")
_HUNDREDTH: Final = Decimal("0.01")

# The part of a rule's name that stands for its category: BR-S-05, BR-IC-05, ...
RULE_OF: Final = {
    VatCategory.STANDARD: "S",
    VatCategory.ZERO_RATED: "Z",
    VatCategory.EXEMPT: "E",
    VatCategory.REVERSE_CHARGE: "AE",
    VatCategory.INTRA_COMMUNITY: "IC",
    VatCategory.EXPORT: "G",
    VatCategory.OUTSIDE_SCOPE: "O",
    VatCategory.CANARY_ISLANDS: "AF",
    VatCategory.CEUTA_MELILLA: "AG",
}
# EN 16931 lets L and M have a rate of 0, but the official rules for CII refuse it for L (BR-AF-05).
_ABOVE_ZERO: Final = frozenset({VatCategory.STANDARD, VatCategory.CANARY_ISLANDS})
_RATED: Final = _ABOVE_ZERO | {VatCategory.CEUTA_MELILLA}
NEEDS_REASON: Final = frozenset(
    {
        VatCategory.EXEMPT,
        VatCategory.REVERSE_CHARGE,
        VatCategory.INTRA_COMMUNITY,
        VatCategory.EXPORT,
        VatCategory.OUTSIDE_SCOPE,
    }
)


def code_finding(rule: str, code: str, place: str, what: str) -> Iterator[Finding]:
    """Refuse a code that is not on the rule's list."""
    if code not in codes.admitted()[rule]:
        yield Finding(
            rule, place, f'"{code}" is not a known {what}.', f"Use a code of the list that EN 16931 admits for {what}."
        )


def period_findings(period: Period | None, place: str, *, order_rule: str, empty_rule: str) -> Iterator[Finding]:
    """Refuse a period that ends before it starts, or has neither end."""
    if period is None:
        return
    if period.start is None and period.end is None:
        yield Finding(empty_rule, place, "The period has neither start nor end.", "Give one of them, or no period.")
    elif period.start is not None and period.end is not None and period.end < period.start:
        yield Finding(
            order_rule,
            f"{place}/end",
            f"The period ends on {period.end}, before it starts on {period.start}.",
            "Exchange or correct the two dates.",
        )


def adjustment_findings(given: Adjustment, place: str, code_rule: str, reason_rule: str) -> Iterator[Finding]:
    """Refuse an allowance or charge without a reason, or whose amount is not its percentage of its base."""
    if given.reason is None and given.reason_code is None:
        yield Finding(
            reason_rule, f"{place}/reason", "An allowance or charge needs a reason.", "Add reason or reason_code."
        )
    if given.reason_code is not None:
        yield from code_finding(code_rule, given.reason_code, f"{place}/reason_code", "reason code")
    if given.base is not None and given.percentage is not None:
        due = cents(EXACT.multiply(EXACT.multiply(given.base, given.percentage), _HUNDREDTH))
        if abs(due - given.amount) > _CENT:  # PEPPOL-EN16931-R040 allows a cent for rounding
            yield Finding(
                "ADJUSTMENT-ARITHMETIC",
                f"{place}/amount",
                f"{plain(given.percentage)} % of {amount(given.base)} is {amount(due)}, not {amount(given.amount)}.",
                "Correct amount, base or percentage.",
            )


def vat_findings(vat: Vat, place: str) -> Iterator[Finding]:
    """Refuse a rate or an exemption that the category does not allow."""
    name = RULE_OF[vat.category]
    if vat.category in _ABOVE_ZERO and vat.rate == ZERO:
        yield Finding(
            f"BR-{name}-05",
            f"{place}/rate",
            f"Category {vat.category.value} needs a rate above zero.",
            'Give the rate, such as "19"; for a rate of zero use category Z, or E with its reason.',
        )
    elif vat.category not in _RATED and vat.rate != ZERO:
        yield Finding(
            f"BR-{name}-05",
            f"{place}/rate",
            f"Category {vat.category.value} allows no rate but 0, and {plain(vat.rate)} was given.",
            'Set the rate to "0", or use category S.',
        )
    if vat.exemption_code is not None:
        yield from code_finding(
            codes.EXEMPTION, vat.exemption_code, f"{place}/exemption_code", "exemption code (VATEX)"
        )
    if vat.category not in NEEDS_REASON and (vat.exemption_reason is not None or vat.exemption_code is not None):
        yield Finding(
            f"BR-{name}-10",
            place,
            f"Category {vat.category.value} is no exemption, so it cannot have an exemption reason.",
            "Remove exemption_reason and exemption_code, or correct the category.",
        )
