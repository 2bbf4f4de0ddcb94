"""How much money an incident holds up: added up by currency over the jobs that it holds, told to our staff alone."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from invoicing.diagnosis.words import FALLBACK
from invoicing.incidents.alerting import alert_of
from invoicing.incidents.api.views import incident_view
from invoicing.incidents.store import money
from invoicing.jobs.model import NewJob
from invoicing.jobs.model.money import Money

from ..book import Book
from .conftest import HERE, Lookout
from .test_keeping import other_customer


def worth(book: Book, amount: str, currency: str = "EUR", priority: str = "normal") -> NewJob:
    return replace(book.request(priority=priority), worth=Money(Decimal(amount), currency))


async def test_what_waits_in_a_lane_is_added_up_by_currency(book: Book, lookout: Lookout) -> None:
    await book.accept(
        worth(book, "10300.00", "CNY"), worth(book, "351.05"), book.request(), worth(book, "9", priority="bulk")
    )
    book.customer_id = await other_customer(book)
    await book.accept(worth(book, "0.10"))
    await book.release(1)
    await lookout.holds("no_worker")
    await lookout.look()
    (incident,) = await lookout.all()
    assert incident.blast.money == {"CNY": Decimal("10300.00"), "EUR": Decimal("351.15")}
    assert "held_up" not in incident.evidence
    assert incident_view(incident, FALLBACK)["blast"]["money"] == {"CNY": "10300.00", "EUR": "351.15"}
    alert = alert_of(incident)
    assert "It holds up 10300.00 CNY, 351.15 EUR." in alert.summary
    assert alert.held_up == {"CNY": "10300.00", "EUR": "351.15"}
    assert await lookout.look(later=6) == 0
    await book.accept(worth(book, "48.85"))
    await lookout.look(later=6)
    (incident,) = await lookout.all()
    assert incident.blast.money["EUR"] == Decimal("400.00")
    await lookout.ends("no_worker")
    await lookout.look()
    assert (await lookout.all())[0].blast.money == {}


async def test_jobs_that_run_are_added_up_one_by_one(book: Book, lookout: Lookout) -> None:
    worker = await lookout.worker()
    await book.accept(worth(book, "20.00"), worth(book, "5", "CHF"))
    await book.claim(worker, await book.release(), timedelta(hours=1))
    await book.accept(worth(book, "7"))
    await book.do("UPDATE workers SET loop_beat_at = now() - interval '20 s'")
    await lookout.look(thorough=False)
    (incident,) = await lookout.all()
    assert incident.blast.money == {"EUR": Decimal("20.00"), "CHF": Decimal(5)}


async def test_beyond_a_bound_it_is_at_least_so_much(
    book: Book, lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(money, "MOST", 2)
    await book.accept(*(worth(book, "1") for _ in range(3)))
    await lookout.holds("no_worker", HERE)
    await lookout.look()
    (incident,) = await lookout.all()
    assert (incident.blast.money, incident.blast.money_at_least) == ({"EUR": Decimal(2)}, True)
    assert "It holds up at least 2 EUR." in alert_of(incident).summary


async def test_an_incident_is_told_though_its_money_cannot_be_counted(
    book: Book, lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    await book.accept(worth(book, "1"))
    await lookout.holds("no_worker")
    monkeypatch.setattr(money, "_SUMS", None)
    lookout.may_fail = True
    await lookout.look()
    (incident,) = await lookout.all()
    assert (incident.live, incident.blast.jobs, incident.blast.money) == (True, 1, {})
