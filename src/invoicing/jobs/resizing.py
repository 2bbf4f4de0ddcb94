"""What the lanes may do to waiting jobs that turn out larger than they were taken for."""

from invoicing.jobs.store.recall import recall
from invoicing.jobs.store.resize import NotBegun, Resized, not_begun, resize

__all__ = ["NotBegun", "Resized", "not_begun", "recall", "resize"]
