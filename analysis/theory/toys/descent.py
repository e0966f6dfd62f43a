"""Inner solvers and their runs: reweight, step on the surrogate, reweight (T2 to T4).

An inner solver takes the objective and the student's present point. It returns the next theta and the step length:

    Exact()         the minimiser of Q at fixed weights (Ridge: closed form; Logistic: Newton)
    Armijo(...)     gradient steps on Q, each halved until Q falls by c eta |grad|^2
    Gradient(eta)   one gradient step of fixed length

`run` makes K steps and records them. `Path.solution` is the last theta, but only if the gradient became small.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import validate
from analysis.theory.toys.objective import Balance, Objective, Point, objective
from analysis.theory.toys.problems import NotConvergedError, Problem, Theta, solvable
from cudfkd.regularizers import Regularizer

EPS = torch.finfo(torch.float64).eps
HALVINGS = 60


class Move(NamedTuple):
    """The result of an inner solver.

    theta: the next theta, (d,).
    step: the length of the solver's (first) gradient step; NaN for an exact step.
    """

    theta: Theta
    step: float


Inner = Callable[[Objective, Point], Move]


@dataclass(frozen=True)
class Exact:
    """The exact inner solver: its next theta is the minimiser of Q(. | theta_k).

    Raises:
        ConfigError: the problem is a network.
        NotConvergedError: Q has no minimiser.
    """

    def __call__(self, phi: Objective, point: Point) -> Move:
        return Move(solvable(phi.problem).minimise(point.weights), float("nan"))


@dataclass(frozen=True)
class Gradient:
    """One gradient step of fixed length: theta - step * grad Phi(theta). It descends for step < 2 / L (T3)."""

    step: float

    def __post_init__(self) -> None:
        validate.positive("step", self.step)

    def __call__(self, phi: Objective, point: Point) -> Move:
        del phi
        return Move(point.theta - self.step * point.gradient, self.step)


@dataclass(frozen=True)
class Armijo:
    """`inner` gradient steps on Q(. | theta_k) with Armijo's rule.

    Each step length eta starts at `first` and is halved until Q falls by c eta |grad Q|^2.

    Raises:
        NotConvergedError: no length down to first / 2^60 lowers Q enough, though the promised fall exceeds rounding.
    """

    c: float = 0.1
    first: float = 1.0
    inner: int = 1

    def __post_init__(self) -> None:
        validate.positive("first", self.first)
        validate.count("inner", self.inner)
        if not 0 < self.c < 1:
            validate.refuse("c", self.c, "in (0, 1)")

    def __call__(self, phi: Objective, point: Point) -> Move:
        first = step = self._backtrack(phi, point)
        for _ in range(self.inner - 1):
            point = _under_old_weights(phi, point, point.theta - step * point.gradient)
            step = self._backtrack(phi, point)
        return Move(point.theta - step * point.gradient, first)

    def _backtrack(self, phi: Objective, point: Point) -> float:
        steepness, step = float(point.gradient.square().sum()), self.first
        for _ in range(HALVINGS):
            change = phi.surrogate_change(point, point.theta - step * point.gradient)
            if change <= -self.c * step * steepness:
                return step
            step /= 2
        if self.c * self.first * steepness <= 1e3 * EPS * max(1.0, abs(point.value)):
            return 0.0  # any further fall of Q would be smaller than rounding
        raise NotConvergedError(
            f"no step down to {step:g} lowers the surrogate, though |gradient| = {steepness**0.5:g}"
        )


@dataclass(frozen=True, eq=False)
class Path:
    """The record of a run of K steps.

    thetas: the iterates, (K+1, d).
    objective: Phi at the iterates, (K+1,).
    gradient: norms of grad Phi at the iterates, (K+1,).
    steps: step lengths, (K,); NaN for exact steps.
    balances: the three parts of T2 and their residual, one `Balance` per step.
    gradient_tolerance: the run counts as converged if the last gradient norm is at most this.
    """

    thetas: Float[Tensor, "k1 d"]
    objective: Float[np.ndarray, " k1"]
    gradient: Float[np.ndarray, " k1"]
    steps: Float[np.ndarray, " k"]
    balances: tuple[Balance, ...]
    gradient_tolerance: float

    @property
    def converged(self) -> bool:
        """Whether the last gradient norm is at most `gradient_tolerance`."""
        return bool(self.gradient[-1] <= self.gradient_tolerance)

    @property
    def solution(self) -> Theta:
        """The last theta. Raises NotConvergedError if its gradient norm exceeds `gradient_tolerance`."""
        if not self.converged:
            left = f"|gradient| = {self.gradient[-1]:g} is above {self.gradient_tolerance:g}"
            raise NotConvergedError(f"not converged: after {len(self.steps)} steps {left}")
        return self.thetas[-1]

    @property
    def rises(self) -> int:
        """The number of steps that raised the objective by more than rounding."""
        fallen = -np.diff(self.objective)
        return int((fallen < -50 * EPS * np.maximum(1, np.abs(self.objective[:-1]))).sum())

    def table(self) -> pd.DataFrame:
        """One row per step k: objective and gradient before the step, step length, and the parts of T2.

        The columns of T2: descent = surrogate + bregman, up to residual.
        """
        parts = pd.DataFrame(self.balances, columns=["descent", "surrogate", "bregman", "residual"])
        before = {"objective": self.objective[:-1], "gradient": self.gradient[:-1], "step": self.steps}
        return pd.concat([pd.DataFrame(before), parts], axis=1).rename_axis("k")


def run(
    problem: Problem,
    reg: Regularizer | str,
    lam: float,
    inner: Inner | str = "armijo",
    steps: int = 100,
    tolerance: float = 1e-8,
    start: Theta | None = None,
) -> Path:
    """Majorizes and minimises: at most `steps` steps, fewer if |grad Phi| falls to `tolerance`.

    Arguments:
        inner: Exact(), Armijo(...) or Gradient(step); or "exact" or "armijo", the solvers with their defaults.
        start: the first theta; None takes the problem's start.

    Raises:
        ConfigError: lambda outside its domain, losses negative or not float64, steps < 1; a start with a dtype or shape
            that differs from the problem's start.
        NotConvergedError: an inner solver failed, or the iterates left the finite numbers.
    """
    validate.count("steps", steps)
    validate.positive("tolerance", tolerance)
    phi, solver = objective(problem, reg, lam), _named(inner)
    path, lengths, balances = [phi.point(problem.start if start is None else start)], [], []
    validate.losses(path[0].losses, "losses at the start")
    while len(lengths) < steps and float(path[-1].gradient.norm()) > tolerance:
        move = solver(phi, path[-1])
        if move.step == 0:  # Armijo: no fall of Q beyond rounding is left
            break
        path.append(_finite(phi.point(move.theta), len(lengths) + 1))
        lengths.append(move.step)
        balances.append(phi.balance(path[-2], path[-1]))
    return Path(
        torch.stack([point.theta for point in path]),
        np.array([point.value for point in path]),
        np.array([float(point.gradient.norm()) for point in path]),
        np.array(lengths),
        tuple(balances),
        tolerance,
    )


def solve(
    problem: Problem, reg: Regularizer | str, lam: float, inner: Inner | str = "exact", most: int = 1000
) -> Theta:
    """A critical point of Phi: |grad Phi| <= 1e-8 after at most `most` steps, else NotConvergedError."""
    return run(problem, reg, lam, inner, most).solution


def _named(inner: Inner | str) -> Inner:
    if not isinstance(inner, str):
        return inner
    solvers: dict[str, Inner] = {"exact": Exact(), "armijo": Armijo()}
    if inner not in solvers:
        validate.refuse("inner", inner, f"a solver or one of {', '.join(solvers)}")
    return solvers[inner]


def _finite(point: Point, k: int) -> Point:
    if not np.isfinite(point.value):
        raise NotConvergedError(f"the objective is {point.value} after step {k}: the iterates left the finite numbers")
    return point


def _under_old_weights(phi: Objective, point: Point, theta: Theta) -> Point:
    """The point at theta with the losses at theta and the gradient of the surrogate, at the old weights."""
    variable = theta.detach().requires_grad_()
    losses = phi.problem.losses(variable)
    (slope,) = torch.autograd.grad((point.weights * losses).mean(), variable)
    return Point(theta, losses.detach(), point.weights, point.value, slope + phi.problem.decay * theta)
