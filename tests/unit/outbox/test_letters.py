"""A mail about maintenance or an incident says when, why and what becomes of jobs, in the language of the address."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from invoicing.outbox.letters import letter_of
from invoicing.outbox.model import Errand, WebhookEvent

WINDOW: dict[str, Any] = {
    "id": str(UUID(int=1)), "from": "2026-11-29T02:00:00.000Z", "until": "2026-11-29T04:00:00.000Z",
    "lanes": ["normal-large"], "reason": "The disks\nBcc: x are replaced.", "drain": True, "shift_promises": True,
}  # fmt: skip


def written(event: WebhookEvent, language: str, data: dict[str, Any] = WINDOW, **changed: Any) -> tuple[str, str]:
    said = {"type": event, "timestamp": "2026-11-28T09:00:00.000Z", "data": data | changed}
    left = timedelta(days=3)
    errand = Errand(UUID(int=2), 1, 1, UUID(int=3), event, "", json.dumps(said), (), left, False, language)
    letter = letter_of(errand, "invoices@example.com", "billing@example.com", lambda *_: None)
    return letter["Subject"], letter.get_content()


@pytest.mark.parametrize(
    ("language", "subject", "keeps"),
    [
        ("en", "Planned maintenance from 2026-11-29 02:00 UTC until 2026-11-29 04:00 UTC", "keep their places"),
        ("de", "Geplante Wartung vom 2026-11-29 02:00 UTC bis 2026-11-29 04:00 UTC", "behalten ihren Platz"),
    ],
)
def test_maintenance_is_announced_in_words(language: str, subject: str, keeps: str) -> None:
    said, text = written(WebhookEvent.MAINTENANCE_ANNOUNCED, language)
    assert said == subject
    assert keeps in text
    assert "The disks Bcc: x are replaced." in text
    assert keeps not in written(WebhookEvent.MAINTENANCE_ANNOUNCED, language, drain=False)[1]
    said, text = written(WebhookEvent.MAINTENANCE_CANCELLED, language)
    assert said != subject
    assert keeps not in text


INCIDENT: dict[str, Any] = {
    "id": str(UUID(int=1)), "earlier_ids": [], "title": "Jobs of this queue are not being started at the moment.",
    "titles": {"de": "Aufträge dieser Schlange werden zurzeit nicht begonnen."}, "since": "2026-11-29T02:00:00.000Z",
    "estimate": None, "next_update_by": "2026-11-29T02:30:00.000Z", "jobs": {"touched": 41, "at_least": True},
}  # fmt: skip
OUTCOME = {"touched": 9, "succeeded": 5, "failed": 1, "cancelled": 0, "running": 2, "waiting": 1, "at_least": False}


@pytest.mark.parametrize(
    ("language", "unknown", "estimate", "outcome"),
    [
        ("en", "Nobody can say yet", "Should be over by: 2026-11-29 03:00 UTC", "touched 9. Done: 5, failed: 1,"),
        ("de", "kann noch niemand", "behoben bis: 2026-11-29 03:00 UTC", "waren 9 Ihrer Aufträge. Erledigt: 5,"),
    ],
)
def test_an_incident_is_told_in_words(language: str, unknown: str, estimate: str, outcome: str) -> None:
    title = INCIDENT["titles"].get(language) or INCIDENT["title"]
    _, text = written(WebhookEvent.INCIDENT_OPENED, language, INCIDENT)
    assert title in text
    assert unknown in text
    assert ": 41+" in text
    assert "2026-11-29 02:30 UTC" in text
    _, text = written(WebhookEvent.INCIDENT_UPDATED, language, INCIDENT, estimate="2026-11-29T03:00:00.000Z", jobs=None)
    assert estimate in text
    assert unknown not in text
    _, text = written(
        WebhookEvent.INCIDENT_RESOLVED, language, INCIDENT, ended_at="2026-11-29T04:00:00.000Z", outcome=OUTCOME
    )
    assert title in text
    assert outcome in text


@pytest.mark.parametrize(("language", "said"), [("en", "payable 1351.05 EUR"), ("de", "zu zahlen 1351,05 EUR")])
def test_an_amount_is_written_as_its_reader_does(language: str, said: str) -> None:
    result = {"number": "2026.7", "payable": "1351.05", "currency": "EUR"}
    _, text = written(WebhookEvent.SUCCEEDED, language, {"kind": "invoice.issue", "result": result})
    assert f"2026.7, {said}" in text
