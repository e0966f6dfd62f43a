import pytest
import torch

from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import Ridge, student
from cudfkd.base.errors import ConfigError
from tests.analysis.theory.toys import every, gradient, pace, toy


@every
@toy
def test_gradient_is_that_of_the_latent_loss(toy, reg):
    phi = objective(toy, reg, pace(reg))
    slope = gradient(phi.value, toy.start)
    point = phi.point(toy.start)
    assert torch.allclose(point.gradient, slope, rtol=0, atol=1e-13)
    assert point.value == pytest.approx(float(phi.value(toy.start)), abs=1e-15)


@every
def test_surrogate_change_is_a_difference(reg):
    phi = objective(student(1), reg, pace(reg))
    start = phi.point(phi.problem.start)
    end = phi.problem.start + 0.1
    plain = float(phi.surrogate(end, start.weights) - phi.surrogate(start.theta, start.weights))
    assert phi.surrogate_change(start, end) == pytest.approx(plain, abs=1e-13)


def test_many_values_at_once():
    phi = objective(student(2, batch_norm=True), "log", 2.0)
    thetas = phi.problem.start + torch.linspace(0, 1, 4, dtype=torch.float64)[:, None]
    one_by_one = torch.stack([phi.value(theta) for theta in thetas])
    assert torch.allclose(phi.values(thetas), one_by_one, rtol=0, atol=1e-14)


class Signed(Ridge):
    """Losses that can be negative."""

    def losses(self, theta):
        return self.inputs @ theta - self.targets


def test_negative_losses_are_refused():
    ones = torch.ones(2, dtype=torch.float64)
    with pytest.raises(ConfigError, match=r"losses\[0\] = -1.0"):
        objective(Signed(torch.zeros(2).double(), 0.0, torch.eye(2).double(), ones), "log", 1.0)


def test_float32_is_refused():
    single = Ridge(torch.zeros(2), 0.0, torch.eye(2), torch.ones(2))
    with pytest.raises(ConfigError, match="theta is torch.float32, which cannot resolve a tolerance of 1e-10"):
        objective(single, "log", 1.0)


@pytest.mark.parametrize(("reg", "lam"), [("log", 0.0), ("log", -1.0), ("jiang-log", 1.0), ("hard", float("nan"))])
def test_lambda_outside_its_domain_is_refused(reg, lam):
    with pytest.raises(ConfigError, match="lam = "):
        objective(student(0), reg, lam)
