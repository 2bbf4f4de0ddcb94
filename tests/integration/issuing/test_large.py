"""A large invoice is made in chunks: stopped or killed anywhere and resumed, it is the same to the last byte."""

import asyncio
import io
import json
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from lxml import etree

from invoicing.invoices.model import DocumentType, Syntax
from invoicing.invoices.rules import Judge
from invoicing.invoices.schemas import Schemas
from invoicing.jobs.model import Event, State
from invoicing.jobs.store import read

pytestmark = pytest.mark.asyncio(loop_scope="module")

_LINES, _CHUNKS = 1_000, 4
_DETAIL = "invoice.lines.csv"


@pytest.fixture(scope="module")
def request_of_bills(bills: Callable[[int], bytes]) -> bytes:
    return bills(_LINES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(office: Any, request_of_bills: bytes) -> Any:
    ended = await office.issue(await office.customer(), request_of_bills)
    assert ended.job.state is State.SUCCEEDED, ended.job.error
    return ended


@pytest_asyncio.fixture(loop_scope="module")
async def job(office: Any, request_of_bills: bytes) -> Any:
    """Submit the same request for another customer, under whom it gets the same number."""
    return await office.submit(await office.customer(), request_of_bills)


async def _progress_told(office: Any, job: Any) -> list[float]:
    async with office.engine.connect() as session:
        entries = await read.entries(session, job, after=0, limit=1_000)
    return [entry.data["done"] for entry in entries if entry.event is Event.PROGRESSED]


async def test_a_large_invoice_is_judged_valid_as_a_whole_and_holds_every_line(
    undisturbed: Any, request_of_bills: bytes, judge: Judge, schemas: Schemas
) -> None:
    """It was judged in pieces; here the official rules see all of it at once."""
    for syntax, file in ((Syntax.UBL, "invoice.ubl.xml"), (Syntax.CII, "invoice.cii.xml")):
        document = undisturbed.files[file]
        assert judge.judge(syntax, document) == []
        assert schemas.check(syntax, DocumentType.INVOICE, io.BytesIO(document)) == []
    payload = json.loads(request_of_bills)["payload"]
    ids = etree.fromstring(undisturbed.files["invoice.ubl.xml"]).xpath(
        "//*[local-name()='InvoiceLine']/*[local-name()='ID']/text()"
    )
    assert ids == [line["id"] for line in payload["lines"]]
    assert undisturbed.files[_DETAIL].count(b"\r\n") == 1 + _LINES
    assert undisturbed.job.result["payable"] == payload["expected"]["payable"]
    assert undisturbed.job.result["lines"] == _LINES


async def test_progress_is_told_after_every_chunk(office: Any, undisturbed: Any) -> None:
    assert await _progress_told(office, undisturbed.job.id) == [300, 600, 900, 1_000]
    assert (undisturbed.job.progress.total, undisturbed.job.progress.unit) == (_LINES, "lines")


async def test_killed_after_every_chunk_and_resumed_by_another_worker_it_is_the_same(
    office: Any, undisturbed: Any, job: Any
) -> None:
    for made in range(1, _CHUNKS + 1):
        attempt = await office.start(job)
        await office.until_chunks(job, made)
        await office.lose_worker(job)
        await attempt
    ended = await office.finish(job)
    assert ended.job.attempt == _CHUNKS + 1
    assert ended.files == undisturbed.files
    assert await _progress_told(office, job) == [300, 600, 900, 1_000], "no chunk was made twice, none was skipped"


async def test_killed_at_any_instant_and_tried_again_it_is_the_same(office: Any, undisturbed: Any, job: Any) -> None:
    draw = random.Random(1)
    for _ in range(3):  # an attempt fewer than the kind allows
        attempt = await office.start(job)
        await office.child_at(job)
        await asyncio.sleep(draw.uniform(0, 2))
        if attempt.done():  # a quick machine has issued it by then
            break
        await office.kill(job)
        await attempt
    ended = await office.finish(job)
    assert ended.files == undisturbed.files
    progress = await _progress_told(office, job)
    assert progress == sorted(progress)


async def test_told_to_stop_it_stops_at_the_next_chunk_and_goes_on_from_there(
    office: Any, undisturbed: Any, job: Any
) -> None:
    for why in ("yield", "drain"):
        before = await office.chunks(job)
        attempt = await office.start(job)
        await office.child_at(job)
        office.stop(job, why)
        await attempt
        stopped = await office.job(job)
        assert (stopped.state, stopped.failures) == (State.QUEUED, 0)
        assert await office.chunks(job) == before + 1
    ended = await office.finish(job)
    assert ended.files == undisturbed.files


async def test_the_lines_that_are_finished_can_be_read_while_the_rest_is_made(
    office: Any, undisturbed: Any, job: Any
) -> None:
    attempt = await office.start(job)
    await office.child_at(job)
    office.stop(job, "yield")
    await attempt
    unfinished = await office.ended(job)
    assert not unfinished.artifacts[_DETAIL].complete
    assert undisturbed.files[_DETAIL].startswith(unfinished.files[_DETAIL])
    assert unfinished.files[_DETAIL].count(b"\r\n") == 1 + 300


async def test_a_fault_in_the_third_part_is_named_by_its_place_in_the_whole_request(
    office: Any, request_of_bills: bytes
) -> None:
    request = json.loads(request_of_bills)
    request["payload"]["lines"][777]["unit"] = "FURLONG"
    ended = await office.issue(await office.customer(), json.dumps(request).encode(), checked=False)
    assert ended.job.state is State.DEAD
    error = ended.job.error
    assert (error["code"], error["rule"], error["field"]) == ("bad_input", "BR-CL-23", "/payload/lines/777/unit")
    assert "recommendation 20" in error["remedy"]
    assert all(finding["field"].startswith("/payload/lines/777") for finding in error["findings"])
    assert await office.number_held(ended.job.id) is None
    assert not any(artifact.complete for artifact in ended.artifacts.values())


async def test_figures_that_only_the_whole_shows_to_be_wrong_never_get_a_number(
    office: Any, request_of_bills: bytes
) -> None:
    """The books of the customer say otherwise: checked at submission over all parts."""
    request = json.loads(request_of_bills)
    expected = request["payload"]["expected"]
    expected["payable"] = str(Decimal(expected["payable"]) + Decimal("0.01"))
    with pytest.raises(AssertionError, match="/payload/expected/payable"):
        await office.submit(await office.customer(), json.dumps(request).encode())
