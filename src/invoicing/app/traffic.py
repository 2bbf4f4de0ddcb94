"""What one web process answered, counted at its edge: by route, never by address, so that the series are few."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

from invoicing.kit.tallies import Timings

_BOUNDS_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PREFIX = "invoicing_http_"

ELSEWHERE = "elsewhere"
"""Every address at which there is nothing, and every method that there is not."""


class Traffic:
    """Counts answers as they begin."""

    def __init__(self) -> None:
        """Have answered nothing yet."""
        self.answers: Counter[tuple[str, str, str]] = Counter()
        """By route, method and class of the status."""
        self.problems: Counter[str] = Counter()
        """By code."""
        self.took: dict[str, Timings] = {}
        """Until the answer began, by route."""

    def note(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """Count an answer that begins."""
        route = route or ELSEWHERE
        self.answers[route, method if method in _METHODS else ELSEWHERE, f"{status // 100}xx"] += 1
        timings = self.took.get(route)
        if timings is None:
            timings = self.took[route] = Timings(_BOUNDS_S)
        timings.add(seconds)

    def refused(self, code: str) -> None:
        """Count a problem that is answered with."""
        self.problems[code] += 1


def families_of_traffic(traffic: Traffic, submits: Mapping[str, int]) -> Iterator[Metric]:
    """Write what a process answered, and what became of requests for jobs (`accepted`, `replayed`, or a code)."""
    meaning = "Answers, by route, method and class of the status."
    answers = CounterMetricFamily(f"{_PREFIX}answers", meaning, labels=("route", "method", "status"))
    for of, count in traffic.answers.items():
        answers.add_metric(of, count)
    yield answers
    meaning = "Until the answer began; long polls count with their waiting."
    took = HistogramMetricFamily(f"{_PREFIX}answer_seconds", meaning, labels=("route",))
    for route, timings in traffic.took.items():
        took.add_metric((route,), timings.buckets(), timings.total_s)
    yield took
    problems = CounterMetricFamily(f"{_PREFIX}problems", "Problems answered, by code.", labels=("code",))
    for code, count in traffic.problems.items():
        problems.add_metric((code,), count)
    yield problems
    meaning = "Jobs asked for, one or in a batch: accepted, replayed, or refused with a code."
    asked = CounterMetricFamily("invoicing_submits", meaning, labels=("outcome",))
    for outcome, count in {"accepted": 0, **submits}.items():
        asked.add_metric((outcome,), count)
    yield asked
