"""The code lists that EN 16931 admits (currencies, countries, units, ...), taken from the official rules themselves."""

import re
from functools import cache
from typing import Final

from invoicing.invoices.official import official_folder

CURRENCY: Final = "BR-CL-04"
COUNTRY: Final = "BR-CL-14"
ORIGIN_COUNTRY: Final = "BR-CL-15"
PAYMENT_MEANS: Final = "BR-CL-16"
ALLOWANCE_REASON: Final = "BR-CL-19"
CHARGE_REASON: Final = "BR-CL-20"
ITEM_SCHEME: Final = "BR-CL-21"
EXEMPTION: Final = "BR-CL-22"
UNIT: Final = "BR-CL-23"
MEDIA_TYPE: Final = "BR-CL-24"
ADDRESS_SCHEME: Final = "BR-CL-25"
CLASSIFICATION_LIST: Final = "BR-CL-13"
OBJECT_SCHEME: Final = "BR-CL-07"
PARTY_SCHEME: Final = "BR-CL-10"
LEGAL_SCHEME: Final = "BR-CL-11"

_ASSERTION: Final = re.compile(
    r'<svrl:failed-assert test="([^"]*)">\s*<xsl:attribute name="id">(BR-CL-\d\d)</xsl:attribute>'
)
_SPACED: Final = re.compile(r"contains\(\s*' ([^']+) '")
_QUOTED: Final = re.compile(r"@mimeCode = '([^']+)'")


@cache
def admitted() -> dict[str, frozenset[str]]:
    """Give, by the rule that holds it, each list of codes; read once in about 20 ms."""
    written = (official_folder() / "ubl-2.1" / "EN16931-UBL-validation.xslt").read_text("utf-8")
    lists: dict[str, frozenset[str]] = {}
    for test, rule in _ASSERTION.findall(written):
        codes = {code for found in _SPACED.findall(test) for code in found.split()}
        lists[rule] = frozenset(codes | set(_QUOTED.findall(test)))
    return lists
