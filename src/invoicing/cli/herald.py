"""What `up` has to say: a line at once where there is no board, and kept for the board to show."""

from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from rich.markup import escape

from invoicing.cli.output import say
from invoicing.kit.clock import now


@dataclass(frozen=True)
class Told:
    """Something that was said, and when."""

    at: datetime
    text: str


class Herald:
    """Says what happened."""

    def __init__(self) -> None:
        """Say everything aloud, to begin with."""
        self.told: deque[Told] = deque(maxlen=50)
        self.aloud = True
        self.since = now()

    def tell(self, text: str) -> None:
        """Say something: on the board while there is one, as a line otherwise."""
        told = Told(now(), text)
        self.told.append(told)
        if self.aloud:
            with suppress(OSError):  # whoever read our output is gone: that must not keep us from stopping in order
                say(f"{told.at.astimezone():%H:%M:%S} {escape(text)}")
