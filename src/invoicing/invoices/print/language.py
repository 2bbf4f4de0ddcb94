"""The languages an invoice can be printed in: one file each under `languages/`, chosen by the buyer's country."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LANGUAGES = Path(__file__).parent / "languages"
FALLBACK = "en"


@dataclass(frozen=True, slots=True)
class Format:
    """How this language writes figures; `months` is empty where the month is a number."""

    decimal_mark: str
    group_mark: str
    day: str
    months: tuple[str, ...]
    money: str
    percent: str
    colon: str


@dataclass(frozen=True, slots=True)
class Language:
    """Words and formats; `units` are keyed by UN/ECE Recommendation 20 code, `vat_notes` by VAT category."""

    code: str
    countries: frozenset[str]
    format: Format
    words: Mapping[str, str]
    vat_notes: Mapping[str, str]
    units: Mapping[str, str]

    def say(self, word: str, **values: str) -> str:
        return self.words[word].format_map(values)


@cache
def languages() -> Mapping[str, Language]:
    """Every language there is, by its code."""
    return {file.stem: _read(file) for file in sorted(LANGUAGES.glob("*.toml"))}


def language_for(country: str, wanted: str | None = None) -> Language:
    """Choose the language asked for, else that of the country (ISO 3166-1), else English."""
    if wanted is not None:
        return languages()[wanted]
    spoken = (language for language in languages().values() if country in language.countries)
    return next(spoken, languages()[FALLBACK])


def _read(file: Path) -> Language:
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    form = content["format"]
    return Language(
        code=file.stem,
        countries=frozenset(content["countries"]),
        format=Format(**form | {"months": tuple(form["months"])}),
        words=content["words"],
        vat_notes=content["vat_notes"],
        units=content["units"],
    )
