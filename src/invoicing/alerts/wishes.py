"""What is asked for as a channel, checked: each kind needs something else, and leads only where it may."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from invoicing.alerts.chats import NAMES, asked, service_of, shown
from invoicing.alerts.model import ChannelKind, Severity
from invoicing.alerts.pagerduty import ENQUEUE
from invoicing.alerts.service import Wish
from invoicing.kit.egress import EgressError, Network, target_of
from invoicing.kit.problems import Problem
from invoicing.outbox.mailing import MAILTO
from invoicing.outbox.model import new_secret

_NEEDED: Mapping[ChannelKind, str] = {
    ChannelKind.ALERTMANAGER: "url",
    ChannelKind.PAGERDUTY: "routing_key",
    ChannelKind.WEBHOOK: "url",
    ChannelKind.MAIL: "address",
    ChannelKind.CHAT: "url",
}
_ALLOWED: Mapping[ChannelKind, frozenset[str]] = {
    ChannelKind.ALERTMANAGER: frozenset({"url"}),
    ChannelKind.PAGERDUTY: frozenset({"routing_key", "url", "webhook_secret"}),
    ChannelKind.WEBHOOK: frozenset({"url"}),
    ChannelKind.MAIL: frozenset({"address"}),
    ChannelKind.CHAT: frozenset({"url"}),
}
_ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")


@dataclass(frozen=True)
class Means:
    """What this service can send with, and where to."""

    allowed: Sequence[Network] = ()
    """Networks beside the public internet."""
    mails: bool = False
    chats: bool = False


def wish_of(name: str, kind: ChannelKind, least: Severity, given: Mapping[str, str], means: Means) -> Wish:
    """Check what was asked for; raises `Problem` naming the field that is wrong, missing or too much."""
    _complete(kind, given)
    match kind:
        case ChannelKind.ALERTMANAGER:
            return Wish(name, kind, _reachable(given["url"], means), least, "")
        case ChannelKind.PAGERDUTY:
            key = given["routing_key"]
            if not _ROUTING_KEY.fullmatch(key):
                raise _wrong("routing_key", "An integration key of PagerDuty has 32 letters and digits.")
            target = _reachable(given.get("url", ENQUEUE), means)
            return Wish(name, kind, target, least, key, given.get("webhook_secret"))
        case ChannelKind.WEBHOOK:
            return Wish(name, kind, _reachable(given["url"], means), least, new_secret(), fresh_secret=True)
        case ChannelKind.MAIL:
            if not means.mails:
                raise _cannot("mails", "INVOICING_SMTP_URL")
            return Wish(name, kind, MAILTO + given["address"], least, new_secret(), fresh_secret=True)
        case ChannelKind.CHAT:
            return _chat(name, least, given["url"], means)


def _chat(name: str, least: Severity, url: str, means: Means) -> Wish:
    if not means.chats:
        raise _cannot("messages to chats", "the extra `chat` (pip install 'invoicing[chat]')")
    if service_of(url) is None:
        raise _wrong("url", f"A URL of Apprise without options, of one of {', '.join(NAMES)}, is needed.")
    try:
        address = asked(url)
    except ValueError as error:
        raise _wrong("url", "The URL names no host.") from error
    if address is not None:
        _reachable(address, means)
    return Wish(name, ChannelKind.CHAT, shown(url), least, url)


def _complete(kind: ChannelKind, given: Mapping[str, str]) -> None:
    needed = _NEEDED[kind]
    if needed not in given:
        raise _wrong(needed, f"A channel of the kind {kind} needs {needed}.")
    for name in sorted(given.keys() - _ALLOWED[kind]):
        raise _wrong(name, f"A channel of the kind {kind} has no {name}.")


def _reachable(url: str, means: Means) -> str:
    try:
        target_of(url, means.allowed)
    except EgressError as error:
        remedy = "Give an https:// URL on the public internet, or open a network by INVOICING_EGRESS_ALLOW."
        raise Problem("bad_input", f"/url: {error}", field="/url", remedy=remedy) from error
    return url.rstrip("/")


def _wrong(field: str, words: str) -> Problem:
    return Problem("bad_input", words, field=f"/{field}", remedy="See docs/alerts.md for what each kind needs.")


def _cannot(what: str, needed: str) -> Problem:
    return Problem("conflict", f"This service sends no {what}.", field="/kind", remedy=f"It needs {needed}.")
