"""A mail about maintenance says when, why and what becomes of waiting jobs, in the language of the address."""

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


def written(event: WebhookEvent, language: str, **changed: Any) -> tuple[str, str]:
    said = {"type": event, "timestamp": "2026-11-28T09:00:00.000Z", "data": WINDOW | changed}
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
