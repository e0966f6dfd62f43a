"""Tests of hypotheses about paired runs: differences, equivalence, times to a level, many tests at once, and power.

A *pair* is the same seed under two settings. A p-value is the probability of data as extreme as the data at hand, or
more extreme, where the null hypothesis holds. A test at level 0.05 calls a p-value below 0.05 decisive.
"""

from collections.abc import Mapping
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import CensoredData, logrank, nct, t

from analysis.checks import validate
from analysis.checks.statistics import finite

Side = Literal["greater", "less", "two-sided"]
LEVEL, POWER = 0.05, 0.8
EXACT = 16  # pairs up to which all 2^n flips of the signs are looked at
FLIPS = 99_999  # random flips with more pairs
MOST = 10_000  # pairs


def sign_flips(differences: Float[np.ndarray, " n"], side: Side = "two-sided") -> float:
    """The p-value of no difference, by flipping the signs of paired differences (Fisher, 1935).

    The null hypothesis: each pair could have come the other way round with the same probability. The statistic is the
    mean. The test is exact: at level a it errs with probability a or less, for any distribution. Up to 16 pairs all
    flips are looked at, beyond that 99,999 random flips of a fixed seed. With fewer than 6 pairs no two-sided result
    can be below 0.05, with fewer than 5 no one-sided result.

    Arguments:
        differences: differences of the pairs, n.
        side: "greater" tests whether the mean is above 0, "less" whether it is below 0.

    Raises:
        ConfigError: fewer than 2 differences, a difference that is not finite, or differences that are not a vector.
    """
    values = finite(differences)
    means = _signs(len(values)) @ values / len(values)
    slack = 1e-12 * float(np.abs(values).mean())  # sums of the same numbers in another order differ by rounding
    tails = {"greater": means >= values.mean() - slack, "less": means <= values.mean() + slack}
    random = len(values) > EXACT  # the data themselves count as one more flip, so that no p-value is 0
    chances = {name: (int(tail.sum()) + random) / (len(means) + random) for name, tail in tails.items()}
    return min(1.0, 2 * min(chances.values())) if side == "two-sided" else chances[side]


def above(differences: Float[np.ndarray, " n"], bound: float) -> float:
    """The p-value of "the mean difference is `bound` or less", by Student's t.

    A small p-value says that the mean is above `bound`. With bound = -margin it is a test of non-inferiority.

    Raises:
        ConfigError: for the same differences as `sign_flips`.
    """
    values = finite(differences)
    if np.ptp(values) == 0:  # without any spread, Student's t is not defined
        return 0.0 if values[0] > bound else 1.0
    error = values.std(ddof=1) / len(values) ** 0.5
    return float(t.sf((values.mean() - bound) / error, len(values) - 1))


def equivalent(differences: Float[np.ndarray, " n"], margin: float) -> float:
    """The p-value of "the mean difference is `margin` or more, in either direction".

    It is the larger p-value of two one-sided tests (Schuirmann, 1987). A small p-value says that the mean lies between
    -margin and margin. A large p-value says nothing: few pairs decide no equivalence.

    Raises:
        ConfigError: for the same differences as `sign_flips`, or a margin that is not positive.
    """
    values, margin = finite(differences), validate.positive("margin", margin)
    return max(above(values, -margin), above(-values, -margin))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values of a family of tests by Holm's step-down rule (1979), by name, in the order given.

    Calling each adjusted p-value below a decisive errs anywhere in the family with probability a or less, however the
    tests are related.

    Raises:
        ConfigError: a p-value outside 0 ... 1.
    """
    for name, value in p_values.items():
        if not 0 <= value <= 1:
            validate.refuse(f"the p-value of {name}", value, "0 ... 1")
    names = sorted(p_values, key=lambda name: p_values[name])
    scaled = [(len(names) - place) * p_values[name] for place, name in enumerate(names)]
    adjusted = dict(zip(names, np.minimum(np.maximum.accumulate(scaled), 1.0), strict=True)) if names else {}
    return {name: float(adjusted[name]) for name in p_values}


def log_rank(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " m"], horizon: float) -> float:
    """The two-sided p-value of "both reach the level at the same rate", by the log-rank test (Mantel, 1966).

    It does not use the pairs. It is 1 where no run of either kind reaches the level, and where all reach it at once.

    Arguments:
        first, second: times to the level, in any unit; NaN for a run that never reached it.
        horizon: time up to which all runs were looked at, in the same unit; a run without the level is censored there.

    Raises:
        ConfigError: a horizon that is not positive, a negative time, or times that are not a vector.
    """
    cut = [np.fmin(_times(times), validate.positive("horizon", horizon)) for times in (first, second)]
    reached = [np.asarray(times, dtype=np.float64) <= horizon for times in (first, second)]
    if not any(each.any() for each in reached):
        return 1.0
    if all(each.all() for each in reached) and np.ptp(np.concatenate(cut)) == 0:
        return 1.0
    first_runs, second_runs = (
        CensoredData.right_censored(times, ~each) for times, each in zip(cut, reached, strict=True)
    )
    return float(logrank(first_runs, second_runs).pvalue)


def pairs_for_difference(spread: float, difference: float, level: float = LEVEL, power: float = POWER) -> int:
    """The pairs that a two-sided paired t test needs to see a difference with the given power.

    Arguments:
        spread: standard deviation of the differences of pairs, in any unit.
        difference: mean difference that is to be seen, in the same unit.
        level: probability of seeing a difference where there is none.
        power: probability of seeing the difference where there is one.

    Raises:
        ConfigError: a number that is not positive, a level or power of 1 or more, or more than 10,000 pairs.
    """
    effect = abs(validate.positive("difference", difference)) / validate.positive("spread", spread)

    def sees(pairs: int) -> float:
        bound, shift = t.isf(level / 2, pairs - 1), effect * pairs**0.5
        return float(nct.sf(bound, pairs - 1, shift) + nct.cdf(-bound, pairs - 1, shift))

    return _fewest(sees, level, power)


def pairs_for_equivalence(spread: float, margin: float, level: float = LEVEL, power: float = POWER) -> int:
    """The pairs with which `equivalent` decides an equivalence with the given power, where the true difference is 0.

    Arguments:
        spread: standard deviation of the differences of pairs, in any unit.
        margin: largest difference that still counts as none, in the same unit.
        level: level of each of the two one-sided tests.
        power: probability of deciding the equivalence.

    Raises:
        ConfigError: for the same values as `pairs_for_difference`.
    """
    effect = validate.positive("margin", margin) / validate.positive("spread", spread)

    def decides(pairs: int) -> float:
        """A lower bound: 1 - twice the probability that a single test does not see its bound."""
        return 1 - 2 * float(nct.cdf(t.isf(level, pairs - 1), pairs - 1, effect * pairs**0.5))

    return _fewest(decides, level, power)


@cache
def _signs(pairs: int) -> Float[np.ndarray, "flips pairs"]:
    """All flips of the signs of a few pairs, or 99,999 random flips of many pairs. Each sign is -1 or 1."""
    if pairs <= EXACT:
        return 1.0 - 2.0 * (np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1)
    return np.random.default_rng(0).choice([-1.0, 1.0], size=(FLIPS, pairs))


def _fewest(power_of, level: float, power: float) -> int:
    """The fewest pairs with the power, which grows with the pairs."""
    for name, value in (("level", level), ("power", power)):
        validate.within(name, validate.positive(name, value), 0, 1)
    low, high = 1, 2
    while power_of(high) < power:
        low, high = high, 2 * high
        if high > MOST:
            validate.refuse("the number of pairs", f"more than {MOST}", f"{MOST} or fewer: ask for less")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


def _times(times: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    values = np.asarray(times, dtype=np.float64)
    if values.ndim != 1:
        validate.refuse("the shape of times", values.shape, "(n,)")
    if (values < 0).any():
        validate.refuse("a time", float(values[values < 0][0]), "0 or more, or NaN where the level was never reached")
    return values
