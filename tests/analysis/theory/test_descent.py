import numpy as np
import pytest
import torch

from analysis.theory.toys import descent
from analysis.theory.toys.descent import Armijo, Exact, Gradient
from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import NotConvergedError, points, ridge, student
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import TOYS, every, gradient, pace, toy


@every
@toy
def test_exact_steps_end_at_a_critical_point(toy, reg):
    path = descent.run(toy, reg, pace(reg), Exact(), steps=1000)
    assert path.converged
    assert path.rises == 0
    left = gradient(objective(toy, reg, pace(reg)).value, path.solution)
    assert float(left.norm()) <= 1e-8


def test_bounded_losses_ignore_outliers():
    toy = ridge(0)
    plain = toy.minimise(torch.ones(200).double())
    robust = descent.solve(toy, "log", 1.5)
    truth = descent.solve(ridge(0, outliers=0.0), "log", 1.5)
    assert float((robust - truth).norm()) < 0.05
    assert float((plain - truth).norm()) > 0.2


@pytest.mark.parametrize("inner", [1, 5])
def test_armijo_descends_on_a_student(inner):
    path = descent.run(student(0), "log", 2.0, Armijo(inner=inner), steps=60)
    assert path.rises == 0
    assert path.objective[-1] < 0.5 * path.objective[0]
    assert path.thetas.shape == (61, len(student(0).start))
    assert min(balance.bregman for balance in path.balances) >= -1e-15


def test_inner_steps_descend_more():
    slow, fast = (descent.run(student(0), "log", 2.0, Armijo(inner=k), steps=20).objective[-1] for k in (1, 5))
    assert fast < slow


def test_last_iterate_is_not_handed_out():
    path = descent.run(TOYS["ridge"], "log", 1.5, Armijo(), steps=2)
    assert not path.converged
    with pytest.raises(NotConvergedError, match=r"not converged: after 2 steps \|gradient\| = .* is above 1e-08"):
        _ = path.solution
    with pytest.raises(NotConvergedError, match="not converged"):
        descent.solve(TOYS["logistic"], "log", 1.5, most=1)


def test_a_surrogate_that_cannot_fall_is_said():
    phi = objective(TOYS["ridge"], "log", 1.5)
    point = phi.point(phi.problem.start)
    uphill = point._replace(gradient=-point.gradient)
    with pytest.raises(NotConvergedError, match="no step down to .* lowers the surrogate"):
        Armijo()(phi, uphill)


def test_iterates_that_leave_the_numbers_are_said():
    with pytest.raises(NotConvergedError, match="the objective is (inf|nan) after step"):
        descent.run(points(0.0, start=1.0), "cauchy", 1e3, Gradient(1e200), steps=5)


def test_run_at_a_critical_point_takes_no_step():
    path = descent.run(points(0.0), "log", 2.0, steps=5)
    assert len(path.steps) == 0
    assert path.converged
    assert path.solution.tolist() == [0.0]
    assert path.table().empty


def test_armijo_stops_at_rounding():
    path = descent.run(points(0.0, start=1.0), "log", 2.0, Armijo(), steps=500, tolerance=1e-300)
    assert len(path.steps) < 500
    assert path.rises == 0


def test_two_runs_give_the_same_bits():
    first, second = (descent.run(student(3), "log", 2.0, steps=15) for _ in range(2))
    assert torch.equal(first.thetas, second.thetas)
    np.testing.assert_array_equal(first.objective, second.objective)


def test_table_splits_each_descent():
    table = descent.run(TOYS["logistic"], "welsch", 1.5, steps=10).table()
    assert list(table.columns) == ["objective", "gradient", "step", "descent", "surrogate", "bregman", "residual"]
    np.testing.assert_allclose(table["descent"], table["surrogate"] + table["bregman"], rtol=0, atol=1e-15)
    np.testing.assert_allclose(-np.diff(table["objective"]), table["descent"][:-1], rtol=0, atol=1e-15)


@pytest.mark.parametrize(("call", "line"), [
    (lambda: descent.run(TOYS["ridge"], "log", 1.0, steps=0), "steps = 0"),
    (lambda: descent.run(TOYS["ridge"], "log", 1.0, "newton"), "inner = 'newton'"),
    (lambda: descent.run(student(0), "log", 1.0, "exact"), "problem = 'StudentProblem'"),
    (lambda: Gradient(0.0), "step = 0.0"),
    (lambda: Armijo(c=1.0), "c = 1.0"),
    (lambda: Armijo(first=-1.0), "first = -1.0"),
    (lambda: Armijo(inner=0), "inner = 0"),
])  # fmt: skip
def test_bad_input(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
