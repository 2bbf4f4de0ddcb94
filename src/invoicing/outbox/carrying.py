"""The ways that a message takes, once it is claimed: each tries once, and whatever happens is an outcome."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Protocol

from invoicing.kit.egress import Egress, EgressError
from invoicing.kit.smtp import Mailer, SmtpError
from invoicing.outbox.mailing import MAILTO
from invoicing.outbox.model import (
    Answered,
    Channel,
    Errand,
    Outcome,
    Unanswered,
    headers_of,
    longest_silence,
    pause_after,
    retry_after_of,
)

_TAKEN = 250


class Carrier(Protocol):
    """What a relay sends with."""

    @property
    def channels(self) -> Collection[Channel]:
        """Which messages it takes."""

    def room(self, free: int, now: datetime) -> int:
        """Say how many messages it takes now, of as many as there is room for."""

    async def send(self, errand: Errand, now: Callable[[], datetime], chance: float) -> Outcome:
        """Try once."""


@dataclass(frozen=True)
class Hooks:
    """Requests to customers' addresses."""

    egress: Egress
    channels: Collection[Channel] = (Channel.WEBHOOK,)

    def room(self, free: int, now: datetime) -> int:
        """Take whatever there is: each address has a breaker of its own."""
        del now
        return free

    async def send(self, errand: Errand, now: Callable[[], datetime], chance: float) -> Outcome:
        """Send the body, signed as of now."""
        del chance
        try:
            reply = await self.egress.post(errand.url, headers_of(errand, now()), errand.body.encode())
        except EgressError as error:
            return Unanswered(error.code, str(error))
        return Answered(reply.status, retry_after_of(reply.headers.get("retry-after"), now()))


@dataclass
class Mails:
    """Mails through one server, which is left alone for a while when it fails again and again.

    Each relay finds that out for itself: with one of them, or three, a server that is back is asked once by each.
    """

    mailer: Mailer
    sender: str
    written: Callable[[Errand, str, str], EmailMessage]
    """Writes the mail of a message, from a sender to a recipient."""
    channels: Collection[Channel] = (Channel.MAIL,)
    failures: int = 0
    open_until: datetime | None = None

    def room(self, free: int, now: datetime) -> int:
        """Take nothing while the server is left alone, then one to see whether it is well."""
        if self.open_until is None:
            return free
        return min(free, 1) if now >= self.open_until else 0

    async def send(self, errand: Errand, now: Callable[[], datetime], chance: float) -> Outcome:
        """Send the words of a message; delivered is what the server has taken (250), and nothing else."""
        recipient = errand.url.removeprefix(MAILTO)
        letter = self.written(errand, self.sender, recipient)
        if self.open_until is not None:
            self.open_until = now() + timedelta(seconds=self.mailer.patience_s)  # one at a time
        try:
            await self.mailer.send(self.sender, recipient, letter)
        except SmtpError as error:
            return self._failed(error, now(), chance)
        self.failures, self.open_until = 0, None
        return Answered(_TAKEN)

    def _failed(self, error: SmtpError, now: datetime, chance: float) -> Outcome:
        if error.of_recipient:
            self.failures, self.open_until = 0, None
        else:
            self.failures += 1
            pause = pause_after(self.failures, None, chance, min(map(longest_silence, self.channels)))
            self.open_until = None if pause is None else now + pause
        return Unanswered(error.code, str(error), error.status, final=error.final, elsewhere=not error.of_recipient)
