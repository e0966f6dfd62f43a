"""The objective Phi that reweighting descends, and its surrogate Q at fixed weights.

    Phi(theta) = mean F(l_i(theta); lambda) + R(theta)          Q(theta; v) = mean [v_i l_i(theta) + g(v_i)] + R(theta)

Q at the weights v_i = v*(l_i(theta_k)) touches Phi at theta_k (T1). Q is computed with the penalty g and Phi with the
latent loss F. A comparison of Q with Phi therefore tests that g and F belong to the same regularizer.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import validate
from analysis.theory.toys.problems import Losses, Problem, Theta
from cudfkd.regularizers import Regularizer

Scalar = Float[Tensor, ""]


class Point(NamedTuple):
    """The present point of a student.

    theta: the parameters, (d,).
    losses: l_i(theta), (n,).
    weights: v_i, (n,).
    value: Phi(theta).
    gradient: mean v_i grad l_i + grad R, (d,).
    """

    theta: Theta
    losses: Losses
    weights: Losses
    value: float
    gradient: Theta


class Balance(NamedTuple):
    """The identity T2 for one step: objective = surrogate + bregman, up to `residual`.

    objective: Phi_k - Phi_{k+1}, computed from the latent losses.
    surrogate: Q(theta_k) - Q(theta_{k+1}) at the weights of theta_k.
    bregman: Q(theta_{k+1}) - Phi_{k+1}, computed with the penalty; >= 0 by T1.
    residual: objective - surrogate - bregman = Phi_k - Q(theta_k), which is 0 by Fenchel's equality.
    """

    objective: float
    surrogate: float
    bregman: float
    residual: float


@dataclass(frozen=True, eq=False)
class Objective:
    """Phi and Q of a problem for one regularizer and one lambda.

    Raises:
        ConfigError: lambda outside the regularizer's domain; losses at the start that are negative, not finite or not
            float64. `point` raises it for negative losses, and for a theta with another dtype or shape than the start.
    """

    problem: Problem
    reg: Regularizer
    lam: float

    def __post_init__(self) -> None:
        validate.pace(self.reg, self.lam)
        losses = validate.losses(self.problem.losses(self.problem.start))
        validate.resolves(1e-10, theta=self.problem.start, losses=losses)

    def point(self, theta: Theta) -> Point:
        """Losses, weights, value and gradient at theta; no gradient flows through the weights."""
        validate.alike(start=self.problem.start, theta=theta)
        variable = theta.detach().requires_grad_()
        losses = self.problem.losses(variable)
        if bool((losses < 0).any()):
            validate.losses(losses.detach())
        weights = self.reg.weight(losses.detach(), self.lam)
        (slope,) = torch.autograd.grad((weights * losses).mean(), variable)
        value = self._phi(losses.detach(), variable.detach())
        return Point(
            variable.detach(), losses.detach(), weights, float(value), slope + self.problem.decay * theta.detach()
        )

    def value(self, theta: Theta) -> Scalar:
        """Phi(theta), differentiable through the latent loss."""
        return self._phi(self.problem.losses(theta), theta)

    def values(self, thetas: Float[Tensor, "m d"]) -> Float[Tensor, " m"]:
        """Phi at many thetas."""
        return torch.vmap(self.value)(thetas)

    def surrogate(self, theta: Theta, weights: Losses) -> Scalar:
        """Q(theta; v), differentiable in theta."""
        penalty = self.reg.penalty(weights, self.lam)
        return (weights * self.problem.losses(theta) + penalty).mean() + self.ridge(theta)

    def surrogate_change(self, point: Point, theta: Theta) -> float:
        """Q(theta) - Q(point.theta) at the point's weights, without the cancellation of two large values."""
        change = (point.weights * (self.problem.losses(theta) - point.losses)).mean()
        return float(change + self.problem.decay / 2 * ((theta - point.theta) * (theta + point.theta)).sum())

    def balance(self, before: Point, after: Point) -> Balance:
        """The three parts of T2 for the step from `before` to `after`, and their residual."""
        penalty = self.reg.penalty(before.weights, self.lam)
        above = (before.weights * after.losses + penalty - self.reg.latent(after.losses, self.lam)).mean()
        descent = before.value - after.value
        surrogate_descent = -self.surrogate_change(before, after.theta)
        return Balance(descent, surrogate_descent, float(above), descent - surrogate_descent - float(above))

    def ridge(self, theta: Theta) -> Scalar:
        """R(theta) = decay / 2 |theta|^2."""
        return self.problem.decay / 2 * theta.square().sum()

    def _phi(self, losses: Losses, theta: Theta) -> Scalar:
        return self.reg.latent(losses, self.lam).mean() + self.ridge(theta)


def objective(problem: Problem, reg: Regularizer | str, lam: float) -> Objective:
    """The objective for a regularizer given by name or as an object."""
    return Objective(problem, validate.known(reg), validate.number("lam", lam))
