"""The requests that the project ships: what they promise is what comes out."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from invoicing.invoices import checks, cii, ubl
from invoicing.invoices.model import Finding, Syntax
from invoicing.invoices.payload import InvoicePayload
from invoicing.invoices.rules import Judge
from invoicing.invoices.schemas import Schemas
from invoicing.invoices.totals import Sums, finish

_FOLDER = Path(__file__).parents[3] / "examples"
_GOOD = ("small", "several-rates", "allowances", "credit-note", "reverse-charge")
_NUMBER = "2026-1"


def _job(name: str) -> dict[str, Any]:
    return dict(json.loads((_FOLDER / f"{name}.json").read_text("utf-8")))


def _findings(name: str) -> list[Finding]:
    payload = InvoicePayload.model_validate(_job(name)["payload"])
    return checks.findings(payload.to_header(), payload.to_lines())


def test_every_example_is_tested() -> None:
    shipped = {path.stem for path in _FOLDER.glob("*.json") if _job(path.stem)["kind"] == "invoice.issue"}
    assert shipped == {*_GOOD, "wrong-total", "wrong-vat-id"}


@pytest.mark.parametrize("name", _GOOD)
def test_a_good_example_is_accepted_and_its_figures_are_ours(name: str) -> None:
    assert _job(name)["payload"]["expected"]["payable"]
    assert _findings(name) == []


@pytest.mark.parametrize("name", _GOOD)
def test_a_good_example_passes_the_official_rules_and_schemas(name: str, judge: Judge, schemas: Schemas) -> None:
    payload = InvoicePayload.model_validate(_job(name)["payload"])
    header, lines = payload.to_header(), payload.to_lines()
    totals = finish(Sums.of(lines), header)
    for syntax, write in ((Syntax.UBL, ubl.document), (Syntax.CII, cii.document)):
        document = write(header, lines, totals, _NUMBER)
        assert judge.judge(syntax, document) == []
        assert schemas.check(syntax, header.type, io.BytesIO(document)) == []


def test_a_wrong_total_is_refused_with_both_figures() -> None:
    (finding,) = _findings("wrong-total")
    assert (finding.rule, finding.field) == ("EXPECTED-TOTAL", "/expected/payable")
    assert "351.06" in finding.message
    assert "351.05" in finding.message


def test_a_vat_id_with_exchanged_digits_is_refused_where_it_stands() -> None:
    (finding,) = _findings("wrong-vat-id")
    assert (finding.rule, finding.field) == ("VAT-ID", "/seller/vat_id")
