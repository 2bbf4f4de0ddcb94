"""The shipped requests, from the customer's request to the files that a customer downloads."""

import hashlib
import io
from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree
from pypdf import PdfReader

from invoicing.invoices.model import DocumentType, Syntax
from invoicing.invoices.rules import Judge
from invoicing.invoices.schemas import Schemas
from invoicing.jobs.model import State

pytestmark = pytest.mark.asyncio(loop_scope="module")

_GOOD = ("small", "several-rates", "allowances", "credit-note", "reverse-charge")
_PRECEDING = {
    "invoice.ubl.xml": "string(//*[local-name()='InvoiceDocumentReference']/*[local-name()='ID'])",
    "invoice.cii.xml": "string(//*[local-name()='InvoiceReferencedDocument']/*[local-name()='IssuerAssignedID'])",
}
Example = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize("name", _GOOD)
async def test_a_good_request_is_issued_with_files_that_every_reader_accepts(
    name: str, office: Any, example: Example, judge: Judge, schemas: Schemas
) -> None:
    request = example(name)
    ended = await office.issue(await office.customer(), request)
    payload = request["payload"]
    assert ended.job.state is State.SUCCEEDED, ended.job.error
    assert ended.job.result is not None
    assert ended.job.result["number"] == f"{payload['series']}-000001"
    assert ended.job.result["payable"] == payload["expected"]["payable"]
    assert ended.job.result["currency"] == payload["currency"]
    for syntax, file in ((Syntax.UBL, "invoice.ubl.xml"), (Syntax.CII, "invoice.cii.xml")):
        document = ended.files[file]
        assert ended.number.encode() in document
        assert judge.judge(syntax, document) == []
        assert schemas.check(syntax, DocumentType(payload["type"]), io.BytesIO(document)) == []
    (embedded,) = PdfReader(io.BytesIO(ended.files["invoice.pdf"])).attachments["factur-x.xml"]
    assert embedded == ended.files["invoice.cii.xml"]


async def test_every_file_is_listed_complete_with_the_hash_of_its_bytes(office: Any, example: Example) -> None:
    ended = await office.issue(await office.customer(), example("small"))
    assert set(ended.artifacts) == {"invoice.ubl.xml", "invoice.cii.xml", "invoice.pdf", "invoice.lines.csv"}
    for name, artifact in ended.artifacts.items():
        assert artifact.complete
        assert artifact.bytes == len(ended.files[name])
        assert artifact.sha256 == hashlib.sha256(ended.files[name]).hexdigest()


async def test_a_credit_note_names_the_invoice_that_it_corrects_in_both_syntaxes(office: Any, example: Example) -> None:
    customer = await office.customer()
    first = await office.issue(customer, example("small"))
    request = example("credit-note")
    request["payload"]["preceding_invoice"]["number"] = first.number
    note = await office.issue(customer, request)
    assert note.job.result is not None
    assert note.job.result["type"] == "credit_note"
    for file, place in _PRECEDING.items():
        assert etree.fromstring(note.files[file]).xpath(place) == first.number


@pytest.mark.parametrize("name", ["wrong-total", "wrong-vat-id"])
async def test_a_wrong_request_is_refused_when_it_is_submitted(name: str, office: Any, example: Example) -> None:
    with pytest.raises(AssertionError, match="bad_input"):
        await office.submit(await office.customer(), example(name))


async def test_a_request_that_only_the_official_rules_refuse_ends_dead_with_rule_field_and_remedy(
    office: Any, example: Example
) -> None:
    """Were a rule newer than our own checks, or added by the operator: the customer is told what to correct."""
    request = example("small")
    request["payload"]["lines"][0]["unit"] = "FURLONG"
    ended = await office.issue(await office.customer(), request, checked=False)
    assert ended.job.state is State.DEAD
    assert ended.job.attempt == 1, "a wrong request is not tried again"
    error = ended.job.error
    assert error is not None
    assert (error["code"], error["rule"], error["field"]) == ("bad_input", "BR-CL-23", "/payload/lines/0/unit")
    assert error["remedy"]
    assert ended.files == {}
    assert await office.number_held(ended.job.id) is None


async def test_the_same_request_sent_again_under_its_key_is_one_invoice_and_under_another_key_a_second(
    office: Any, example: Example
) -> None:
    customer, request = await office.customer(), example("small")
    first = await office.submit(customer, request, key="k-1")
    assert await office.submit(customer, request, key="k-1") == first
    second = await office.submit(customer, request, key="k-2")
    numbers = [(await office.finish(job)).number for job in (first, second)]
    assert numbers == ["2026-000001", "2026-000002"]
