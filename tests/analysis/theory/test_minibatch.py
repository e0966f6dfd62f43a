import pytest
import torch

from analysis.theory import minibatch
from analysis.theory.toys import descent
from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import logistic, student
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import TOYS, every, pace, toy


@every
@toy
def test_theorem_7_holds(toy, reg):
    assert minibatch.expected(toy, reg, pace(reg)).passed
    median = float(toy.losses(toy.start).median())
    assert minibatch.unbiased(toy, reg, min(median, pace(reg))).passed


@pytest.mark.parametrize("batch", [2, 3])
def test_variance_without_replacement(batch):
    toy = logistic(1, n=20, d=2)
    assert minibatch.expected(toy, "log", 1.5, batch=batch).passed


def test_full_batch_has_no_noise():
    toy = logistic(1, n=20, d=2)
    result = minibatch.expectation(toy, "log", 1.5, toy.start, 0.1, batch=20)
    assert result.bound == result.drop
    phi = objective(toy, "log", 1.5)
    point = phi.point(toy.start)
    moved = float(phi.value(toy.start - 0.1 * point.gradient))
    assert result.change == pytest.approx(moved - point.value, abs=1e-15)


def test_expected_descent_is_impossible_at_a_noisy_minimum():
    toy = TOYS["logistic"]
    end = descent.solve(toy, "log", 1.5)
    assert minibatch.expectation(toy, "log", 1.5, end, 0.1).change > 0


def test_batch_statistics_break_the_hypothesis():
    check = minibatch.batch_statistics("log", 2.0)
    assert check.passed
    assert check.control.violation > 1e-3


@pytest.mark.parametrize("reg", ["log", "cauchy", "linear"])
@toy
def test_slope_of_the_mean_change(toy, reg):
    check = minibatch.slope_covers(toy, reg, 1.5)
    assert check.passed
    assert not check.exact


def test_regression_finds_slope_and_bend():
    toy = TOYS["logistic"]
    fit = minibatch.regression(toy, "log", 1.5, longest=0.02, draws=2000)
    assert fit.slope.covers(fit.squared)
    assert fit.slope.n == 2000
    assert fit.slope.high - fit.slope.low < 0.2 * fit.squared
    assert fit == minibatch.regression(toy, "log", 1.5, longest=0.02, draws=2000)


def test_sample_gradients_average_to_the_gradient():
    phi = objective(student(1), "log", 2.0)
    gradients = minibatch.sample_gradients(phi, phi.problem.start)
    assert torch.allclose(gradients.mean(0), phi.point(phi.problem.start).gradient, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("call", "line"), [
    (lambda: minibatch.expectation(TOYS["ridge"], "log", 1.0, TOYS["ridge"].start, 0.1, batch=5), "batch = 5"),
    (lambda: minibatch.expectation(TOYS["ridge"], "log", 1.0, TOYS["ridge"].start, 0.1, batch=41), "batch = 41"),
    (lambda: minibatch.expectation(TOYS["ridge"], "log", 1.0, TOYS["ridge"].start, 0.0), "step = 0.0"),
    (lambda: minibatch.regression(TOYS["ridge"], "log", 1.0, draws=1), "draws = 1"),
    (lambda: minibatch.regression(TOYS["ridge"], "log", 1.0, longest=-1.0), "longest = -1.0"),
])  # fmt: skip
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
