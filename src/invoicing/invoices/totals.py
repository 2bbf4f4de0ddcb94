"""The sums of an invoice: per line, per VAT category and rate, and of the whole document (EN 16931 §6.5, BR-CO-*).

`Sums` are added chunk by chunk. Addition is associative and every figure is exact, so however the lines were cut the
totals are the same to the last digit. Order matters in one thing only: of several exemption reasons the first is kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Final, Self

from invoicing.invoices.model import (
    ZERO,
    Adjustment,
    Header,
    Line,
    Totals,
    Vat,
    VatBreakdown,
    VatCategory,
)
from invoicing.invoices.numerals import EXACT, cents, plain

_PERCENT: Final = Decimal("0.01")
_ORDER: Final = {category: place for place, category in enumerate(VatCategory)}

Key = tuple[VatCategory, str]


def adjusted(adjustments: Iterable[Adjustment]) -> Decimal:
    """Sum allowances, or charges."""
    return reduce(EXACT.add, (each.amount for each in adjustments), ZERO)


def line_net(line: Line) -> Decimal:
    """BT-131: quantity * price / base quantity - allowances + charges, rounded once."""
    gross = EXACT.divide(EXACT.multiply(line.quantity, line.price), line.base_quantity)
    return cents(EXACT.add(EXACT.subtract(gross, adjusted(line.allowances)), adjusted(line.charges)))


def vat_due(taxable: Decimal, rate: Decimal) -> Decimal:
    """BT-117: VAT is computed once per category and rate on the summed base, never per line."""
    return cents(EXACT.multiply(EXACT.multiply(taxable, rate), _PERCENT))


def key_of(vat: Vat) -> Key:
    """Give what VAT is summed by: "19" and "19.00" are one rate."""
    return vat.category, plain(vat.rate)


@dataclass(frozen=True, slots=True)
class Group:
    """What is summed under one VAT category and rate; `conflict` when two different exemption reasons were given."""

    vat: Vat
    net: Decimal
    conflict: bool = False

    def __add__(self, other: Self) -> Self:
        mine, theirs = _reason(self.vat), _reason(other.vat)
        return type(self)(
            self.vat if mine else other.vat,
            EXACT.add(self.net, other.net),
            self.conflict or other.conflict or (mine is not None and theirs is not None and mine != theirs),
        )


def _reason(vat: Vat) -> tuple[str, str] | None:
    if vat.exemption_reason is None and vat.exemption_code is None:
        return None
    return vat.exemption_reason or "", vat.exemption_code or ""


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of some lines."""

    groups: Mapping[Key, Group]
    line_count: int

    @classmethod
    def none(cls) -> Self:
        return cls({}, 0)

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Self:
        groups: dict[Key, Group] = {}
        count = 0
        for line in lines:
            _put(groups, line.vat, line_net(line))
            count += 1
        return cls(groups, count)

    def __add__(self, other: Self) -> Self:
        groups = dict(self.groups)
        for key, group in other.groups.items():
            groups[key] = groups[key] + group if key in groups else group
        return type(self)(groups, self.line_count + other.line_count)

    @property
    def net(self) -> Decimal:
        """BT-106."""
        return cents(reduce(EXACT.add, (group.net for group in self.groups.values()), ZERO))

    def in_order(self) -> list[Group]:
        """List the groups in the one order in which documents show them."""
        return [self.groups[key] for key in sorted(self.groups, key=lambda key: (_ORDER[key[0]], -Decimal(key[1])))]

    def to_json(self) -> dict[str, object]:
        """Give the sums as JSON values, in a fixed order."""
        return {"line_count": self.line_count, "groups": [_group_to_json(group) for group in self.in_order()]}

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> Self:
        """Read what `to_json` gave; raises ValueError on anything else."""
        match stored:
            case {"line_count": int(count), "groups": list(groups)}:
                read = [_group_from_json(group) for group in groups]
                return cls({key_of(group.vat): group for group in read}, count)
        raise ValueError(f"these are no sums: {sorted(stored)}")


def _put(groups: dict[Key, Group], vat: Vat, net: Decimal) -> None:
    key = key_of(vat)
    group = Group(Vat(vat.category, Decimal(key[1]), vat.exemption_reason, vat.exemption_code), net)
    groups[key] = groups[key] + group if key in groups else group


def _group_to_json(group: Group) -> dict[str, object]:
    return {
        "category": group.vat.category.value,
        "rate": plain(group.vat.rate),
        "exemption_reason": group.vat.exemption_reason,
        "exemption_code": group.vat.exemption_code,
        "net": f"{group.net:f}",
        "conflict": group.conflict,
    }


def _group_from_json(stored: object) -> Group:
    match stored:
        case {
            "category": str(category),
            "rate": str(rate),
            "exemption_reason": str() | None as reason,
            "exemption_code": str() | None as code,
            "net": str(net),
            "conflict": bool(conflict),
        }:
            return Group(Vat(VatCategory(category), Decimal(rate), reason, code), Decimal(net), conflict)
    raise ValueError("this is no group of sums")


def taxed(sums: Sums, header: Header) -> Sums:
    """Add the allowances and charges on the document to the sums of the lines: the bases that VAT is due on."""
    groups = dict(sums.groups)
    for allowance in header.allowances:
        _put(groups, allowance.vat, -allowance.terms.amount)
    for charge in header.charges:
        _put(groups, charge.vat, charge.terms.amount)
    return Sums(groups, sums.line_count)


def finish(sums: Sums, header: Header) -> Totals:
    """Compute the document's totals (BR-CO-10 to BR-CO-16) from the sums of all its lines."""
    breakdown = tuple(
        VatBreakdown(group.vat, cents(group.net), vat_due(group.net, group.vat.rate))
        for group in taxed(sums, header).in_order()
    )
    allowances = adjusted(each.terms for each in header.allowances)
    charges = adjusted(each.terms for each in header.charges)
    net = EXACT.add(EXACT.subtract(sums.net, allowances), charges)
    vat = reduce(EXACT.add, (each.tax for each in breakdown), ZERO)
    gross = EXACT.add(net, vat)
    payable = EXACT.add(EXACT.subtract(gross, header.prepaid), header.rounding)
    return Totals(
        lines=sums.net,
        allowances=cents(allowances),
        charges=cents(charges),
        net=cents(net),
        vat=cents(vat),
        gross=cents(gross),
        prepaid=cents(header.prepaid),
        rounding=cents(header.rounding),
        payable=cents(payable),
        breakdown=breakdown,
        line_count=sums.line_count,
    )
