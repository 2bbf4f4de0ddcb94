"""What each receiver is sent, held against what its documentation demands."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jsonschema_rs
import pytest

from invoicing.alerts import alertmanager, pagerduty
from invoicing.alerts.letters import letter_of
from invoicing.alerts.model import EVENTS, TEST, Alert, AlertState, Said, Severity, body_of, data_of, said_in, trial
from invoicing.outbox.model import Channel, Errand

from .documented import EVENTS_V2, POSTABLE

AT = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
KEY = "a" * 32
ALERT = Alert(
    UUID(int=1), "no_worker:normal-small", "no_worker", "normal-small", Severity.S1, AlertState.OPEN, "No worker",
    "41 jobs wait.", AT - timedelta(minutes=3), None, 41, 3, "https://example.com/operations#no_worker",
    AT + timedelta(hours=1), 1, {"lane": "normal-small", "2nd-host": "b", "empty": ""},
)  # fmt: skip
ERRAND = Errand(
    UUID(int=7), 1, 1, UUID(int=8), "alert.open", "mailto:oncall@example.com", "", ["whsec_c2VjcmV0"],
    timedelta(days=3), probing=False, channel=Channel.ALERT_MAIL,
)  # fmt: skip


def said(alert: Alert = ALERT, *earlier: Severity) -> Said:
    return Said(EVENTS[alert.state], AT, alert, earlier)


def valid(schema: dict[str, Any], document: object) -> None:
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(document)


STATES = [replace(ALERT, state=state, ended_at=AT if state is AlertState.RESOLVED else None) for state in AlertState]
ODD = replace(
    ALERT, title="x" * 5_000, summary="y" * 100_000, runbook="docs/operations.md#no_worker", labels={"ü": "ü"}
)


@pytest.mark.parametrize("alert", [*STATES, ODD, *(replace(ALERT, severity=each) for each in Severity)])
@pytest.mark.parametrize("public", [None, "https://invoicing.example.com"])
def test_every_request_is_as_its_receiver_documents_it(alert: Alert, public: str | None) -> None:
    valid(EVENTS_V2, pagerduty.event_of(said(alert), KEY, public))
    valid(POSTABLE, alertmanager.posted(said(alert, Severity.S3), AT, public))


def test_pagerduty_opens_takes_and_closes_one_incident() -> None:
    events = [pagerduty.event_of(said(alert), KEY) for alert in STATES]
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in events} == {str(ALERT.incident_id)}
    assert events[0]["payload"]["severity"] == "critical"
    assert events[0]["links"] == [{"href": ALERT.runbook, "text": "What to do"}]


def test_an_alert_never_begins_after_its_end_and_an_end_is_never_in_the_future() -> None:
    for ended_at in (ALERT.since - timedelta(seconds=5), AT - timedelta(seconds=5), AT + timedelta(minutes=5), None):
        over = replace(ALERT, state=AlertState.RESOLVED, ended_at=ended_at)
        (posted,) = alertmanager.posted(said(over), AT)
        ends = datetime.fromisoformat(posted["endsAt"])
        assert datetime.fromisoformat(posted["startsAt"]) <= ends <= AT


def test_what_an_alert_is_called_does_not_change_with_what_is_said_of_it() -> None:
    changed = replace(ALERT, state=AlertState.ACKNOWLEDGED, jobs=7, title="other", estimate=None, revision=9)
    one, other = (alertmanager.posted(said(each), AT)[0]["labels"] for each in (ALERT, changed))
    assert one == other
    assert one["_2nd_host"] == "b"
    assert "empty" not in one


def test_a_message_says_the_same_when_it_is_read_back() -> None:
    body = body_of("alert.open", AT, data_of(ALERT, [Severity.S3]))
    assert said_in(body) == said(ALERT, Severity.S3)
    test = trial(UUID(int=3), AT, "night shift")
    assert said_in(body_of(TEST, AT, data_of(test))).tests


def test_a_mail_is_the_same_each_time_and_nothing_in_an_alert_makes_a_header_of_it() -> None:
    evil = replace(ALERT, title="a\r\nBcc: victim@example.org", scope="b\r\n\r\nc")
    errand = replace(ERRAND, body=body_of("alert.open", AT, data_of(evil)))
    public = "https://invoicing.example.com"
    letter = letter_of(errand, "Invoices <invoices@example.com>", "oncall@example.com", public)
    assert bytes(letter) == bytes(letter_of(errand, "Invoices <invoices@example.com>", "oncall@example.com", public))
    assert letter["Bcc"] is None
    assert letter["Subject"] == "[S1] a Bcc: victim@example.org"
    text = letter.get_content()
    assert "Touched: 41 jobs of 3 customers\nSince: 2026-11-30 08:57 UTC\n" in text
    assert "Expected to end: 2026-11-30 10:00 UTC\n" in text
    assert re.search(rf"(?m)^Acknowledge: {public}/v1/alerts/{ALERT.incident_id}/acknowledgement\?channel=\S+$", text)
    silent = letter_of(errand, "invoices@example.com", "oncall@example.com").get_content()
    assert "http" not in silent.replace(ALERT.runbook, ""), "without a public name there is no link to send"
