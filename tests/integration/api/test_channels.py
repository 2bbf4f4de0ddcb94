"""Channels of ops over HTTP: secrets shown once, tests that say what came, signed acknowledgements from outside."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from invoicing.alerts import service as alerts
from invoicing.alerts.carrying import Alerts
from invoicing.alerts.links import link
from invoicing.alerts.model import Alert, AlertState, said_in
from invoicing.kit.db import transaction, url_of
from invoicing.kit.egress import Egress
from workers.outbox import Relay

from ..alerts.desk import HERE, alert, over
from ..outbox.receiver import receiving, status
from .conftest import Service

PUBLIC = "https://invoicing.example.com"
NOBODYS = "0199a3c2-0000-7000-8000-000000000000"
ROUTING_KEY = "a" * 32
WEBHOOK_SECRET = "s" * 40
WEBHOOK = {"kind": "webhook", "name": "pager", "url": "https://hooks.example.com/in"}
MAIL = {"kind": "mail", "name": "night shift", "address": "oncall@example.com"}
PAGERDUTY = {"kind": "pagerduty", "name": "pd", "routing_key": ROUTING_KEY, "webhook_secret": WEBHOOK_SECRET}
ALERTMANAGER = {"kind": "alertmanager", "name": "am", "url": "https://am.example.com/"}


async def add(service: Service, form: dict[str, Any], key: str | None = None) -> Any:
    return await service.ops.post("/v1/channels", json=form, headers={"Idempotency-Key": key or str(uuid4())})


async def added(service: Service, form: dict[str, Any]) -> dict[str, Any]:
    answer = await add(service, form)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def to_port(service: Service, channel: dict[str, Any], port: int) -> None:
    """Have a channel lead to a receiver of the test."""
    async with transaction(service.engine) as session:
        url = {"url": f"http://127.0.0.1:{port}", "id": channel["id"]}
        await session.execute(text("UPDATE endpoints SET url = :url WHERE id = :id"), url)


@pytest.fixture
async def relay(service: Service) -> AsyncIterator[Relay]:
    carrier = Alerts(Egress(allowed=HERE, patience_s=5), PUBLIC)
    relay = Relay(service.engine, url_of(service.engine), carrier)
    running = asyncio.create_task(relay.run())
    yield relay
    relay.stop()
    await running


async def test_a_channel_is_shown_without_what_is_secret(service: Service) -> None:
    made = [await added(service, form) for form in (ALERTMANAGER, PAGERDUTY, WEBHOOK, MAIL)]
    secrets = [one.pop("secret") for one in made]
    assert [secret is not None for secret in secrets] == [False, False, True, False]
    assert [one["target"] for one in made] == [
        "https://am.example.com",
        "https://events.pagerduty.com/v2/enqueue",
        "https://hooks.example.com/in",
        "mailto:oncall@example.com",
    ]
    assert [one["acknowledges"] for one in made] == [False, True, False, False]
    listed = await service.ops.get("/v1/channels")
    assert listed.json() == {"items": made, "next_page_token": None}
    one = await service.admin.get(f"/v1/channels/{made[1]['id']}")
    for seen in (listed.text, one.text):
        assert not any(secret in seen for secret in (ROUTING_KEY, WEBHOOK_SECRET, "whsec_"))
    async with service.engine.connect() as session:
        acts = (
            await session.execute(text("SELECT act, data::text FROM audit_entries WHERE act LIKE 'channel%'"))
        ).all()
    assert [act for act, _ in acts] == ["channel.added"] * 4
    assert ROUTING_KEY not in str(acts)


async def test_the_same_request_makes_one_channel_and_a_name_is_taken_once(service: Service) -> None:
    first, again = await add(service, WEBHOOK, "mine"), await add(service, WEBHOOK, "mine")
    assert (again.json()["id"], again.json()["secret"]) == (first.json()["id"], None)
    assert again.headers["idempotency-replayed"] == "true"
    other = await add(service, {**WEBHOOK, "name": "other"}, "mine")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    taken = await add(service, WEBHOOK)
    assert (taken.status_code, taken.json()["field"]) == (409, "/name")
    assert (await service.ops.delete(first.headers["location"])).status_code == 204
    assert (await add(service, WEBHOOK, "mine")).status_code == 410
    assert (await add(service, WEBHOOK)).status_code == 201


REFUSED = [
    ({**WEBHOOK, "url": "http://127.0.0.1/"}, "/url"),
    ({**ALERTMANAGER, "url": "https://10.0.0.1:9093"}, "/url"),
    ({**PAGERDUTY, "url": "https://169.254.169.254/"}, "/url"),
    ({**PAGERDUTY, "routing_key": "short"}, "/routing_key"),
    ({**PAGERDUTY, "webhook_secret": "short"}, "/webhook_secret"),
    ({**WEBHOOK, "routing_key": ROUTING_KEY}, "/routing_key"),
    ({**MAIL, "address": "a@b\r\nBcc: c@example.com"}, "/address"),
    ({"kind": "mail", "name": "x"}, "/address"),
    ({**MAIL, "least_severity": "S5"}, "/least_severity"),
    ({**MAIL, "name": "a\nb"}, "/name"),
    ({**MAIL, "kind": "fax"}, "/kind"),
]


async def test_what_a_kind_cannot_use_is_refused_by_name(service: Service) -> None:
    answers = [(await add(service, form), field) for form, field in REFUSED]
    assert [(answer.status_code, answer.json()["field"]) for answer, _ in answers] == [
        (422, field) for _, field in REFUSED
    ]
    assert (await service.ops.get("/v1/channels")).json()["items"] == []


async def test_nobody_but_ops_sees_channels(service: Service) -> None:
    one = await added(service, WEBHOOK)
    path = f"/v1/channels/{one['id']}"
    calls = [
        ("GET", "/v1/channels"),
        ("GET", path),
        ("DELETE", path),
        ("POST", f"{path}:test"),
        ("POST", f"{path}:trust"),
    ]
    calls += [("GET", f"{path}/deliveries"), ("POST", f"{path}/deliveries/{NOBODYS}:resend"), ("POST", "/v1/channels")]
    for who in (service.acme, service.support):
        assert {(await who.request(method, address)).status_code for method, address in calls} == {403}
    for method, address in calls[1:-1]:
        strange = await service.ops.request(
            method, address.replace(one["id"], NOBODYS), json={"webhook_secret": WEBHOOK_SECRET}
        )
        assert strange.status_code == 404
    assert (await service.acme.get("/v1/webhooks")).json()["items"] == []
    as_webhook = await service.acme.post(f"/v1/webhooks/{one['id']}:test")
    assert as_webhook.status_code == 404


@pytest.mark.usefixtures("relay")
async def test_a_test_says_what_came(service: Service) -> None:
    async with receiving(status(202)) as receiver:
        one = await added(service, PAGERDUTY)
        await to_port(service, one, receiver.port)
        tried = (await service.ops.post(f"/v1/channels/{one['id']}:test")).json()
        assert tried["arrived"], tried
        assert [got.json["event_action"] for got in receiver.got] == ["trigger", "resolve"]
        assert [each["attempts"][0]["status"] for each in tried["deliveries"]] == [202, 202]
        receiver.answer = status(400)
        refused = (await service.ops.post(f"/v1/channels/{one['id']}:test")).json()
        assert (refused["arrived"], refused["deliveries"][0]["state"]) == (False, "dead")
        assert refused["deliveries"][0]["attempts"][0]["explanation"] == "It refused the message as wrong (400)."
        listed = (await service.ops.get(f"/v1/channels/{one['id']}/deliveries?state=dead")).json()
        assert refused["deliveries"][0]["id"] in [each["id"] for each in listed["items"]]
        receiver.answer = status(202)
        last = (await service.ops.get(f"/v1/channels/{one['id']}/deliveries?page_size=1")).json()["items"][0]
        count = len(receiver.got)
        resent = await service.ops.post(f"/v1/channels/{one['id']}/deliveries/{last['id']}:resend")
        assert resent.status_code == 202
        await receiver.wait_for(count + 1)


async def test_a_test_that_nobody_sends_says_so_and_not_that_it_arrived(service: Service) -> None:
    one = await added(service, WEBHOOK)
    tried = await service.ops.post(f"/v1/channels/{one['id']}:test", headers={"Prefer": "wait=0"})
    assert (tried.json()["arrived"], tried.json()["deliveries"][0]["attempts"]) == (False, [])


async def written_link(service: Service, one: Any, channel: dict[str, Any]) -> str:
    """Give the path of the link that a channel is sent."""
    async with service.engine.connect() as session:
        secret = await alerts.link_secret(session, UUID(channel["id"]))
        query = text("SELECT body FROM messages WHERE endpoint_id = :id ORDER BY id DESC LIMIT 1")
        body = (await session.execute(query, {"id": channel["id"]})).scalar_one()
    assert secret is not None
    url = link(PUBLIC, said_in(body), UUID(channel["id"]), secret)
    assert url is not None
    assert url.startswith(f"{PUBLIC}/v1/alerts/{one.incident_id}/acknowledgement?")
    return url.removeprefix(PUBLIC)


async def state_of(service: Service, incident_id: UUID) -> tuple[AlertState, str]:
    async with service.engine.connect() as session:
        found = await alerts.last_announced(session, incident_id)
        query = text("SELECT acknowledged_by FROM incidents WHERE id = :id")
        by = await session.scalar(query, {"id": incident_id})
    assert found is not None
    return found.state, by or ""


async def stands(service: Service, one: Alert) -> None:
    """Have an alert be of an incident."""
    statement = text(
        "INSERT INTO incidents (id, cause, scope, state, severity, since, opened_at, revision) "
        "VALUES (:id, 'no_worker', 'lane:normal-small', 'open', 'S2', now(), now(), 1)"
    )
    async with transaction(service.engine) as session:
        await session.execute(statement, {"id": one.incident_id})
        await alerts.announce(session, one)


async def test_a_link_acknowledges_when_the_button_is_pressed_and_not_when_it_is_looked_at(service: Service) -> None:
    channel = await added(service, MAIL)
    one = alert(title="<script>alert(1)</script>")
    await stands(service, one)
    path = await written_link(service, one, channel)
    browser: dict[str, Any] = {"headers": {"Accept": "text/html", "Authorization": ""}}
    looked = await service.ops.get(path, **browser)
    assert looked.status_code == 200
    assert "<script>" not in looked.text
    assert "default-src 'none'" in looked.headers["content-security-policy"]
    assert (await state_of(service, one.incident_id))[0] is AlertState.OPEN
    pressed = await service.ops.post(path, **browser)
    assert "Acknowledged." in pressed.text
    state, by = await state_of(service, one.incident_id)
    assert (state, "oncall@example.com" in by) == (AlertState.ACKNOWLEDGED, True)
    again = await service.ops.post(path, headers={"Authorization": ""})
    assert again.json() == {"incident_id": str(one.incident_id), "acknowledged": True}
    assert "already" in (await service.ops.get(path, **browser)).text


async def test_whoever_is_called_acknowledges_by_a_link_of_their_own_and_has_no_channel(service: Service) -> None:
    one = alert()
    await stands(service, one)
    async with transaction(service.engine) as session:
        for _ in range(2):
            await alerts.call(session, one, "ann@example.com")
        query = text("SELECT e.id::text FROM endpoints e JOIN messages m ON m.endpoint_id = e.id")
        (mailbox,) = await session.scalars(query)
    path = await written_link(service, one, {"id": mailbox})
    assert (await service.ops.get("/v1/channels")).json()["items"] == []
    assert (await service.ops.get(f"/v1/channels/{mailbox}")).status_code == 404
    assert (await service.ops.post(path, headers={"Authorization": ""})).json()["acknowledged"]
    state, by = await state_of(service, one.incident_id)
    assert (state, "ann@example.com" in by) == (AlertState.ACKNOWLEDGED, True)


async def test_a_link_that_is_not_ours_is_over_or_of_another_acknowledges_nothing(service: Service) -> None:
    channel, other = await added(service, MAIL), await added(service, {**MAIL, "name": "day shift"})
    one, two = alert(), alert()
    async with transaction(service.engine) as session:
        await alerts.announce(session, two)
        await alerts.announce(session, one)
    path = await written_link(service, one, channel)
    split = urlsplit(path)
    query = dict(parse_qsl(split.query))
    wrong = [{**query, "signature": "0" * 48}, {**query, "until": str(int(query["until"]) + 1)}]
    wrong += [{**query, "channel": other["id"]}, {**query, "channel": NOBODYS}, {}, {**query, "until": "x"}]
    for changed in wrong:
        assert (await service.ops.post(split.path, params=changed)).status_code == 404
    elsewhere = split.path.replace(str(one.incident_id), str(two.incident_id))
    assert (await service.ops.post(elsewhere, params=query)).status_code == 404
    await service.ops.delete(f"/v1/channels/{channel['id']}")
    assert (await service.ops.post(path)).status_code == 404
    assert [(await state_of(service, each.incident_id))[0] for each in (one, two)] == [AlertState.OPEN] * 2


def heard(incident: str, kind: str = "incident.acknowledged") -> bytes:
    """Write what PagerDuty sends (webhooks V3, as its documentation shows it)."""
    agent = {
        "id": "PLH1HKV",
        "type": "user_reference",
        "summary": "Tenex Engineer",
        "html_url": "https://x",
        "self": "y",
    }
    data = {"id": "PGR0VU2", "type": "incident", "number": 2, "status": "acknowledged", "incident_key": incident}
    event = {"id": "01ABC", "event_type": kind, "resource_type": "incident", "occurred_at": "2026-11-30T08:00:00Z"}
    return json.dumps({"event": {**event, "agent": agent, "client": None, "data": data}}).encode()


def signed(body: bytes, secret: str = WEBHOOK_SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-PagerDuty-Signature": f"v1={'0' * 64},v1={digest}", "Authorization": ""}


async def test_acknowledging_in_pagerduty_comes_back_if_pagerduty_signed_it(service: Service) -> None:
    channel, mails = await added(service, {**PAGERDUTY, "webhook_secret": "before" * 6}), await added(service, MAIL)
    secret = {"webhook_secret": WEBHOOK_SECRET}
    assert (await service.ops.post(f"/v1/channels/{channel['id']}:trust", json=secret)).json()["acknowledges"]
    assert (await service.ops.post(f"/v1/channels/{mails['id']}:trust", json=secret)).status_code == 409
    one = alert()
    await stands(service, one)
    path, body = f"/v1/channels/{channel['id']}/pagerduty", heard(str(one.incident_id))
    forged = await service.ops.post(path, content=body, headers=signed(body, "another secret"))
    assert (forged.status_code, forged.json()["code"]) == (403, "forbidden")
    changed = await service.ops.post(path, content=body + b" ", headers=signed(body))
    assert changed.status_code == 403
    strange = await service.ops.post(path.replace(channel["id"], mails["id"]), content=body, headers=signed(body))
    assert strange.status_code == 404
    for harmless in (b"[]", b"{", b'{"event": 1}', heard("nothing"), heard(NOBODYS), heard(str(one.incident_id), "x")):
        assert (await service.ops.post(path, content=harmless, headers=signed(harmless))).status_code == 204
    assert (await state_of(service, one.incident_id))[0] is AlertState.OPEN
    assert (await service.ops.post(path, content=body, headers=signed(body))).status_code == 204
    state, by = await state_of(service, one.incident_id)
    assert (state, "Tenex Engineer in PagerDuty" in by) == (AlertState.ACKNOWLEDGED, True)
    assert (await service.ops.post(path, content=body, headers=signed(body))).status_code == 204
    async with transaction(service.engine) as session:
        query = text("SELECT seq FROM messages WHERE endpoint_id = :id ORDER BY seq")
        told = (await session.execute(query, {"id": mails["id"]})).scalars().all()
        assert told == [1, 2], "to say it twice makes no second news of it"
        await alerts.announce(session, over(over(one)))
    late = await service.ops.post(path, content=body, headers=signed(body))
    assert late.status_code == 204
    assert (await state_of(service, one.incident_id))[0] is AlertState.RESOLVED
