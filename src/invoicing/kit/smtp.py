"""Mails handed to one SMTP server, whose word is final: taken is what it answered 250 to."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import parseaddr
from typing import Literal
from urllib.parse import unquote, urlsplit

import aiosmtplib

Tls = Literal["none", "starttls", "tls"]

_PORTS: dict[Tls, int] = {"none": 25, "starttls": 587, "tls": 465}
_REFUSED_FOR_GOOD = 500


@dataclass(frozen=True)
class SmtpServer:
    """Where mails are handed in, and how."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class SmtpError(Exception):
    """A mail that was not taken; the text may be shown to the person whose address it is.

    `final`: the server said that another try would be in vain. `of_recipient`: it refused this address, and is well.
    """

    def __init__(
        self, code: str, message: str, status: int | None = None, *, final: bool = False, of_recipient: bool = False
    ) -> None:
        """Say what it was: `connect`, `timeout`, `refused`, `recipient_refused`, `smtp`."""
        super().__init__(message)
        self.code = code
        self.status = status
        self.final = final
        self.of_recipient = of_recipient


def server_of(url: str) -> SmtpServer:
    """Read a URL that the settings have checked: `smtps://`, or `smtp://` with or without `?starttls`."""
    parts = urlsplit(url)
    tls: Tls = "tls" if parts.scheme == "smtps" else "starttls" if parts.query == "starttls" else "none"
    return SmtpServer(
        parts.hostname or "",
        parts.port or _PORTS[tls],
        tls,
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
    )


class Mailer:
    """Hands mails in, a few at a time, each over a connection of its own."""

    def __init__(
        self, server: SmtpServer, *, patience_s: float = 30.0, at_once: int = 4, context: ssl.SSLContext | None = None
    ) -> None:
        """Hand them to a server, and give up after a time."""
        self._server = server
        self._context = context
        self._places = asyncio.Semaphore(at_once)
        self.patience_s = patience_s

    async def send(self, sender: str, recipient: str, letter: EmailMessage) -> None:
        """Hand a mail in; raises `SmtpError` unless the server has taken it."""
        async with self._places:
            client = self._client()
            try:
                async with asyncio.timeout(self.patience_s):
                    await client.connect()
                    await client.sendmail(parseaddr(sender)[1], [recipient], letter.as_bytes(policy=WIRE))
            except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
                raise _said(error) from error
            finally:  # whatever goes wrong from here on, the mail is taken or it is not
                with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                    await asyncio.wait_for(client.quit(), 1)
                client.close()

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=None if server.tls == "none" else self._context,
            timeout=self.patience_s,
        )


def _said(error: Exception) -> SmtpError:
    """Word a failure without names, addresses or versions of our own machines."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            (refused, *_) = error.recipients
            final = refused.code >= _REFUSED_FOR_GOOD
            words = f"The mail server does not take mail for this address ({refused.code})."
            return SmtpError("recipient_refused", words, refused.code, final=final, of_recipient=True)
        case aiosmtplib.SMTPDataError():
            final = error.code >= _REFUSED_FOR_GOOD
            words = f"The mail server did not take this mail ({error.code})."
            return SmtpError("refused", words, error.code, final=final, of_recipient=final)
        case TimeoutError():
            return SmtpError("timeout", "The mail server said nothing for too long.")
        case aiosmtplib.SMTPResponseException():
            return SmtpError("smtp", "Our mail server takes no mails at the moment.", error.code)
        case _:
            return SmtpError("connect", "Our mail server cannot be reached at the moment.")
