"""What incidents are called: one file per language under `languages/`, the same causes in each, and our runbooks."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from invoicing.diagnosis.words import FALLBACK, Audience
from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.incident import Incident

LANGUAGES = Path(__file__).parent / "languages"

_RUNBOOKS = Path(__file__).parent / "runbooks.md"
_SECTION = re.compile(r"^## `(\w+)`[^\n]*\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)

_EVERYWHERE = "everywhere"
"""Stands beside the audiences for what our staff read where everything is touched."""

Names = Mapping[Cause, Mapping[str, str]]


@cache
def languages() -> Mapping[str, Names]:
    """Read every language there is, by its code (BCP 47)."""
    return {file.stem: _read(file) for file in sorted(LANGUAGES.glob("*.toml"))}


def title(incident: Incident, language: str = FALLBACK, audience: Audience = Audience.CUSTOMER) -> str:
    """Name an incident to a customer or to our staff, in a language there is, else in English."""
    names = languages().get(language) or languages()[FALLBACK]
    words = names[incident.cause]
    if audience is Audience.STAFF and incident.scope == EVERYWHERE and _EVERYWHERE in words:
        return words[_EVERYWHERE]
    return words[audience].format(scope=incident.scope)


def title_of(cause: Cause, language: str = FALLBACK) -> str:
    """Name a cause to a customer."""
    names = languages().get(language) or languages()[FALLBACK]
    return names[cause][Audience.CUSTOMER]


@cache
def runbooks() -> Mapping[str, str]:
    """Read what to do about each cause."""
    return {code: text.strip() for code, text in _SECTION.findall(_RUNBOOKS.read_text(encoding="utf-8"))}


def _read(file: Path) -> Names:
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    return {Cause(code): texts for code, texts in content.items()}
