"""How the service does, for anybody."""

from invoicing.incidents.model.public import Disruption, Outlook, Pace, Work, paces, together
from invoicing.incidents.store.public import outlook
from invoicing.incidents.words import title_of

__all__ = ["Disruption", "Outlook", "Pace", "Work", "outlook", "paces", "title_of", "together"]
