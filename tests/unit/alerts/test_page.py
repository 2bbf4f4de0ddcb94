"""The page for operators shows what is sent."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from invoicing.alerts import alertmanager, chats, pagerduty
from invoicing.alerts.letters import letter_of
from invoicing.alerts.links import link, webhook_body
from invoicing.alerts.model import (
    EVENTS,
    TEST,
    Alert,
    AlertState,
    ChannelKind,
    Said,
    Severity,
    Turn,
    body_of,
    data_of,
    said_in,
)
from invoicing.outbox.model import OF_OPS, Errand

PAGE = Path(__file__).parents[3] / "docs" / "alerts.md"
AT = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
PUBLIC = "https://invoicing.example.com"
CHANNEL = UUID("0199a3c2-0000-7000-8000-000000000008")
ALERT = Alert(
    UUID("0199a3c2-0000-7000-8000-000000000001"), "no_worker:normal-small", "no_worker", "normal-small", Severity.S2,
    AlertState.OPEN, "No worker serves the lane normal-small",
    "41 jobs wait, and no worker has registered for the lane.", AT - timedelta(seconds=2), None, 41, 3,
    "https://example.com/docs/operations#no_worker", AT + timedelta(minutes=30), 1, {"lane": "normal-small"},
    (Turn("Ann Adler", 1, AT, "PANN001"), Turn("Cyd Claus", 2, AT + timedelta(minutes=5))),
)  # fmt: skip
BODY = body_of("alert.open", AT, data_of(ALERT))


def shown(kind: str) -> str:
    (found,) = re.findall(rf"<!-- {kind} -->\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def sent() -> dict[str, Any]:
    said = said_in(BODY)
    secret = "whsec_c2VjcmV0"
    errand = Errand(
        UUID(int=7),
        1,
        1,
        CHANNEL,
        said.event,
        "mailto:oncall@example.com",
        BODY,
        [secret],
        timedelta(days=3),
        probing=False,
    )
    acknowledge = link(PUBLIC, said, CHANNEL, secret)
    return {
        "alertmanager": alertmanager.posted(said, AT, PUBLIC),
        "pagerduty": pagerduty.event_of(said, "a" * 32, PUBLIC),
        "webhook": json.loads(webhook_body(BODY, said, acknowledge)),
        "mail": letter_of(errand, "Invoices <invoices@example.com>", "oncall@example.com", PUBLIC),
    }


@pytest.mark.parametrize("kind", ["alertmanager", "pagerduty", "webhook"])
def test_an_example_is_what_is_sent(kind: str) -> None:
    assert json.loads(shown(kind)) == sent()[kind]


def test_the_mail_is_what_is_sent() -> None:
    letter = sent()["mail"]
    assert shown("mail") == f"Subject: {letter['Subject']}\n\n{letter.get_content()}"


def test_every_kind_channel_event_and_chat_is_on_the_page() -> None:
    text = PAGE.read_text()
    names = [*ChannelKind, *OF_OPS, *EVENTS.values(), TEST]
    assert [name for name in names if f"`{name}`" not in text and f'"{name}"' not in text] == []
    plain = {name for name, how in chats.HOSTED.items() if how == "http"}
    assert [name for name in chats.NAMES if name not in plain and f"`{name}://`" not in text] == []


def test_an_incident_that_is_over_is_told_with_its_end() -> None:
    over = replace(ALERT, state=AlertState.RESOLVED, ended_at=AT)
    (posted,) = alertmanager.posted(Said("alert.resolved", AT, over), AT + timedelta(seconds=1))
    assert posted["endsAt"] == "2026-11-30T09:00:00.000Z"
