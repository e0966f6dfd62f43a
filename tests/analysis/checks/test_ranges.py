"""The range of means by luck alone: known constants, simulations, and an effect that is no luck."""

import numpy as np
import pytest

from analysis.checks.ranges import Spread, chance, luck, pooled
from cudfkd.base.errors import ConfigError


@pytest.mark.parametrize(("settings", "constant"), [(2, 1.128), (3, 1.693), (8, 2.847), (9, 2.970)])
def test_the_expected_range_has_the_constants_of_quality_control(settings, constant):
    assert luck(Spread(1.0, 10), settings).expected == pytest.approx(constant, abs=5e-4)
    assert luck(Spread(1.0, 10), settings, runs=4).expected == pytest.approx(constant / 2, abs=5e-4)


def test_the_limit_is_that_of_tukeys_table():
    assert luck(Spread(1.0, 10), 3).limit == pytest.approx(3.877, abs=5e-3)
    assert luck(Spread(1.0, 36), 9).limit < luck(Spread(1.0, 2), 9).limit


def test_ranges_of_equal_settings_stay_below_the_limit_as_often_as_promised():
    draws = np.random.default_rng(0).normal(size=(2000, 9, 5))
    extents, by_luck = np.ptp(draws.mean(2), axis=1), luck(Spread(1.0, 36), 9, 5)
    below = extents < by_luck.limit * np.array([pooled(list(group)).sd for group in draws])
    assert extents.mean() == pytest.approx(by_luck.expected, rel=0.02)
    assert below.mean() == pytest.approx(0.95, abs=0.015)


def test_the_spread_is_pooled_over_groups_of_unequal_means():
    assert pooled([np.array([1.0, 3.0]), np.array([10.0, 10.0, 10.0])]) == Spread((2 / 3) ** 0.5, 3)
    with pytest.raises(ConfigError, match="runs beyond the first of a group = 0"):
        pooled([np.array([1.0]), np.array([2.0])])


def test_an_effect_is_unlikely_by_luck_and_equality_is_not():
    assert chance(6.0, Spread(1.0, 36), 9) < 0.01
    assert chance(3.0, Spread(1.0, 36), 9) > 0.3
    assert chance(luck(Spread(2.0, 8), 4, 3).limit, Spread(2.0, 8), 4, 3) == pytest.approx(0.05, abs=1e-4)
