"""A job's trace leads from the request through the ledger to its checkpoints, whichever processes told of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from invoicing.app.web import create_app
from invoicing.customers import service as customers
from invoicing.customers.model import Role
from invoicing.jobs.tracing import Traces, close, traces_of
from invoicing.kit.db import transaction
from invoicing.kit.ids import new_id
from invoicing.settings import Settings
from workers.dispatcher import Dispatcher
from workers.lane_worker import LaneWorker
from workers.messages import Surroundings
from workers.nursery import Nursery

from ..outbox.receiver import Receiver, receiving
from . import station
from .crew import Crew, until

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass(frozen=True)
class Told:
    """A span as the receiver read it."""

    service: str
    span: Span

    @property
    def about(self) -> Mapping[str, str]:
        return {each.key: each.value.string_value or str(each.value.int_value) for each in self.span.attributes}


def told_to(receiver: Receiver) -> list[Told]:
    """Read everything that was sent, as a collector does."""
    found = []
    for got in receiver.got:
        assert (got.path, got.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        for resource in ExportTraceServiceRequest.FromString(got.body).resource_spans:
            (service,) = (
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            )
            found += [Told(service, span) for scope in resource.scope_spans for span in scope.spans]
    return found


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        yield receiver


def traces(role: str) -> Traces:
    told = traces_of(role, 1.0)
    assert told is not None
    return told


async def test_from_the_request_to_the_checkpoints(crew: Crew, receiver: Receiver) -> None:
    await crew.stop(crew.leader)
    telling = [traces("dispatcher"), traces("worker")]
    dispatcher = Dispatcher(crew.engine, crew.url, crew.transport, telling[0])
    around = Surroundings(crew.url, drills=True, settings={}, traced=True)
    nursery = Nursery(around, 1, program=(str(station.CHILD),))
    await nursery.start()
    worker = LaneWorker(
        *(new_id(), crew.engine, crew.url, crew.transport, station.KINDS, nursery, 2), traces=telling[1]
    )
    working = asyncio.gather(dispatcher.run(), worker.main())
    fine, broken = await submitted(crew, [{"seconds": 0.01, "chunks": 3}, {"seconds": -0.0, "mode": "fail"}])
    await crew.ended(fine, broken)

    async def all_were_told() -> bool:
        return len([one for one in told_to(receiver) if one.span.name == "attempt"]) == 4

    await until(all_were_told)
    for each in (dispatcher, worker):
        each.stop()
    await asyncio.wait_for(working, 20)
    await nursery.close()
    for told in telling:
        await close(told)

    spans = [one for one in told_to(receiver) if one.span.trace_id == fine.bytes]
    request, release, attempt, *checkpoints = in_order(spans)
    assert [one.service for one in (request, release, attempt)] == [
        "invoicing-web", "invoicing-dispatcher", "invoicing-worker"
    ]  # fmt: skip
    assert request.span.parent_span_id == b""
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in request.span.links] == [tuple(CALLER.split("-")[1:3])]
    assert release.span.parent_span_id == request.span.span_id
    assert attempt.span.parent_span_id == release.span.span_id
    assert {one.span.parent_span_id for one in checkpoints} == {attempt.span.span_id}
    assert len({one.span.span_id for one in spans}) == len(spans) == 6
    assert attempt.about == {
        "invoicing.job_id": str(fine), "invoicing.attempt": "1", "invoicing.kind": "drill",
        "invoicing.outcome": "succeeded", "invoicing.cause": "0",
    }  # fmt: skip
    assert attempt.span.start_time_unix_nano <= checkpoints[0].span.start_time_unix_nano
    assert checkpoints[-1].span.end_time_unix_nano <= attempt.span.end_time_unix_nano
    failed = [one for one in told_to(receiver) if one.span.trace_id == broken.bytes and one.span.name == "attempt"]
    assert [one.span.status.code for one in failed] == [Status.STATUS_CODE_ERROR] * 3
    assert all(b"very-private" not in got.body for got in receiver.got)


def in_order(spans: Sequence[Told]) -> list[Told]:
    names = ["request", "release", "attempt", "checkpoint"]
    return sorted(spans, key=lambda one: (names.index(one.span.name), one.span.start_time_unix_nano))


async def submitted(crew: Crew, payloads: Sequence[Mapping[str, Any]]) -> list[UUID]:
    """Have a customer ask a web process that tells of it for drills, in one request and in a batch."""
    async with transaction(crew.engine) as session:
        customer = await customers.add_customer(session, "traced", "Traced AG", 1e6, 1_000_000)
        key = await customers.create_key(session, Role.CUSTOMER, "traced", customer.id)
    app = create_app(Settings(database_url=crew.url, drills=True, traces=1.0))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://web")
    client.headers = httpx.Headers({"Authorization": f"Bearer {key}", "traceparent": CALLER})
    async with app.router.lifespan_context(app), client:
        first, second = ({"kind": "drill", "reference": "very-private", "payload": payload} for payload in payloads)
        for _ in range(2):  # what is asked for twice is told of once
            one = await client.post("/v1/jobs", json=first, headers={"Idempotency-Key": "one"})
            assert one.status_code == 202, one.text
        line = httpx.Request("POST", "http://web", json=second).content
        headers = {"Idempotency-Key": "many", "Content-Type": "application/x-ndjson"}
        many = await client.post("/v1/jobs:batch", content=line, headers=headers)
        assert many.status_code == 200, many.text
        assert "job" in many.json(), many.text
    return [UUID(one.json()["id"]), UUID(many.json()["job"]["id"])]
