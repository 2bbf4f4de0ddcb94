"""What was taken to start, as long as it may still be put back."""

from dataclasses import dataclass

from invoicing.lanes.model.accounts import Customer, Key
from invoicing.lanes.model.waiting import Waiting


@dataclass(frozen=True)
class Taken:
    """A job that was taken, and how its accounts stood before: enough to put it back."""

    waiting: Waiting
    customer: Customer
    key: Key
    served: float
    key_served: float
    key_virtual: float
    spared_s: float
