import numpy as np
import pytest

from analysis.checks.statistics import block_bootstrap_mean, bootstrap_mean, mean_over_seeds, share
from cudfkd.base.errors import ConfigError


def test_wilson_of_known_counts():
    every = share(400, 400)
    assert (every.value, every.high) == pytest.approx((1.0, 1.0), abs=1e-12)
    assert every.low == pytest.approx(0.990, abs=1e-3)
    some = share(223, 300)
    assert (some.low, some.high) == pytest.approx((0.691, 0.789), abs=1e-3)
    assert share(0, 10).low == 0.0


def test_wilson_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [share(int(count), 40).covers(0.3) for count in rng.binomial(40, 0.3, size=2000)]
    assert 0.93 < np.mean(covered) < 0.98


def test_bootstrap_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = [bootstrap_mean(rng.exponential(size=80), k, resamples=400).covers(1.0) for k in range(300)]
    assert 0.88 < np.mean(covered) < 0.98


def test_bootstrap_is_reproducible_and_centred():
    values = np.arange(10.0)
    assert bootstrap_mean(values, 3) == bootstrap_mean(values, 3)
    estimate = bootstrap_mean(values, 3)
    assert estimate.low < estimate.value == 4.5 < estimate.high


@pytest.mark.parametrize(("call", "line"), [
    (lambda: bootstrap_mean(np.ones(1)), "n = 1"),
    (lambda: bootstrap_mean(np.array([1.0, np.nan])), "values = nan"),
    (lambda: share(11, 10), "successes = 11"),
    (lambda: share(0, 0), "n = 0"),
    (lambda: share(2.5, 4), "successes = 2.5"),
    (lambda: bootstrap_mean(np.ones((3, 2))), r"shape of values = \(3, 2\)"),
    (lambda: bootstrap_mean(np.ones(3), resamples=0), "resamples = 0"),
])  # fmt: skip
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()


def test_interval_over_seeds_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [mean_over_seeds(rng.normal(size=5)).covers(0.0) for _ in range(1000)]
    assert 0.93 <= np.mean(covered) <= 0.97


def test_blocks_widen_the_interval_of_a_dependent_series_and_of_no_other():
    rng = np.random.default_rng(0)
    white = rng.normal(size=2000)
    slow = np.convolve(white, np.ones(20) / 20, mode="valid")
    width = {
        (name, block): np.diff(block_bootstrap_mean(series, block)[1:3])[0]
        for name, series in (("white", white), ("slow", slow))
        for block in (1, 100)
    }
    assert width["slow", 100] > 3 * width["slow", 1]
    assert width["white", 100] == pytest.approx(width["white", 1], rel=0.25)


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan], [[1.0, 2.0]]])
def test_no_interval_of_too_few_or_of_what_is_not_finite(values):
    for interval in (mean_over_seeds, lambda x: block_bootstrap_mean(x, 1)):
        with pytest.raises(ConfigError):
            interval(np.array(values))


def test_a_block_longer_than_the_series_is_refused():
    with pytest.raises(ConfigError, match="block = 4"):
        block_bootstrap_mean(np.arange(3.0), 4)
