"""How things stood over the time: sampled at even distances, which grow so that there are never many samples."""

from invoicing.plan.model.work import Moment

_MOST = 600


class Course:
    """Between two events nothing changes; so it is told, at each event, how things had stood since the one before."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._moments: list[Moment] = []
        self._next_s = 0.0
        self._every_s = 0.01

    def stood(self, until_s: float, busy: int, waiting: int) -> None:
        """Tell that it stood so from the last time until now."""
        while self._next_s < until_s:
            self._moments.append(Moment(self._next_s, busy, waiting))
            self._next_s += self._every_s
            if len(self._moments) == _MOST:
                del self._moments[1::2]
                self._every_s *= 2
                self._next_s = self._moments[-1].at_s + self._every_s

    @property
    def sampling_due_s(self) -> float:
        """When it wants to be told next: before that, a call changes nothing."""
        return self._next_s

    def moments(self) -> tuple[Moment, ...]:
        """Give the samples."""
        return tuple(self._moments)
