"""How long jobs take, as a distribution from which a seeded generator draws (seconds)."""

import math
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Fixed:
    """Every job takes the same time."""

    seconds: float

    def draw(self, _chance: Random) -> float:
        """Give the time."""
        return self.seconds

    def mean(self) -> float:
        """Give the mean."""
        return self.seconds


@dataclass(frozen=True)
class LogNormal:
    """Around a median, `sigma` being the standard deviation of the logarithm."""

    median_s: float
    sigma: float

    def draw(self, chance: Random) -> float:
        """Draw one, by inversion."""
        return self.median_s * math.exp(self.sigma * normal(chance))

    def mean(self) -> float:
        """Give the mean."""
        return self.median_s * math.exp(self.sigma**2 / 2)


@dataclass(frozen=True)
class Pareto:
    """A heavy tail between two bounds: of the work, most is in a few of the jobs."""

    alpha: float
    least_s: float
    most_s: float

    def draw(self, chance: Random) -> float:
        """Draw one, by inversion."""
        kept = 1 - math.pow(self.least_s / self.most_s, self.alpha)
        return self.least_s * math.pow(1 - chance.random() * kept, -1 / self.alpha)

    def mean(self) -> float:
        """Give the mean."""
        low, alpha = self.least_s, self.alpha
        ratio = self.most_s / low
        kept = 1 - math.pow(ratio, -alpha)
        if math.isclose(alpha, 1.0):
            return low * math.log(ratio) / kept
        return low * alpha / (alpha - 1) * (1 - math.pow(ratio, 1 - alpha)) / kept


Spread = Fixed | LogNormal | Pareto


def normal(chance: Random) -> float:
    """Draw from the standard normal distribution, by Box and Muller."""
    radius, angle = 1 - chance.random(), chance.random()
    return math.sqrt(-2 * math.log(radius)) * math.cos(2 * math.pi * angle)
