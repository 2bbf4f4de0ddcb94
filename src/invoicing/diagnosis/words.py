"""The words in which causes are told: one file per language under `languages/`, the same codes in each."""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from invoicing.diagnosis.model.check import Check

LANGUAGES = Path(__file__).parent / "languages"
FALLBACK = "en"

Catalogue = Mapping[str, Mapping[str, str]]
"""Code → wording → template over the evidence."""


@cache
def catalogues() -> Mapping[str, Catalogue]:
    """Read every language there is, by its code (BCP 47)."""
    return {file.stem: tomllib.loads(file.read_text(encoding="utf-8")) for file in sorted(LANGUAGES.glob("*.toml"))}


def say(check: Check, language: str = FALLBACK) -> str:
    """Tell a proven cause to the customer, in a language there is, else in English."""
    catalogue = catalogues().get(language, catalogues()[FALLBACK])
    template = catalogue[check.code][check.wording]
    return template.format_map({name: _plain(value) for name, value in check.evidence.items()})


def _plain(value: Any) -> Any:  # noqa: ANN401 - evidence is whatever JSON can say
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{value:g}" if isinstance(value, float) else value
