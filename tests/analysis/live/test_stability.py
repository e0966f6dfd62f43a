import numpy as np
import pytest

from analysis.live import stability
from analysis.live.stability import Reach
from cudfkd import ConfigError

CURVE = [0.2, 0.5, 0.4, 0.6, 0.55, 0.7]


def test_mu_and_sigma_of_known_curves():
    numbers = stability.stability([0.5, 0.7])
    assert numbers == pytest.approx((60.0, 100.0, 10.0, 2))
    assert stability.stability([0.5, 0.7], ddof=1).variance == pytest.approx(200.0)
    assert stability.stability([0.1, 0.5, 0.7], skip=1) == pytest.approx((60.0, 100.0, 10.0, 2))


def test_a_straight_line_is_stable_once_its_trend_is_left_out():
    line = np.linspace(0.2, 0.8, 10)
    assert stability.stability(line).sigma > 10
    assert stability.stability(line, detrend=True).sigma == pytest.approx(0, abs=1e-9)


def test_drawdown():
    assert stability.drawdown(CURVE) == pytest.approx(0.1)
    assert stability.drawdown([0.1, 0.2, 0.3]) == 0


def test_epochs_to_a_level():
    assert stability.reaches(CURVE, 0.5) == Reach(2, censored=False)
    assert stability.reaches(CURVE, 0.5, stay=3) == Reach(4, censored=False)
    assert stability.reaches(CURVE, 0.9) == Reach(6, censored=True)
    assert stability.reaches_own(CURVE, 1.0) == Reach(6, censored=False)


def test_censored_runs_count_at_the_horizon_and_make_the_median_infinite():
    runs = [Reach(2, censored=False), Reach(10, censored=True), Reach(10, censored=True)]
    assert stability.restricted_mean(runs, 10).value == pytest.approx(22 / 3)
    assert stability.median_epoch(runs) == float("inf")
    assert stability.median_epoch([*runs, *([Reach(4, censored=False)] * 2)]) == 4
    with pytest.raises(ConfigError, match="horizon = 20"):
        stability.restricted_mean(runs, 20)


def test_an_early_plateau_wins_by_its_own_best_and_loses_by_a_level():
    plateau, climber = stability.plateau_and_climber()
    assert stability.reaches_own(plateau, 0.95).epoch < stability.reaches_own(climber, 0.95).epoch
    assert stability.reaches(plateau, 0.8).censored
    assert not stability.reaches(climber, 0.8).censored


def test_best_of_many_is_the_mean_of_the_largest():
    draws = np.random.default_rng(0).normal(size=(20_000, 10)).max(1)
    assert stability.best_bias(1) == pytest.approx(0, abs=1e-9)
    assert stability.best_bias(10) == pytest.approx(draws.mean(), abs=4 * draws.std() / 20_000**0.5)
    assert stability.best_bias(250) == pytest.approx(2.81, abs=0.01)


def test_no_value_deviates_more_than_samuelson_allows():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.exponential(size=12)
        assert np.abs(values - values.mean()).max() <= stability.most_deviant(12) * values.std() + 1e-12
    extreme = np.array([1.0] + [0.0] * 11)
    assert (extreme - extreme.mean()).max() == pytest.approx(stability.most_deviant(12) * extreme.std())


def test_the_last_is_unbiased_and_the_best_is_not():
    verdict = stability.last_is_unbiased(runs=200, epochs=50)
    assert verdict.passed
    assert verdict.control.violation > 0.01


def test_simulated_students():
    labels, teacher, copy, knowing = stability.students(1000)
    right = [(logits.argmax(1) == labels).double().mean() for logits in (teacher, copy, knowing)]
    assert right[0] == pytest.approx(0.7, abs=0.05)
    assert right[1] == pytest.approx(float(right[0]), abs=0.02)
    assert right[2] > 0.99


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: stability.stability([0.5, 70.0]), "accuracy = 70.0"),
        (lambda: stability.stability([0.5, 0.6], skip=1), "epochs in the window = 1"),
        (lambda: stability.reaches([0.5], 1.5), "level = 1.5"),
        (lambda: stability.reaches([0.5], 0.5, stay=0), "stay = 0"),
        (lambda: stability.drawdown([]), "number of epochs = 0"),
    ],
)
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
