"""Which kinds are warm in a child: each is warmed up once, all of them when told so or one when it is first needed."""

import logging
from collections.abc import Iterable, Mapping

from invoicing.jobs.kinds import Kinds

log = logging.getLogger(__name__)


class Warmth:
    """Warms kinds up, and remembers which."""

    def __init__(self, kinds: Kinds, settings: Mapping[str, str]) -> None:
        """Begin with none of them warm."""
        self._kinds = kinds
        self._settings = settings
        self._cold = set(kinds)

    def lacks(self, kind: str) -> bool:
        """Tell whether a kind has yet to be warmed up."""
        return kind in self._cold

    def warm_up(self, names: Iterable[str] | None = None) -> dict[str, str]:
        """Warm kinds up (all, if none is named) that are not; gives those that cannot be, and why; the others go on."""
        failed: dict[str, str] = {}
        for name in sorted(self._cold if names is None else self._cold.intersection(names)):
            self._cold.discard(name)  # also where it fails: it would fail again
            try:
                self._kinds[name].warm_up(self._settings)
            except Exception as error:
                log.exception("%s cannot be warmed up", name, extra={"action": "child.cold"})
                failed[name] = str(error)
        return failed
