"""A mail server on a real port: keeps what it takes, and answers as it is told."""

import asyncio
import email.policy
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

OK = "250 OK"


@dataclass
class Postbox:
    """What came, in order; `recipient` and `data` are what it answers to each recipient and mail."""

    port: int = 0
    recipient: str = OK
    data: str = OK
    raw: list[bytes] = field(default_factory=list)
    to: list[str] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    connections: int = 0
    when_taken: Callable[[], Any] | None = None

    @property
    def letters(self) -> list[EmailMessage]:
        parser = BytesParser(EmailMessage, policy=email.policy.default)
        return [parser.parsebytes(one) for one in self.raw]

    async def handle_EHLO(  # noqa: N802 - as aiosmtpd names it
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd names it
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.recipient == OK:
            envelope.rcpt_tos.append(address)
        return self.recipient

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        if self.data == OK:
            assert isinstance(envelope.content, bytes)
            self.raw.append(envelope.content)
            self.to += envelope.rcpt_tos
        return self.data

    def login(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append((given.login, given.password))
        return AuthResult(success=given.password == b"geheim")


@asynccontextmanager
async def mailing(port: int = 0, context: ssl.SSLContext | None = None) -> AsyncIterator[Postbox]:
    """Take mails while the block runs; with a context only after STARTTLS, and from who logs in."""
    box = Postbox()
    loop = asyncio.get_running_loop()
    strict: dict[str, Any] = {
        "tls_context": context,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": box.login,
    }

    def session() -> SMTP:
        return SMTP(box, hostname="mail.test", loop=loop, **(strict if context else {}))

    server = await loop.create_server(session, "127.0.0.1", port)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
