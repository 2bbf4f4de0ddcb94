"""The words in which causes are told: one file per language under `languages/`, the same codes in each."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from invoicing.diagnosis.model.causes import next_news
from invoicing.diagnosis.model.check import Check

LANGUAGES = Path(__file__).parent / "languages"
FALLBACK = "en"

ANY = "any"
"""Stands, in `next`, for every wording that has no text of its own."""

_AMOUNTS = frozenset({"amount", "limit"})
"""Names of amounts of money, which evidence has as decimal strings."""

_UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


class Audience(StrEnum):
    """Who reads."""

    CUSTOMER = "customer"
    STAFF = "staff"


@dataclass(frozen=True)
class Form:
    """How a language writes times and figures; a span is written with the two largest units that it has.

    `units` are its words for what kinds count their progress in; a kind's other units are shown as the kind says.
    """

    time: str
    decimal_mark: str
    group_mark: str
    days: str
    hours: str
    minutes: str
    seconds: str
    units: Mapping[str, str]


@dataclass(frozen=True)
class Words:
    """What is said of one cause, as templates over its evidence."""

    messages: Mapping[str, str]
    next: Mapping[str, str]
    who: Mapping[Audience, str]


@dataclass(frozen=True)
class Language:
    """The words for every cause, by its code."""

    code: str
    form: Form
    words: Mapping[str, Words]


@dataclass(frozen=True)
class Told:
    """A cause in words: what is the matter, what happens next and when, and who may do something about it."""

    message: str
    next: str
    who: str


@cache
def languages() -> Mapping[str, Language]:
    """Read every language there is, by its code (BCP 47)."""
    return {file.stem: _read(file) for file in sorted(LANGUAGES.glob("*.toml"))}


def codes() -> tuple[str, ...]:
    """Name the languages there are, the one that is spoken unless another is asked for first."""
    return (FALLBACK, *(code for code in languages() if code != FALLBACK))


def say(check: Check, language: str = FALLBACK) -> str:
    """Tell a proven cause to the customer, in a language there is, else in English."""
    spoken = _spoken(language)
    return _filled(spoken.words[check.code].messages[check.wording], check.evidence, spoken.form)


def fields_of(check: Check) -> dict[str, Any]:
    """Pick out of the evidence of a cause what its sentence names, which tells it again in any language."""
    return {name: check.evidence[name] for name in _named(check.code, check.wording) if name in check.evidence}


@cache
def _named(code: str, wording: str) -> tuple[str, ...]:
    """Name the fields of a sentence; all languages have the same."""
    parsed = Formatter().parse(languages()[FALLBACK].words[code].messages[wording])
    return tuple(name.partition("[")[0] for _, name, _, _ in parsed if name)


def retell(code: str, wording: str, fields: Mapping[str, Any], language: str = FALLBACK) -> str | None:
    """Tell again, in a language, a cause of which the fields were kept as JSON; None where the words are no more."""
    spoken = _spoken(language)
    words = spoken.words.get(code)
    template = words.messages.get(wording) if words else None
    if template is None:
        return None
    try:
        return _filled(template, {name: _revived(name, value) for name, value in fields.items()}, spoken.form)
    except (LookupError, ValueError):
        return None


def _revived(name: str, value: Any) -> Any:  # noqa: ANN401 - evidence is whatever JSON can say
    """Read a moment as JSON has it; its name says that it is one."""
    return datetime.fromisoformat(value) if isinstance(value, str) and name.endswith(("_at", "until")) else value


def tell(check: Check, language: str = FALLBACK, audience: Audience = Audience.CUSTOMER) -> Told:
    """Tell a proven cause with what happens next and who may act, to a customer or to our staff."""
    spoken = _spoken(language)
    words = spoken.words[check.code]
    following = words.next.get(check.wording) or words.next[ANY]
    values = {"news_at": next_news(check), **check.evidence}
    return Told(say(check, language), _filled(following, values, spoken.form), words.who[audience])


def _spoken(language: str) -> Language:
    return languages().get(language) or languages()[FALLBACK]


def _read(file: Path) -> Language:
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    form = Form(**content.pop("format"))
    return Language(file.stem, form, {code: _words(texts) for code, texts in content.items()})


def _words(texts: dict[str, Any]) -> Words:
    following, who = texts.pop("next"), texts.pop("who")
    return Words(texts, following, {audience: who[audience] for audience in Audience})


def _filled(template: str, values: Mapping[str, Any], form: Form) -> str:
    if "{" not in template:
        return template
    return template.format_map({name: _plain(name, value, form) for name, value in values.items()})


def _plain(name: str, value: Any, form: Form) -> Any:  # noqa: ANN401 - evidence is whatever JSON can say
    """Write a value as the language does; a name that ends in `_s` is a span in seconds."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(form.time)
    if name == "unit":
        return form.units.get(value, value)
    if isinstance(value, str) and name in _AMOUNTS:
        return _marked(f"{Decimal(value):,f}", form)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return _span(value, form) if name.endswith("_s") else _number(value, form)


def _number(value: float, form: Form) -> str:
    written = f"{value:,.0f}" if value == round(value) else f"{value:,.3f}".rstrip("0")
    return _marked(written, form)


def _marked(written: str, form: Form) -> str:
    return written.translate({ord(","): form.group_mark, ord("."): form.decimal_mark})


def _span(seconds: float, form: Form) -> str:
    """Write a span of time as people say it: below ten seconds with a tenth, else with its two largest units."""
    if seconds < 10:
        return form.seconds.format(_number(round(seconds, 1), form))
    left, parts = round(seconds), list[str]()
    for unit, length in _UNITS:
        count, left = divmod(left, length)
        if count or parts:
            parts.append(getattr(form, unit).format(_number(count, form)) if count else "")
    return " ".join(part for part in parts[:2] if part)
