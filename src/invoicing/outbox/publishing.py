"""Telling customers of what is of no job of theirs, in the transaction that makes it true."""

from invoicing.outbox.store.publish import publish

__all__ = ["publish"]
