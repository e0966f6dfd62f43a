"""Intervals. An exact claim needs none; these serve the statistical ones."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import norm, t

from analysis.checks import validate


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
    values = _finite(values)
    validate.count("resamples", resamples)
    validate.within("level", level, 0, 1)
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


def mean_over_seeds(values: Float[np.ndarray, " n"], level: float = 0.95) -> Interval:
    """The mean of a few independent runs with Student's t interval.

    Raises:
        ConfigError: as `bootstrap_mean`.
    """
    values = _finite(values)
    validate.within("level", level, 0, 1)
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return Interval(mean, mean - half, mean + half, level, len(values))


def block_bootstrap_mean(
    values: Float[np.ndarray, " n"], block: int, seed: int = 0, level: float = 0.95, resamples: int = 2000
) -> Interval:
    """The mean of a series whose neighbours depend on each other: blocks of `block` are drawn, around the circle.

    (The circular block bootstrap of Politis and Romano, 1992.) The block must be longer than the dependence.

    Raises:
        ConfigError: as `bootstrap_mean`, or a block outside 1 ... n.
    """
    values = _finite(values)
    validate.within("block", validate.count("block", block), 1, len(values) + 1)
    validate.within("level", level, 0, 1)
    rng, many = np.random.default_rng(seed), -(-len(values) // block)
    starts = rng.integers(len(values), size=(validate.count("resamples", resamples), many))
    around = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values]))])
    means = (around[starts + block] - around[starts]).sum(1) / (many * block)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), level, len(values))


def _finite(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        validate.refuse("the shape of values", values.shape, "(n,)")
    validate.count("n", len(values), 2)
    if not np.isfinite(values).all():
        validate.refuse("values", float(values[~np.isfinite(values)][0]), "finite")
    return values
