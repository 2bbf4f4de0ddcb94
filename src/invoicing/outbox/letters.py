"""The words of mails: plain text in the language of the address, the same each time that a message is sent."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from invoicing.outbox.mailing import CONFIRM
from invoicing.outbox.model import Errand, WebhookEvent


class Language(StrEnum):
    """What mails are written in."""

    ENGLISH = "en"
    GERMAN = "de"


Words = Mapping[str, str]

Retell = Callable[[str, str, Mapping[str, Any], str], str | None]
"""Tells a cause again (its code, wording and fields) in a language; None where there are no words for it any more."""

_NUMBERED = frozenset({"number", "payable", "currency"})
"""What the result of an issued invoice has."""

_MAINTENANCE = frozenset({WebhookEvent.MAINTENANCE_ANNOUNCED, WebhookEvent.MAINTENANCE_CANCELLED})

_INCIDENT = frozenset({WebhookEvent.INCIDENT_OPENED, WebhookEvent.INCIDENT_UPDATED, WebhookEvent.INCIDENT_RESOLVED})

_COUNTED = ("touched", "succeeded", "failed", "cancelled", "running", "waiting")

_ENGLISH: Words = MappingProxyType(
    {
        "job.succeeded": "{job} is done",
        "job.dead": "{job} could not be carried out",
        "job.cancelled": "{job} was cancelled",
        "job.promise_at_risk": "{job} may be later than promised",
        "job.promise_missed": "{job} is later than promised",
        "job.promise_moved": "{job} is promised for another time",
        "job.update": "Where {job} stands",
        "maintenance.announced": "Planned maintenance from {begins} until {ends}",
        "maintenance.cancelled": "Maintenance from {begins} until {ends} is cancelled",
        "incident.opened": "A disruption touches your jobs",
        "incident.updated": "News of the disruption that touches your jobs",
        "incident.resolved": "The disruption is over",
        "incident.since": "Since: {at}",
        "incident.ended": "Over since: {at}",
        "incident.jobs": "Jobs of yours that it touches now: {jobs}",
        "incident.estimate": "Should be over by: {at}",
        "incident.unknown": "Nobody can say yet when it is over.",
        "incident.keep": "You need not do anything: your jobs keep their places.",
        "incident.outcome": "Of your jobs it touched {touched}. Done: {succeeded}, failed: {failed}, cancelled: "
        "{cancelled}, running: {running}, waiting: {waiting}",
        "maintenance.meanwhile": "Jobs that wait then keep their places and go on by themselves afterwards.",
        "other": "News of {job}",
        "job": "Your job {name}",
        "decimal_mark": ".",
        "number": "Number: {number}, payable {payable} {currency}",
        "why": "Why: {message}",
        "remedy": "What to do: {remedy}",
        "promised": "Promised for: {at}",
        "before": "Promised before for: {at}",
        "expected": "Expected now: {at}, at the latest {latest}",
        "next": "You hear from us again by: {at}",
        "submitted": "Submitted: {at}",
        "ended": "Ended: {at}",
        "where": "Read it and fetch its files: GET {href}",
        "because": "You get this mail because {address} was confirmed for such messages. To end them, whoever holds a "
        "key of your account removes the address: DELETE /v1/mails/{address_id}",
        CONFIRM: "Your code: {code}",
        "confirm": "{customer} asked us to tell {address} how its jobs end.\n\nIf you want that, give this code to "
        "whoever set it up:\n\n    {code}\n\nIt is good for 24 hours. If you do not, do nothing: you will get no "
        "other mail.",
    }
)

_GERMAN: Words = MappingProxyType(
    {
        "job.succeeded": "{job} ist erledigt",
        "job.dead": "{job} konnte nicht ausgeführt werden",
        "job.cancelled": "{job} wurde abgebrochen",
        "job.promise_at_risk": "{job} wird vielleicht später fertig als zugesagt",
        "job.promise_missed": "{job} ist später dran als zugesagt",
        "job.promise_moved": "{job} ist für einen anderen Zeitpunkt zugesagt",
        "job.update": "Stand: {job}",
        "maintenance.announced": "Geplante Wartung vom {begins} bis {ends}",
        "maintenance.cancelled": "Die Wartung vom {begins} bis {ends} findet nicht statt",
        "incident.opened": "Eine Störung betrifft Ihre Aufträge",
        "incident.updated": "Neues zur Störung, die Ihre Aufträge betrifft",
        "incident.resolved": "Die Störung ist behoben",
        "incident.since": "Seit: {at}",
        "incident.ended": "Behoben seit: {at}",
        "incident.jobs": "Aufträge von Ihnen, die sie jetzt betrifft: {jobs}",
        "incident.estimate": "Voraussichtlich behoben bis: {at}",
        "incident.unknown": "Wann sie behoben ist, kann noch niemand sagen.",
        "incident.keep": "Sie müssen nichts tun: Ihre Aufträge behalten ihren Platz.",
        "incident.outcome": "Betroffen waren {touched} Ihrer Aufträge. Erledigt: {succeeded}, gescheitert: {failed}, "
        "abgebrochen: {cancelled}, in Arbeit: {running}, wartend: {waiting}",
        "maintenance.meanwhile": "Aufträge, die dann warten, behalten ihren Platz und gehen danach von selbst weiter.",
        "other": "Neues zu {job}",
        "job": "Ihr Auftrag {name}",
        "decimal_mark": ",",
        "number": "Nummer: {number}, zu zahlen {payable} {currency}",
        "why": "Grund: {message}",
        "remedy": "Abhilfe: {remedy}",
        "promised": "Zugesagt für: {at}",
        "before": "Vorher zugesagt für: {at}",
        "expected": "Jetzt erwartet: {at}, spätestens {latest}",
        "next": "Sie hören wieder von uns bis: {at}",
        "submitted": "Eingereicht: {at}",
        "ended": "Beendet: {at}",
        "where": "Lesen und Dateien holen: GET {href}",
        "because": "Sie erhalten diese Mail, weil {address} für solche Nachrichten bestätigt wurde. Wer einen "
        "Schlüssel Ihres Kontos hat, beendet sie, indem er die Adresse entfernt: DELETE /v1/mails/{address_id}",
        CONFIRM: "Ihr Code: {code}",
        "confirm": "{customer} möchte, dass wir {address} mitteilen, wie die eigenen Aufträge enden.\n\nWenn Sie das "
        "wollen, geben Sie diesen Code an die Person, die es eingerichtet hat:\n\n    {code}\n\nEr gilt 24 Stunden. "
        "Wenn nicht, tun Sie nichts: Sie erhalten keine weitere Mail.",
    }
)

LANGUAGES: Mapping[str, Words] = MappingProxyType({Language.ENGLISH: _ENGLISH, Language.GERMAN: _GERMAN})


def letter_of(errand: Errand, sender: str, recipient: str, retell: Retell) -> EmailMessage:
    """Write the mail of a message: it is the same whenever it is written, so that a mail program shows it once."""
    said: Mapping[str, Any] = json.loads(errand.body)
    data = said.get("data", {})
    language = Language(errand.language or Language.ENGLISH)
    words = LANGUAGES[language]
    letter = EmailMessage()
    letter["From"] = sender
    letter["To"] = recipient
    letter["Subject"] = _subject(errand.event, data, words)
    letter["Date"] = format_datetime(_moment(said["timestamp"]))
    letter["Message-ID"] = f"<{errand.id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(_text(errand, _retold(data, retell, language), words, recipient), cte="quoted-printable")
    letter["Content-Language"] = language  # what came before the content would go with it
    return letter


def _retold(data: Mapping[str, Any], retell: Retell, language: Language) -> Mapping[str, Any]:
    """Put the reason into the language of the address, where it was kept apart from its words."""
    reason = data.get("reason")
    if not isinstance(reason, Mapping) or not reason.get("wording"):  # that of maintenance is a sentence of our staff
        return data
    message = retell(reason["code"], reason["wording"], reason.get("fields") or {}, language)
    return {**data, "reason": {**reason, "message": message or reason["message"]}}


def _subject(event: str, data: Mapping[str, Any], words: Words) -> str:
    if event == CONFIRM:
        return words[CONFIRM].format(code=_line(data["code"]))
    if event in _MAINTENANCE:
        return words[event].format(begins=_when(data["from"]), ends=_when(data["until"]))
    return words.get(event, words["other"]).format(job=_job(data, words))


def _text(errand: Errand, data: Mapping[str, Any], words: Words, recipient: str) -> str:
    if errand.event == CONFIRM:
        told = {name: _line(data[name]) for name in ("code", "customer")}
        return words["confirm"].format(**told, address=recipient) + "\n"
    about = _about(errand, data, words)
    because = words["because"].format(address=recipient, address_id=errand.endpoint_id)
    return "\n".join([f"{_subject(errand.event, data, words)}.", "", *about, "", because]) + "\n"


def _about(errand: Errand, data: Mapping[str, Any], words: Words) -> list[str]:
    if errand.event in _MAINTENANCE:
        return _of_maintenance(errand.event, data, words)
    if errand.event in _INCIDENT:
        return _of_incident(errand, data, words)
    return _of_job(data, words)


def _of_incident(errand: Errand, data: Mapping[str, Any], words: Words) -> list[str]:
    """Tell of an incident: what it is, since when, until when, and whom of the customer's jobs it touches."""
    lines = [_line(data["titles"].get(errand.language) or data["title"])]
    lines.append(words["incident.since"].format(at=_when(data["since"])))
    if errand.event == WebhookEvent.INCIDENT_RESOLVED:
        counted = {name: _number(data["outcome"][name], data["outcome"]) for name in _COUNTED}
        return [
            *lines,
            words["incident.ended"].format(at=_when(data["ended_at"])),
            words["incident.outcome"].format(**counted),
        ]
    if data["jobs"] is not None:
        lines.append(words["incident.jobs"].format(jobs=_number(data["jobs"]["touched"], data["jobs"])))
    known = data["estimate"] is not None
    lines.append(words["incident.estimate"].format(at=_when(data["estimate"])) if known else words["incident.unknown"])
    return [*lines, words["next"].format(at=_when(data["next_update_by"])), words["incident.keep"]]


def _number(value: int, counted: Mapping[str, Any]) -> str:
    return f"{value}+" if counted["at_least"] and value else str(value)


def _of_maintenance(event: str, data: Mapping[str, Any], words: Words) -> list[str]:
    lines = [words["why"].format(message=_line(data["reason"]))]
    if event == WebhookEvent.MAINTENANCE_ANNOUNCED and data["drain"]:
        lines.append(words["maintenance.meanwhile"])
    return lines


def _of_job(data: Mapping[str, Any], words: Words) -> list[str]:
    lines = []
    result, error = data.get("result") or {}, data.get("error") or {}
    if result.keys() >= _NUMBERED:
        numbered = {name: _line(result[name]) for name in _NUMBERED}
        numbered["payable"] = numbered["payable"].replace(".", words["decimal_mark"])
        lines.append(words["number"].format(**numbered))
    if error.get("message"):
        lines.append(words["why"].format(message=_line(error["message"])))
    if error.get("remedy"):
        lines.append(words["remedy"].format(remedy=_line(error["remedy"])))
    lines += _promised(data, words)
    for word, name in (("next", "next_update_by"), ("submitted", "submitted_at"), ("ended", "finished_at")):
        if data.get(name):
            lines.append(words[word].format(at=_when(data[name])))
    if data.get("href"):
        lines.append(words["where"].format(href=_line(data["href"])))
    return lines


def _promised(data: Mapping[str, Any], words: Words) -> list[str]:
    """Tell of a promise: the time, the one before, what is expected instead, and the reason."""
    promise, expected, reason = data.get("promise") or {}, data.get("expected") or {}, data.get("reason") or {}
    lines = []
    for word, name in (("promised", "due"), ("before", "moved_from")):
        if promise.get(name):
            lines.append(words[word].format(at=_when(promise[name])))
    if expected:
        lines.append(words["expected"].format(at=_when(expected["likely"]), latest=_when(expected["latest"])))
    if reason.get("message"):
        lines.append(words["why"].format(message=_line(reason["message"])))
    return lines


def _job(data: Mapping[str, Any], words: Words) -> str:
    name = data.get("reference") or data.get("id") or "?"
    return words["job"].format(name=f"{_line(name)} ({_line(data.get('kind') or '?')})")


def _line(value: object) -> str:
    """Make one line of whatever a customer wrote: nothing in it begins another line, or another header."""
    return " ".join("".join(one if one.isprintable() else " " for one in str(value)).split())[:500]


def _when(text: str) -> str:
    return f"{_moment(text):%Y-%m-%d %H:%M} UTC"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
