"""What the clients of a campaign ask for, drawn from a seed: invoices of one series, and drills of every mode."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEALTHY, CANCELLABLE, DEADLY = frozenset({"succeeded"}), frozenset({"succeeded", "cancelled"}), frozenset({"dead"})

SERIES = "C"


@dataclass(frozen=True)
class Work:
    """A job to ask for, in which states it may end, and after how many seconds its customer cancels it."""

    body: Mapping[str, Any]
    may_end: frozenset[str] = HEALTHY
    cancel_after: float | None = None
    staff_retries: bool = False
    """Once it is dead, our staff have it tried again."""


def drawn(draw: random.Random) -> Work:
    """Draw some work."""
    priority = draw.choices(("urgent", "normal", "bulk"), (1, 4, 1))[0]
    make = draw.choices(*zip(*_MIX, strict=True))[0]
    work: Work = make(draw)
    body = {**work.body, "priority": priority}
    if work.cancel_after is None and work.may_end == HEALTHY and draw.random() < 0.06:
        return Work(body, CANCELLABLE, draw.uniform(0.0, 4.0))
    return Work(body, work.may_end, work.cancel_after, work.staff_retries)


def small_drill(draw: random.Random, priority: str = "normal") -> Work:
    """Ask for next to nothing, as in a batch."""
    return Work({**_drill(seconds=draw.uniform(0.0, 0.05)), "priority": priority})


def _small_invoice(draw: random.Random) -> Work:
    return Work(_invoice(draw, draw.randint(1, 8)))


def _large_invoice(draw: random.Random) -> Work:
    """Ask for one that is made in chunks."""
    return Work(_invoice(draw, draw.randint(1_100, 2_300)))


def _sleep(draw: random.Random) -> Work:
    return Work(_drill(seconds=draw.uniform(0.05, 3.0), chunks=draw.randint(0, 6)))


def _long(draw: random.Random) -> Work:
    """Ask for what most faults will meet at work."""
    return Work(_drill(seconds=draw.uniform(6, 16), chunks=draw.randint(8, 30)))


def _spin(draw: random.Random) -> Work:
    return Work(_drill(seconds=draw.uniform(0.05, 0.6), chunks=draw.randint(1, 3), mode="spin"))


def _fails_once(draw: random.Random) -> Work:
    return Work(_drill(seconds=draw.uniform(0.0, 0.5), fail_attempts=1))


def _always_fails(draw: random.Random) -> Work:
    return Work(_drill(mode="fail"), DEADLY, staff_retries=draw.random() < 0.5)


def _dies(_draw: random.Random) -> Work:
    return Work(_drill(mode="die", seconds=0), DEADLY)


def _hangs(draw: random.Random) -> Work:
    return Work(_drill(mode="hang", seconds=1), frozenset({"cancelled"}), draw.uniform(1, 8))


def _lies(draw: random.Random) -> Work:
    """Claim to be short and take long: it is put into a larger class as it runs."""
    return Work(_drill(seconds=draw.uniform(3, 8), chunks=draw.randint(4, 12), claimed_seconds=0.1))


_MIX = (
    (_small_invoice, 40),
    (_large_invoice, 1),
    (_sleep, 28),
    (_long, 7),
    (_spin, 8),
    (_fails_once, 8),
    (_always_fails, 3),
    (_dies, 1),
    (_hangs, 2),
    (_lies, 2),
)


def _drill(**payload: Any) -> dict[str, Any]:
    return {"kind": "drill", "payload": payload}


def _invoice(draw: random.Random, lines: int) -> dict[str, Any]:
    place = {"line1": "Hauptstr. 1", "postcode": "10115", "city": "Berlin", "country": "DE"}
    payload = {
        "type": "invoice",
        "series": SERIES,
        "currency": "EUR",
        "issue_date": "2026-11-22",
        "due_date": "2026-12-06",
        "seller": {
            "name": "Cloud GmbH",
            "vat_id": "DE136695976",
            "address": place,
            "contact": {"name": "Billing", "phone": "+49 30 1", "email": "billing@example.com"},
            "electronic_address": {"scheme": "EM", "value": "billing@example.com"},
        },
        "buyer": {"name": "Acme AG", "address": place},
        "buyer_reference": f"PO-{draw.randrange(10**9)}",
        "lines": [_line(draw, number) for number in range(1, lines + 1)],
        "payment": {"means": "58", "iban": "DE02120300000000202051", "terms": "14 days net"},
    }
    return {"kind": "invoice.issue", "payload": payload}


def _line(draw: random.Random, number: int) -> dict[str, Any]:
    return {
        "id": str(number),
        "name": f"Compute, day {number}",
        "quantity": str(draw.randint(1, 48)),
        "unit": "HUR",
        "price": f"0.{draw.randint(1, 99):02}",
        "vat": {"category": "S", "rate": draw.choice(("19", "7"))},
    }
