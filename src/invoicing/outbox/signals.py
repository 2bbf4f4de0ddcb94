"""What monitoring needs to know of the outbox, at a cost that grows with who is sent something, not with how much."""

from invoicing.outbox.store.signals import MOST_COUNTED, read_signals

__all__ = ["MOST_COUNTED", "read_signals"]
