"""The trace of a job as OpenTelemetry has it: request, release, attempt and checkpoints are the spans of one trace.

A trace has the id of its job, and the id of a span follows from what it tells of. Each process knows both without being
told, so nothing is kept or carried for them (docs/decisions/0028-metrics-and-traces.md). Without traces nothing of
OpenTelemetry is imported.
"""

import asyncio
import hashlib
import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from invoicing.jobs.model import Claim, NewJob

log = logging.getLogger(__name__)

CALLER = "traceparent"
"""The header in which a caller names its own span (W3C Trace Context, section 3.2)."""

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?", re.ASCII)
_RANDOM_BITS = 56
_RANDOM = (1 << _RANDOM_BITS) - 1
"""The last bits of a trace's id are random, and tell all alike whether it is one of the share that is kept (W3C Trace
Context Level 2, section 2.2.6); an id of a job has 62."""

_CLOSED_WITHIN_S = 3.0

Attributes = Mapping[str, str | int | float]


def traces_of(role: str, share: float) -> "Traces | None":
    """Begin to tell of a share of all jobs; None where that is none, or OpenTelemetry is not installed."""
    if share <= 0:
        return None
    try:
        return Traces(role, share)
    except ImportError as error:
        log.warning("no traces, install invoicing[otel]: %s", error, extra={"action": "traces.unavailable"})
        return None


async def close(traces: "Traces | None") -> None:
    """Send what was not sent yet, where anything is told."""
    if traces is not None:
        await asyncio.to_thread(traces.close)


class Traces:
    """Tells of jobs over OTLP/HTTP, from a thread of its own; all settings beside the share are OpenTelemetry's own."""

    def __init__(self, role: str, share: float) -> None:
        """Tell as a process of some role."""
        from opentelemetry import trace  # noqa: PLC0415 - off, it costs nothing
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - see above
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - see above
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - see above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - see above
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415 - see above

        self._api = trace
        self._below = int(share * (1 << _RANDOM_BITS))
        self._ids = _Ids()
        resource = Resource.create({"service.name": f"invoicing-{role}"})
        self._provider = TracerProvider(
            ALWAYS_ON,
            resource,
            id_generator=self._ids,  # type: ignore[arg-type]  # one in all but its base, which may not be there
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("invoicing")

    def close(self) -> None:
        """Send what was not sent yet; a receiver that does not answer is not waited for."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(_CLOSED_WITHIN_S)

    def tells(self, job_id: UUID) -> bool:
        """Tell whether a job is of the share that is told of, in every process alike."""
        return job_id.int & _RANDOM < self._below

    def request(self, new: NewJob, began_ns: int, caller: str | None) -> None:
        """Tell that a job was accepted; the span of whoever asked for it is linked, not continued."""
        about = {"invoicing.kind": new.kind, "invoicing.priority": new.priority, "invoicing.size": new.size}
        self._tell("request", new.id, 0, None, began_ns, about, links=self._links(caller))

    def release(self, job_id: UUID, attempt: int, lane: tuple[str, str], began_ns: int) -> None:
        """Tell that a job was put on the runway for an attempt."""
        about = {"invoicing.priority": lane[0], "invoicing.size": lane[1]}
        self._tell("release", job_id, attempt, ("request", 0), began_ns, about)

    def attempt(self, claim: Claim, began_ns: int, outcome: str, cause: str) -> None:
        """Tell how an attempt ended."""
        about = {"invoicing.kind": claim.kind, "invoicing.outcome": outcome, "invoicing.cause": cause}
        above, failed = ("release", claim.attempt), outcome in {"failed", "rejected"}
        self._tell("attempt", claim.id, claim.attempt, above, began_ns, about, failed=failed)

    def checkpoint(self, job_id: UUID, attempt: int, number: int, began_ns: int, ended_ns: int) -> None:
        """Tell that an attempt kept what it had done."""
        above = ("attempt", attempt)
        self._tell(f"checkpoint {number}", job_id, attempt, above, began_ns, {}, ended_ns, name="checkpoint")

    def _tell(
        self,
        what: str,
        job_id: UUID,
        attempt: int,
        above: tuple[str, int] | None,
        began_ns: int,
        about: Attributes,
        ended_ns: int | None = None,
        *,
        name: str | None = None,
        links: Any = (),  # noqa: ANN401 - of a library that may not be there
        failed: bool = False,
    ) -> None:
        if not self.tells(job_id):
            return
        self._ids.trace_id, self._ids.span_id = job_id.int, span_id(job_id, what, attempt)
        span = self._tracer.start_span(
            name or what,
            context=self._context(job_id, above),
            attributes={**about, "invoicing.job_id": str(job_id), "invoicing.attempt": attempt},
            links=links,
            start_time=began_ns,
        )
        if failed:
            span.set_status(self._api.StatusCode.ERROR)
        span.end(time.time_ns() if ended_ns is None else ended_ns)

    def _context(self, job_id: UUID, above: tuple[str, int] | None) -> Any:  # noqa: ANN401 - see above
        """Stand under a span that perhaps another process tells of."""
        span = self._api.INVALID_SPAN if above is None else self._elsewhere(job_id.int, span_id(job_id, *above))
        return self._api.set_span_in_context(span)

    def _links(self, caller: str | None) -> Any:  # noqa: ANN401 - see above
        match = None if caller is None else _PARENT.fullmatch(caller)
        if match is None:
            return ()
        span = self._elsewhere(int(match[1], 16), int(match[2], 16))
        return (self._api.Link(span.get_span_context()),)

    def _elsewhere(self, trace_id: int, of_span: int) -> Any:  # noqa: ANN401 - see above
        flags = self._api.TraceFlags(self._api.TraceFlags.SAMPLED)
        context = self._api.SpanContext(trace_id, of_span, is_remote=True, trace_flags=flags)
        return self._api.NonRecordingSpan(context)


class _Ids:
    """Gives the ids that were set for the next span: all of them are begun by one thread."""

    trace_id = 0
    span_id = 0

    def generate_trace_id(self) -> int:
        """Give the one of the job."""
        return self.trace_id

    def generate_span_id(self) -> int:
        """Give the one of what is told."""
        return self.span_id

    def is_trace_id_random(self) -> bool:
        """Say that the last bits are."""
        return True


def span_id(job_id: UUID, what: str, attempt: int) -> int:
    """Give the id of the span that tells of something about a job: the same in each process."""
    told = hashlib.blake2b(f"{job_id}:{what}:{attempt}".encode(), digest_size=8)
    return int.from_bytes(told.digest(), "big") or 1
