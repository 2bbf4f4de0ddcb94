"""Mails of alerts: plain text, the same each time that a message is sent; those of one incident form a thread."""

from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from invoicing.alerts.links import incident_url, link
from invoicing.alerts.model import Said, Severity, said_in
from invoicing.alerts.words import heading, lines
from invoicing.outbox.model import Errand


def letter_of(errand: Errand, sender: str, recipient: str, public_url: str | None = None) -> EmailMessage:
    """Write the mail of a message."""
    said = said_in(errand.body)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    letter = EmailMessage()
    letter["From"] = sender
    letter["To"] = recipient
    letter["Subject"] = heading(said)[:200]
    letter["Date"] = format_datetime(said.at)
    letter["Message-ID"] = f"<{errand.id}@{domain}>"
    letter["References"] = f"<incident-{said.alert.incident_id}@{domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    if said.alert.severity is Severity.S1 and not said.tests:
        letter["Importance"] = "high"
    letter.set_content("\n".join(_lines(errand, said, public_url)) + "\n", cte="quoted-printable")
    return letter


def _lines(errand: Errand, said: Said, public_url: str | None) -> list[str]:
    if public_url is None:
        return lines(said)
    acknowledge = link(public_url, said, errand.endpoint_id, errand.secrets[0])
    return lines(said, None if said.tests else incident_url(public_url, said.alert), acknowledge)
