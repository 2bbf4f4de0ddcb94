"""Traces cost nothing where they are off, all processes tell of the same jobs, and a caller's header is not trusted."""

import subprocess
import sys

import pytest

from invoicing.jobs.tracing import Traces, span_id, traces_of
from invoicing.kit.ids import new_id


def test_without_traces_nothing_that_tells_them_is_imported() -> None:
    asked = "import sys, workers.main, invoicing.app.web; from invoicing.jobs.tracing import traces_of"
    asked += "; assert traces_of('web', 0.0) is None"
    costly = "('opentelemetry.sdk', 'opentelemetry.exporter', 'google.protobuf')"  # FastAPI takes the API where it is
    told = f"{asked}; print([name for name in sys.modules if name.startswith({costly})])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_where_opentelemetry_is_not_installed_the_process_works_without_traces(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert traces_of("web", 1.0) is None
    assert [getattr(record, "action", "") for record in caplog.records] == ["traces.unavailable"]


def test_every_process_keeps_the_same_share_of_jobs() -> None:
    one, other = Traces("web", 0.25), Traces("worker", 0.25)
    ids = [new_id() for _ in range(4_000)]
    kept = [job_id for job_id in ids if one.tells(job_id)]
    assert kept == [job_id for job_id in ids if other.tells(job_id)]
    assert 800 < len(kept) < 1_200  # seven standard deviations
    for each in (one, other):
        each.close()


def test_a_span_has_the_same_id_everywhere_and_no_other_has_it() -> None:
    job_id = new_id()
    places = [("release", 1), ("release", 2), ("attempt", 1), ("request", 0)]
    assert len({span_id(job_id, *place) for place in places}) == len(places)
    assert span_id(job_id, "attempt", 1) == span_id(job_id, "attempt", 1) < 2**64


@pytest.mark.parametrize(
    ("header", "links"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 1),
        ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", 1),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 0),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", 0),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", 0),
        ("00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01", 0),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", 0),
        ("\u0660\u0660-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 0),
        ("", 0), (None, 0), ("x" * 100_000, 0),
    ],
)  # fmt: skip
def test_a_callers_header_is_a_link_or_nothing(header: str | None, links: int) -> None:
    traces = Traces("web", 1.0)
    assert len(traces._links(header)) == links
    traces.close()
