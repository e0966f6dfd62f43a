"""Inner solvers, and runs of them: reweight, step on the surrogate, reweight (T2 to T4).

An inner solver takes the objective and the point where the student is, and gives the next theta and the step it took:

    Exact()         the minimiser of Q at fixed weights (Ridge: closed form; Logistic: Newton)
    Armijo(...)     gradient steps on Q, each halved until Q falls by c eta |grad|^2
    Gradient(eta)   one gradient step of fixed length

`run` makes K steps and records them; `Path.solution` hands out the last student only if the gradient became small.
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
    """An inner solver's result. theta (d,), step: the length of its (first) gradient step; NaN for an exact one."""

    theta: Theta
    step: float


Inner = Callable[[Objective, Point], Move]


@dataclass(frozen=True)
class Exact:
    """The minimiser of Q(. | theta_k). Raises ConfigError for a network, NotConvergedError where there is none."""

    def __call__(self, phi: Objective, point: Point) -> Move:
        return Move(solvable(phi.problem).minimise(point.weights), float("nan"))


@dataclass(frozen=True)
class Gradient:
    """theta - step * grad Phi(theta): descends for step < 2 / L (T3)."""

    step: float

    def __post_init__(self) -> None:
        validate.positive("step", self.step)

    def __call__(self, phi: Objective, point: Point) -> Move:
        del phi
        return Move(point.theta - self.step * point.gradient, self.step)


@dataclass(frozen=True)
class Armijo:
    """`inner` gradient steps on Q(. | theta_k), each halved from `first` until Q falls by c eta |grad Q|^2.

    Raises:
        NotConvergedError: no step length down to first / 2^60 does it, though more than rounding was promised.
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
            return 0.0  # nothing left to gain that the arithmetic could show
        raise NotConvergedError(
            f"no step down to {step:g} lowers the surrogate, though |gradient| = {steepness**0.5:g}"
        )


@dataclass(frozen=True, eq=False)
class Path:
    """K steps of a run.

    thetas (K+1, d); objective and gradient (norms), both (K+1,); steps (K,), NaN for exact ones;
    balances: T2's parts, one a step. gradient_tolerance: at or below it the run counts as converged.
    """

    thetas: Float[Tensor, "k1 d"]
    objective: Float[np.ndarray, " k1"]
    gradient: Float[np.ndarray, " k1"]
    steps: Float[np.ndarray, " k"]
    balances: tuple[Balance, ...]
    gradient_tolerance: float

    @property
    def converged(self) -> bool:
        """The last gradient is small enough."""
        return bool(self.gradient[-1] <= self.gradient_tolerance)

    @property
    def solution(self) -> Theta:
        """The last theta. Raises NotConvergedError if its gradient is not small enough."""
        if not self.converged:
            left = f"|gradient| = {self.gradient[-1]:g} is above {self.gradient_tolerance:g}"
            raise NotConvergedError(f"not converged: after {len(self.steps)} steps {left}")
        return self.thetas[-1]

    @property
    def rises(self) -> int:
        """How many steps raised the objective by more than rounding."""
        fallen = -np.diff(self.objective)
        return int((fallen < -50 * EPS * np.maximum(1, np.abs(self.objective[:-1]))).sum())

    def table(self) -> pd.DataFrame:
        """A row a step k: objective and gradient before it, step length, descent = surrogate + bregman."""
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
    """Majorize and minimise: at most `steps` steps, fewer if |grad Phi| falls to `tolerance`.

    Arguments:
        inner: Exact(), Armijo(...), Gradient(step); or "exact" or "armijo", with their defaults.
        start: the first theta; None takes the problem's.

    Raises:
        ConfigError: lambda outside its domain, losses negative or not float64, steps < 1; a start of another dtype or
            shape than the problem's.
        NotConvergedError: an inner solver failed, or the iterates left the finite numbers.
    """
    validate.count("steps", steps)
    validate.positive("tolerance", tolerance)
    phi, solver = objective(problem, reg, lam), _named(inner)
    path, lengths, balances = [phi.point(problem.start if start is None else start)], [], []
    validate.losses(path[0].losses, "losses at the start")
    while len(lengths) < steps and float(path[-1].gradient.norm()) > tolerance:
        move = solver(phi, path[-1])
        if move.step == 0:  # nothing left to gain
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
    """A critical point of Phi: |grad Phi| <= 1e-8 after at most `most` steps. Raises NotConvergedError otherwise."""
    return run(problem, reg, lam, inner, most).solution


def _named(inner: Inner | str) -> Inner:
    if not isinstance(inner, str):
        return inner
    known: dict[str, Inner] = {"exact": Exact(), "armijo": Armijo()}
    if inner not in known:
        validate.refuse("inner", inner, f"a solver or one of {', '.join(known)}")
    return known[inner]


def _finite(point: Point, k: int) -> Point:
    if not np.isfinite(point.value):
        raise NotConvergedError(f"the objective is {point.value} after step {k}: the iterates left the finite numbers")
    return point


def _under_old_weights(phi: Objective, point: Point, theta: Theta) -> Point:
    """The point at theta as the surrogate sees it: its losses and gradient, under the old weights."""
    variable = theta.detach().requires_grad_()
    losses = phi.problem.losses(variable)
    (slope,) = torch.autograd.grad((point.weights * losses).mean(), variable)
    return Point(theta, losses.detach(), point.weights, point.value, slope + phi.problem.decay * theta)
