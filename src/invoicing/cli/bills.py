"""Requests like those of a cloud vendor's customer, made from a seed: four years of daily bills, and a small one.

The same seed, number of lines and date give the same bytes. A request is written piece by piece and never held; what
the customer's own books say (`expected`) is added up on the way and stands at its end.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

FIRST_DAY, LAST_DAY = date(2022, 1, 1), date(2025, 12, 31)
_DAYS = (LAST_DAY - FIRST_DAY).days + 1
_CENT = Decimal("0.01")
_NO_ROUNDING = Decimal(0)


@dataclass(frozen=True)
class _Product:
    """Something the vendor meters: its unit (UN/ECE Recommendation 20), a price, and how much of it a day uses."""

    name: str
    unit: str
    price: str
    most: int
    vat: str = "19"


_PRODUCTS = (
    _Product("Compute c2.large", "HUR", "0.0864", 480),
    _Product("Compute m2.xlarge", "HUR", "0.2112", 240),
    _Product("Block storage SSD", "E34", "0.0035", 4_000),
    _Product("Object storage, standard", "E34", "0.0008", 20_000),
    _Product("Outgoing traffic", "E34", "0.0490", 900),
    _Product("Managed PostgreSQL db.medium", "HUR", "0.1240", 72),
    _Product("Handbook, printed", "C62", "4.90", 3, "7"),
)
_ACCOUNTS = ("production", "staging", "analytics", "research", "web shop")

_SELLER = {
    "name": "Nordlicht Cloud GmbH",
    "vat_id": "DE136695976",
    "address": {"line1": "Speicherstr. 12", "postcode": "20457", "city": "Hamburg", "country": "DE"},
    "contact": {"name": "Billing", "phone": "+49 40 5550100", "email": "billing@nordlicht.example"},
    "electronic_address": {"scheme": "EM", "value": "billing@nordlicht.example"},
}
_BUYER = {
    "name": "Acme AG",
    "address": {"line1": "Kai 7", "postcode": "28195", "city": "Bremen", "country": "DE"},
    "electronic_address": {"scheme": "EM", "value": "invoices@acme.example"},
}


@dataclass
class _Books:
    """What the customer's own books add up: nets by VAT rate, each line rounded to the cent."""

    nets: dict[str, Decimal]

    def add(self, line: Mapping[str, Any]) -> None:
        net = (Decimal(line["quantity"]) * Decimal(line["price"])).quantize(_CENT, ROUND_HALF_UP)
        rate = line["vat"]["rate"]
        self.nets[rate] = self.nets.get(rate, Decimal(0)) + net

    def gross(self) -> Decimal:
        """Add VAT once per rate, on the sum (EN 16931-1, BR-CO-17)."""
        vat = [(net * Decimal(rate) / 100).quantize(_CENT, ROUND_HALF_UP) for rate, net in self.nets.items()]
        return sum([*self.nets.values(), *vat], Decimal(0))


def large_request(seed: int, lines: int, issued: date) -> Iterator[bytes]:
    """Write a request over four years of bills: a line for each day, account and product in turn."""
    draw = random.Random(seed)  # noqa: S311 - sample data
    metered = (_metered(draw, index, lines) for index in range(lines))
    return _request(f"four-years-{seed}", issued, (FIRST_DAY, LAST_DAY), metered)


def small_request(seed: int, issued: date, gross: Decimal = Decimal(300)) -> Iterator[bytes]:
    """Write a request of three lines that comes to `gross` (EUR, with 19 % VAT; where no net does, it is rounded)."""
    net = (gross / Decimal("1.19")).quantize(_CENT, ROUND_HALF_UP)
    shares = random.Random(seed)  # noqa: S311 - sample data
    first = (net * shares.randint(40, 60) / 100).quantize(_CENT)
    second = ((net - first) * shares.randint(40, 60) / 100).quantize(_CENT)
    named = zip(
        ("Support, hours", "Setup of a database", "Backup check"), (first, second, net - first - second), strict=True
    )
    month = (issued.replace(day=1), issued)
    lines = (
        {"id": str(n), "name": name, "quantity": "1", "unit": "C62", "price": str(price), "vat": _vat("19")}
        for n, (name, price) in enumerate(named, 1)
    )
    rounding = gross - net - (net * Decimal("0.19")).quantize(_CENT, ROUND_HALF_UP)
    return _request(f"small-{seed}", issued, month, lines, rounding)


def _metered(draw: random.Random, index: int, lines: int) -> dict[str, Any]:
    day = FIRST_DAY + timedelta(days=index * _DAYS // lines)
    account, product = divmod(index % (len(_ACCOUNTS) * len(_PRODUCTS)), len(_PRODUCTS))
    metered = _PRODUCTS[product]
    return {
        "id": str(index + 1),
        "name": f"{metered.name}, {_ACCOUNTS[account]}, {day}",
        "quantity": str(draw.randint(1, metered.most)),
        "unit": metered.unit,
        "price": metered.price,
        "vat": _vat(metered.vat),
        "period": {"start": str(day), "end": str(day)},
    }


def _vat(rate: str) -> dict[str, str]:
    return {"category": "S", "rate": rate}


def _request(
    reference: str,
    issued: date,
    period: tuple[date, date],
    lines: Iterator[dict[str, Any]],
    rounding: Decimal = _NO_ROUNDING,
) -> Iterator[bytes]:
    """Write the whole request; the pieces are a few hundred bytes each."""
    start, end = period
    payload = {
        "type": "invoice",
        "series": f"{issued.year}",
        "currency": "EUR",
        "issue_date": str(issued),
        "due_date": str(issued + timedelta(days=14)),
        "seller": _SELLER,
        "buyer": _BUYER,
        "buyer_reference": reference,
        "period": {"start": str(start), "end": str(end)},
        "rounding": str(rounding),
        "payment": {"means": "58", "iban": "DE02120300000000202051", "terms": "14 days net"},
    }
    yield f'{{"kind": "invoice.issue", "reference": {json.dumps(reference)}, "payload": '.encode()
    yield json.dumps(payload, ensure_ascii=False)[:-1].encode() + b', "lines": [\n'
    books = _Books({})
    for number, line in enumerate(lines):
        books.add(line)
        yield (b",\n" if number else b"") + json.dumps(line).encode()
    yield f'\n], "expected": {{"payable": {json.dumps(str(books.gross() + rounding))}}}}}}}\n'.encode()
