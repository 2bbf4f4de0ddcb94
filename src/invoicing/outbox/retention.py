"""Letting messages go that were delivered, or given up, long enough ago; they can be sent again until then."""

from invoicing.outbox.store.prune import count, remove

__all__ = ["count", "remove"]
