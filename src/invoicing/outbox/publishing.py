"""Telling customers of what is of no job of theirs, in the transaction that makes it true."""

from invoicing.outbox.store.publish import News, publish, publish_each

__all__ = ["News", "publish", "publish_each"]
