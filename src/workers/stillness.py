"""Between the steps of an attempt: the only moments at which its process may be frozen."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stillness:
    """Keeps the main thread from reaching for the ledger while the process is to be frozen, and says when it does not.

    A frozen process that holds a connection would hold a transaction open, and its locks. So the worker asks, the
    listening thread answers once nothing is open, and only then does the worker stop the process; meanwhile nothing can
    be opened.
    """

    def __init__(self, still: Callable[[], None]) -> None:
        """Call `still()` whenever freezing was asked for and nothing is open; it must not block."""
        self._still = still
        self._changed = threading.Condition()
        self._open = 0
        self._wanted = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold something open; waits while the process is to be frozen and holds nothing yet."""
        with self._changed:
            while self._wanted and not self._open:
                self._changed.wait()
            self._open += 1
        try:
            yield
        finally:
            with self._changed:
                self._open -= 1
                if self._wanted and not self._open:
                    self._still()

    def freeze(self) -> None:
        """Be still: at once, or when what is open is closed."""
        with self._changed:
            if not self._wanted:
                self._wanted = True
                if not self._open:
                    self._still()

    def thaw(self) -> None:
        """Go on."""
        with self._changed:
            self._wanted = False
            self._changed.notify_all()
