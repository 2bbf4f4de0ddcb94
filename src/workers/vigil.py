"""For how long somebody has watched without a gap: only who could have heard a worker may say that it was silent."""


class Vigil:
    """Counts from the first of an unbroken row of rounds; all times by one clock (seconds)."""

    def __init__(self, gap_s: float) -> None:
        """Begin anew whenever more than this lies between two rounds."""
        self._gap_s = gap_s
        self._since: float | None = None
        self._last = 0.0

    def round(self, now: float) -> float:
        """Note a round that saw the workers; gives how long the watch has lasted."""
        if self._since is None or now - self._last > self._gap_s:
            self._since = now
        self._last = now
        return now - self._since
