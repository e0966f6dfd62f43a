"""Intervals. An exact claim needs none; these serve the statistical ones."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from analysis.theory import validate


class Interval(NamedTuple):
    """estimate with [low, high] at `level`, from n observations."""

    estimate: float
    low: float
    high: float
    level: float
    n: int

    def covers(self, value: float) -> bool:
        """low <= value <= high."""
        return self.low <= value <= self.high


def bootstrap_mean(
    values: Float[np.ndarray, " n"], seed: int = 0, level: float = 0.95, resamples: int = 2000
) -> Interval:
    """The mean with a percentile bootstrap interval (independent observations).

    Raises:
        ConfigError: fewer than 2 values, or not a vector; a value that is not finite, a level outside [0, 1).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        validate.refuse("the shape of values", values.shape, "(n,)")
    validate.count("n", len(values), 2)
    validate.count("resamples", resamples)
    validate.within("level", level, 0, 1)
    if not np.isfinite(values).all():
        validate.refuse("values", float(values[~np.isfinite(values)][0]), "finite")
    rng = np.random.default_rng(seed)
    means = values[rng.integers(len(values), size=(resamples, len(values)))].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), level, len(values))


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """A share with Wilson's interval (independent trials).

    Raises:
        ConfigError: successes outside 0 ... n, n < 1, a level outside [0, 1).
    """
    validate.count("n", n)
    validate.within("successes", validate.count("successes", successes, 0), 0, n + 1)
    validate.within("level", level, 0, 1)
    z = float(norm.ppf((1 + level) / 2))
    share, extra = successes / n, z**2 / n
    center = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * (share * (1 - share) / n + extra / (4 * n)) ** 0.5
    return Interval(share, max(0.0, center - half), min(1.0, center + half), level, n)
