"""The range of several means, largest minus smallest, where all of them measure the same thing.

The largest of k means lies above the smallest without any effect. A table of k settings, each with a few runs, always
has a best setting. These functions say how large its lead is by luck alone.
"""

from typing import NamedTuple

import numpy as np
from scipy.integrate import quad
from scipy.stats import norm, studentized_range

from analysis.checks import validate

LEVEL = 0.95


class Spread(NamedTuple):
    """The standard deviation of one run, pooled over groups of runs that differ by the seed alone.

    sd: the standard deviation, with divisor `degrees`.
    degrees: degrees of freedom: runs minus groups.
    """

    sd: float
    degrees: int


class Luck(NamedTuple):
    """The range of k means by luck alone, if the runs have normal errors of equal variance.

    expected: its mean, if the standard deviation is known exactly.
    limit: the range stays below it with probability 0.95; a standard deviation from few runs makes it wide.
    """

    expected: float
    limit: float


def pooled(groups: list[np.ndarray]) -> Spread:
    """The spread of runs within groups.

    Raises:
        ConfigError: no group has two runs.
    """
    degrees = sum(len(group) - 1 for group in groups)
    validate.count("runs beyond the first of a group", degrees)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return Spread((squares / degrees) ** 0.5, degrees)


def luck(spread: Spread, settings: int, runs: int = 1) -> Luck:
    """The range of `settings` means over `runs` runs each, by luck alone.

    The expectation of the range of k standard normal numbers is the integral of 1 - P(x)^k - (1 - P(x))^k, with P their
    distribution function. The limit is the quantile of Tukey's studentized range.

    Raises:
        ConfigError: fewer than 2 settings, or less than 1 run.
    """
    k = validate.count("settings", settings, 2)
    error = spread.sd / validate.count("runs", runs) ** 0.5
    ranges = quad(lambda x: 1 - norm.cdf(x) ** k - norm.sf(x) ** k, -10, 10)[0]
    return Luck(ranges * error, float(studentized_range.ppf(LEVEL, k, spread.degrees)) * error)


def chance(extent: float, spread: Spread, settings: int, runs: int = 1) -> float:
    """The probability of a range of at least `extent` by luck alone (Tukey's test). Raises as `luck`."""
    k = validate.count("settings", settings, 2)
    error = spread.sd / validate.count("runs", runs) ** 0.5
    return float(studentized_range.sf(extent / error, k, spread.degrees))
