"""Each test of a hypothesis on data without an effect (its errors), on data with an effect (its power), and by hand."""

import numpy as np
import pytest
from scipy.stats import binom, norm, permutation_test, ttest_1samp

from analysis.checks import hypotheses
from analysis.checks.hypotheses import (
    above,
    equivalent,
    holm,
    log_rank,
    pairs_for_difference,
    pairs_for_equivalence,
    sign_flips,
)
from cudfkd import ConfigError

RUNS = 2000
NAN = float("nan")


def many(rate: float, runs: int = RUNS) -> float:
    """A share of runs that chance exceeds once in 10,000 times, where each counts with probability `rate`."""
    return float(binom.ppf(0.9999, runs, rate)) / runs


def few(rate: float, runs: int = RUNS) -> float:
    """A share of runs that chance falls below once in 10,000 times."""
    return float(binom.ppf(0.0001, runs, rate)) / runs


def decisive(p_of, sample, runs: int = RUNS) -> float:
    """The share of samples whose p-value is below 0.05."""
    rng = np.random.default_rng(0)
    return float(np.mean([p_of(sample(rng)) < hypotheses.LEVEL for _ in range(runs)]))


@pytest.mark.parametrize("side", ["greater", "less", "two-sided"])
@pytest.mark.parametrize("values", [[0.5, 1.0, -0.2, 0.3, 0.3, 2.0, -1.0], [1.0, 1.0, 0.0, -1.0], [0.1] * 7])
def test_sign_flips_looks_at_all_flips(values, side):
    """As scipy's permutation test does, also where some means are equal."""
    theirs = permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative=side)
    assert sign_flips(np.array(values), side) == pytest.approx(theirs.pvalue, abs=1e-12)


def test_a_p_value_is_never_0():
    assert sign_flips(np.linspace(1, 2, 40), "greater") == 1e-5


def test_many_pairs_are_flipped_at_random_and_the_same_way_each_time():
    values = np.random.default_rng(1).normal(0.4, 1, 30)
    p_value = sign_flips(values)
    assert p_value == sign_flips(values)
    assert p_value == pytest.approx(2 * norm.sf(values.mean() * 30**0.5 / np.sqrt(np.mean(values**2))), abs=0.005)


SKEWED = {"normal": lambda rng: rng.normal(size=8), "heavy": lambda rng: rng.standard_t(2, size=8)}


@pytest.mark.parametrize("kind", SKEWED)
def test_sign_flips_keeps_its_level(kind):
    assert decisive(sign_flips, SKEWED[kind]) <= many(hypotheses.LEVEL)


def test_the_planned_pairs_see_the_difference():
    pairs = pairs_for_difference(spread=2.0, difference=2.0)
    assert decisive(sign_flips, lambda rng: rng.normal(2.0, 2.0, pairs)) >= few(0.76)


def test_fewest_pairs():
    """Against tables of the paired t test: a difference of one spread needs 10 pairs, of half a spread 34."""
    assert [pairs_for_difference(1.0, effect) for effect in (1.0, 0.5, 0.2)] == [10, 34, 199]
    assert pairs_for_difference(2.0, 1.0) == pairs_for_difference(1.0, 0.5)
    assert pairs_for_difference(1.0, 0.5, power=0.9) == 44


def test_above_is_a_one_sided_t_test():
    values = np.random.default_rng(2).normal(0.3, 1.0, 9)
    assert above(values, 0.1) == pytest.approx(ttest_1samp(values, 0.1, alternative="greater").pvalue, abs=1e-14)


def test_above_keeps_its_level_at_the_bound():
    share = decisive(lambda values: above(values, -1.0), lambda rng: rng.normal(-1.0, 2.0, 10))
    assert few(hypotheses.LEVEL) <= share <= many(hypotheses.LEVEL)


@pytest.mark.parametrize("true", [1.0, -1.0])
def test_equivalent_keeps_its_level_at_the_margin(true):
    share = decisive(lambda values: equivalent(values, 1.0), lambda rng: rng.normal(true, 0.5, 10))
    assert few(hypotheses.LEVEL) <= share <= many(hypotheses.LEVEL)


def test_the_planned_pairs_decide_the_equivalence():
    pairs = pairs_for_equivalence(spread=1.5, margin=1.0)
    share = decisive(lambda values: equivalent(values, 1.0), lambda rng: rng.normal(0.0, 1.5, pairs))
    fewer = decisive(lambda values: equivalent(values, 1.0), lambda rng: rng.normal(0.0, 1.5, pairs - 5))
    assert share >= few(hypotheses.POWER)
    assert fewer < few(hypotheses.POWER)


def test_values_without_spread():
    same = np.full(5, 0.5)
    assert (above(same, 0.4), above(same, 0.5), equivalent(same, 0.6), equivalent(same, 0.4)) == (
        0,
        1,
        0,
        1,
    )


def test_holm_by_hand():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_holm_keeps_the_level_of_the_family():
    def family(rng):
        return {str(number): float(value) for number, value in enumerate(rng.uniform(size=8))}

    wrong = decisive(lambda values: min(holm(values).values()), family)
    assert few(1 - 0.95**8 - 0.3) <= wrong <= many(hypotheses.LEVEL)


def test_log_rank_by_hand():
    """Two kinds, times 1 and 3 against 2 and never, by the hypergeometric variance."""
    observed_less_expected = 2 - (2 / 4 + 1 / 3 + 1 / 2)
    variance = 1 / 4 + 2 / 9 + 1 / 4
    by_hand = 2 * norm.sf(observed_less_expected / variance**0.5)
    assert log_rank(np.array([1.0, 3.0]), np.array([2.0, NAN]), 9.0) == pytest.approx(by_hand, abs=1e-12)


def test_log_rank_with_none_that_arrives_decides_nothing():
    assert log_rank(np.array([NAN, 8.0]), np.array([NAN, NAN]), 5.0) == 1.0


def test_log_rank_where_all_arrive_at_once_decides_nothing():
    assert log_rank(np.array([2.0, 2.0]), np.array([2.0]), 5.0) == 1.0


def test_log_rank_keeps_its_level_and_sees_an_effect():
    def two(rng, factor):
        return rng.exponential(10.0, 30), rng.exponential(10.0 * factor, 30)

    def p_of(pair):
        return log_rank(*pair, 15.0)

    assert decisive(p_of, lambda rng: two(rng, 1.0), 600) <= many(0.06, 600)
    assert decisive(p_of, lambda rng: two(rng, 3.0), 600) >= 0.8


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: sign_flips(np.array([1.0])), "n = 1 is not allowed"),
        (lambda: sign_flips(np.array([1.0, NAN])), "values = nan is not allowed"),
        (lambda: above(np.ones((2, 2)), 0.0), r"the shape of values = \(2, 2\)"),
        (lambda: equivalent(np.ones(3), 0.0), "margin = 0.0 is not allowed"),
        (lambda: holm({"dfq": 1.5}), "the p-value of dfq = 1.5 is not allowed"),
        (lambda: holm({"dfq": NAN}), "the p-value of dfq = nan is not allowed"),
        (lambda: log_rank(np.array([1.0, -2.0]), np.ones(2), 5.0), "a time = -2.0 is not allowed"),
        (lambda: log_rank(np.ones(1), np.ones(1), NAN), "horizon = nan is not allowed"),
        (lambda: log_rank(np.ones((1, 2)), np.ones(1), 1.0), r"the shape of times = \(1, 2\)"),
        (lambda: pairs_for_difference(0.0, 1.0), "spread = 0.0 is not allowed"),
        (lambda: pairs_for_difference(1.0, 1.0, power=1.0), "power = 1.0 is not allowed"),
        (lambda: pairs_for_equivalence(1.0, 1.0, level=2.0), "level = 2.0 is not allowed"),
        (lambda: pairs_for_difference(1.0, 1e-4), "the number of pairs = 'more than 10000'"),
    ],
)
def test_wrong_values_are_refused_in_one_line(call, line):
    with pytest.raises(ConfigError, match=line) as refusal:
        call()
    assert "\n" not in str(refusal.value)
