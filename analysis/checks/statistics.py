"""Means and shares with 95 % intervals, for statistical claims. (An exact claim needs no interval.)"""

import numpy as np
from jaxtyping import Float
from scipy.stats import t

from analysis.checks import validate
from cudfkd.evaluation import Estimate, wilson

TAILS = (0.025, 0.975)


def bootstrap_mean(values: Float[np.ndarray, " n"], seed: int = 0, resamples: int = 2000) -> Estimate:
    """The mean of independent observations with a percentile bootstrap interval.

    Raises:
        ConfigError: fewer than 2 values, values that are not a vector, or a value that is not finite.
    """
    values = finite(values)
    validate.count("resamples", resamples)
    rng = np.random.default_rng(validate.seed(seed))
    means = values[rng.integers(len(values), size=(resamples, len(values)))].mean(1)
    low, high = np.quantile(means, TAILS)
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def share(successes: int, n: int) -> Estimate:
    """The share of successes among independent trials with Wilson's interval.

    Raises:
        ConfigError: successes outside 0 ... n, or n < 1.
    """
    validate.count("n", n)
    validate.within("successes", validate.count("successes", successes, 0), 0, n + 1)
    return wilson(successes, n)


def mean_over_seeds(values: Float[np.ndarray, " n"]) -> Estimate:
    """The mean of a few independent runs with Student's t interval.

    Raises:
        ConfigError: for the same values as `bootstrap_mean`.
    """
    values = finite(values)
    half = float(t.ppf(TAILS[1], len(values) - 1) * values.std(ddof=1)) / len(values) ** 0.5
    mean = float(values.mean())
    return Estimate(mean, mean - half, mean + half, len(values))


def block_bootstrap_mean(values: Float[np.ndarray, " n"], block: int, seed: int = 0, resamples: int = 2000) -> Estimate:
    """The mean of a series in which neighbouring values depend on each other, with a block bootstrap interval.

    Each resample joins blocks of `block` neighbours; a block may run over the end of the series to its beginning (the
    circular block bootstrap of Politis and Romano, 1992). The block must be longer than the dependence.

    Raises:
        ConfigError: for the same values as `bootstrap_mean`, or a block outside 1 ... n.
    """
    values = finite(values)
    validate.within("block", validate.count("block", block), 1, len(values) + 1)
    rng, blocks = np.random.default_rng(validate.seed(seed)), -(-len(values) // block)
    starts = rng.integers(len(values), size=(validate.count("resamples", resamples), blocks))
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values]))])
    means = (sums[starts + block] - sums[starts]).sum(1) / (blocks * block)
    low, high = np.quantile(means, TAILS)
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def finite(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """A vector of 2 or more finite numbers in float64. Raises ConfigError for other values."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        validate.refuse("the shape of values", values.shape, "(n,)")
    validate.count("n", len(values), 2)
    if not np.isfinite(values).all():
        validate.refuse("values", float(values[~np.isfinite(values)][0]), "finite")
    return values
