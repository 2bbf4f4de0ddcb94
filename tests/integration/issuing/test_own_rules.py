"""An operator's own rules judge beside the official ones, and their versions are kept with the invoice."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from invoicing.invoices.tables import invoices
from invoicing.jobs.model import State

pytestmark = pytest.mark.asyncio(loop_scope="module")

_RULE = """<xsl:stylesheet version="2.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:svrl="http://purl.oclc.org/dsdl/svrl"
    xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">
  <xsl:template match="/">
    <svrl:schematron-output>
      <xsl:if test="//cbc:Note[contains(., 'forbidden')]">
        <svrl:failed-assert id="HOUSE-1" flag="warning" location="/*:Invoice">
          <svrl:text>[HOUSE-1] No note says what is forbidden.</svrl:text>
        </svrl:failed-assert>
      </xsl:if>
    </svrl:schematron-output>
  </xsl:template>
</xsl:stylesheet>
"""


@pytest.fixture(scope="module")
def kind_settings(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    folder: Path = tmp_path_factory.mktemp("rules")
    (folder / "ubl").mkdir()
    (folder / "ubl" / "house.xslt").write_text(_RULE, "utf-8")
    return {"rules_dir": str(folder)}


async def test_an_invoice_that_keeps_them_is_issued_and_says_which_rules_judged_it(
    office: Any, example: Callable[[str], dict[str, Any]]
) -> None:
    ended = await office.issue(await office.customer(), example("small"))
    assert ended.job.state is State.SUCCEEDED, ended.job.error
    async with office.engine.connect() as session:
        rules = await session.scalar(select(invoices.c.rules).where(invoices.c.job_id == ended.job.id))
    assert rules["house.xslt"] == hashlib.sha256(_RULE.encode()).hexdigest()
    assert len(rules) == 3


@pytest.mark.parametrize("lines", [1, 301])
async def test_an_invoice_that_breaks_one_is_not_issued_even_if_it_is_but_a_warning(
    lines: int, office: Any, example: Callable[[str], dict[str, Any]]
) -> None:
    request = example("small")
    payload = request["payload"]
    payload["notes"] = ["This is forbidden."]
    payload["lines"] = [{**payload["lines"][0], "id": str(place)} for place in range(lines)]
    payload.pop("expected")
    ended = await office.issue(await office.customer(), request)
    assert ended.job.state is State.DEAD
    assert (ended.job.error["code"], ended.job.error["rule"]) == ("bad_input", "HOUSE-1")
    assert "No note says" in ended.job.error["message"]
    assert await office.number_held(ended.job.id) is None
