"""Chats by way of Apprise, which knows how each of them wants to be asked; it waits in threads, and is optional."""

import asyncio
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from invoicing.alerts.chats import asked
from invoicing.alerts.links import incident_url, link
from invoicing.alerts.model import AlertState, Said, said_in
from invoicing.alerts.words import heading, lines
from invoicing.kit.egress import Egress, EgressError
from invoicing.outbox.model import Answered, Errand, Outcome, Unanswered

PATIENCE_S = 20.0
"""For all of a try, below the lease of a message: or another relay would take up what this one is still sending."""

_TAKEN = 200


def available() -> bool:
    """Tell whether Apprise is installed (the extra `chat`)."""
    return find_spec("apprise") is not None


@dataclass(frozen=True)
class Chats:
    """Sends to chats; where a URL names a host, that is judged first, as any address that was chosen over HTTP."""

    egress: Egress
    patience_s: float = PATIENCE_S

    async def send(self, errand: Errand, public_url: str | None) -> Outcome:
        """Try once."""
        url = errand.secrets[0]
        try:
            async with asyncio.timeout(self.patience_s):
                judged = asked(url)
                if judged is not None:
                    await self.egress.judge(judged)
                taken = await asyncio.to_thread(_notify, url, *_worded(errand, public_url))
        except EgressError as error:
            return Unanswered(error.code, str(error))
        except TimeoutError:
            return Unanswered("timeout", f"The chat had not taken it after {self.patience_s:g} seconds.")
        return Answered(_TAKEN) if taken else Unanswered("refused", "The chat did not take the message.")


def _worded(errand: Errand, public_url: str | None) -> tuple[str, str, str]:
    """Give heading, text, and what kind of news it is."""
    said = said_in(errand.body)
    if public_url is None or said.tests:
        return heading(said), "\n".join(lines(said)), _news(said)
    acknowledge = link(public_url, said, errand.endpoint_id, errand.secrets[0])
    return heading(said), "\n".join(lines(said, incident_url(public_url, said.alert), acknowledge)), _news(said)


def _news(said: Said) -> str:
    if said.tests:
        return "info"
    return {AlertState.OPEN: "failure", AlertState.ACKNOWLEDGED: "warning", AlertState.RESOLVED: "success"}[
        said.alert.state
    ]


def _notify(url: str, title: str, body: str, news: str) -> bool:
    apprise = import_module("apprise")  # takes most of a second, and only where a chat is told
    plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    return plugin is not None and bool(plugin.notify(body=body, title=title, notify_type=news))
