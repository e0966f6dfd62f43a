"""T8: heavy-ball momentum in torch's convention. The objective rises and falls; the energy only falls.

    m_{k+1} = beta m_k + grad Phi_k,   theta_{k+1} = theta_k - eta_k m_{k+1},   m_0 = 0
    energy_k = Phi_k + beta eta_k / 2 |m_k|^2

Sources, from memory: Zavriev and Kostyuk (1993); Ochs et al. (2014, iPiano).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import cos, pi

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import STILL, Check, check, validate
from analysis.theory import attained, bounds
from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import NotConvergedError, Problem, Theta, points, solvable
from cudfkd.regularizers import Logistic, Regularizer


@dataclass(frozen=True, eq=False)
class MomentumPath:
    """The record of K steps with momentum.

    objective: Phi at the iterates, (K+1,).
    gradient: norms of grad Phi at the iterates, (K+1,).
    momentum: the norms |m_k|, (K+1,), so momentum[0] = 0.
    steps: the step lengths eta_k, (K,).
    beta: the momentum factor.
    thetas: the iterates, (K+1, d).
    gradient_tolerance: the run counts as converged if the last gradient norm is at most this.
    """

    objective: Float[np.ndarray, " k1"]
    gradient: Float[np.ndarray, " k1"]
    momentum: Float[np.ndarray, " k1"]
    steps: Float[np.ndarray, " k"]
    beta: float
    thetas: Float[Tensor, "k1 d"]
    gradient_tolerance: float

    @property
    def solution(self) -> Theta:
        """The last theta. Raises NotConvergedError if its gradient norm exceeds `gradient_tolerance`."""
        if not self.gradient[-1] <= self.gradient_tolerance:
            left = f"|gradient| = {self.gradient[-1]:g} is above {self.gradient_tolerance:g}"
            raise NotConvergedError(f"not converged: after {len(self.steps)} steps with momentum {left}")
        return self.thetas[-1]

    @property
    def energy(self) -> Float[np.ndarray, " k1"]:
        """The energies, (K+1,); the last energy uses the last step length."""
        lengths = np.append(self.steps, self.steps[-1])
        return self.objective + self.beta * lengths / 2 * self.momentum**2

    @property
    def displacement_energy(self) -> Float[np.ndarray, " k1"]:
        """Phi_k + beta / (2 eta_k) |theta_k - theta_{k-1}|^2: the energy at constant eta, with jumps when eta drops."""
        lengths = np.append(self.steps, self.steps[-1])
        moved = np.concatenate([[0.0], self.steps * self.momentum[1:]])
        return self.objective + self.beta / (2 * lengths) * moved**2

    def table(self) -> pd.DataFrame:
        """One row per k: objective, energy, displacement energy, momentum, gradient."""
        columns = {
            "objective": self.objective, "energy": self.energy, "displacement energy": self.displacement_energy,
            "momentum": self.momentum, "gradient": self.gradient,
        }  # fmt: skip
        return pd.DataFrame(columns).rename_axis("k")


def run(
    problem: Problem,
    reg: Regularizer | str,
    lam: float,
    steps: Sequence[float],
    beta: float = 0.9,
    tolerance: float = 1e-8,
) -> MomentumPath:
    """Makes momentum steps of the given lengths (see `constant` and `cosine`).

    Arguments:
        tolerance: the gradient tolerance of `MomentumPath.solution`.

    Raises:
        ConfigError: lambda outside its domain, beta outside [0, 1), a step <= 0, no step; losses that are negative, not
            finite or not float64.
        NotConvergedError: the iterates left the finite numbers.
    """
    validate.within("beta", beta, 0, 1)
    validate.positive("tolerance", tolerance)
    validate.count("number of steps", len(steps))
    phi = objective(problem, reg, lam)
    path, m, momentum_norms = [phi.point(problem.start)], torch.zeros_like(problem.start), [0.0]
    for k, step in enumerate(steps):
        m = beta * m + path[-1].gradient
        path.append(phi.point(path[-1].theta - validate.positive(f"steps[{k}]", step) * m))
        momentum_norms.append(float(m.norm()))
        if not np.isfinite(path[-1].value):
            raise NotConvergedError(f"the objective is {path[-1].value} after step {k + 1} of length {step:g}")
    values = np.array([point.value for point in path])
    gradient_norms = np.array([float(point.gradient.norm()) for point in path])
    thetas, lengths = torch.stack([point.theta for point in path]), np.array(steps, dtype=np.float64)
    return MomentumPath(values, gradient_norms, np.array(momentum_norms), lengths, beta, thetas, tolerance)


def constant(step: float, count: int) -> list[float]:
    """A schedule of `count` steps of the same length."""
    return [step] * count


def cosine(step: float, count: int) -> list[float]:
    """A schedule that falls from `step` along half a cosine and ends above 0: step (1 + cos(pi k / count)) / 2."""
    return [step * (1 + cos(pi * k / count)) / 2 for k in range(count)]


def largest_step(problem: Problem, beta: float = 0.9) -> float:
    """The largest step for which T8 guarantees descent of the energy: 2 (1 - beta) / L.

    L bounds the curvature for all weights, because v <= 1.
    """
    return 2 * (1 - beta) / _curvature(problem)


def energy(
    problem: Problem, reg: Regularizer | str, lam: float, beta: float = 0.9, share: float = 0.95, count: int = 80
) -> Check:
    """T8 at every step of a cosine schedule that starts at `share` of 2 (1 - beta) / L.

    The check is energy_{k+1} <= energy_k - eta_k (1 - beta - L eta_k / 2) |m_{k+1}|^2. One small quadratic loss
    without momentum attains it. The control demands that Phi itself does not rise.
    """
    validate.within("share", share, 0, 1 + 1e-12)
    path = run(problem, reg, lam, cosine(share * largest_step(problem, beta), count), beta)
    sharp = _sharp(reg, lam, tuple(cosine(share * 2, 5)))
    slack = [*_over_energy(path, _curvature(problem)), *_over_energy(sharp, 1.0)]
    control = ("Phi in place of the energy", np.diff(_swing(0.1).objective)) if path.momentum.any() else STILL
    statement = "energy_{k+1} <= energy_k - eta (1 - beta - L eta / 2) |m_{k+1}|^2"
    return check("energy falls", statement, "T8", slack, control)


def gradients(
    problem: Problem, reg: Regularizer | str, lam: float, beta: float = 0.9, share: float = 0.5, count: int = 80
) -> Check:
    """T8 at constant eta: sum |grad Phi_k|^2 <= (1 + beta)^2 (Phi_0 - inf Phi) / [eta (1 - beta - L eta / 2)].

    One small quadratic loss without momentum attains the bound. The control claims the bound for it with half of L.
    """
    validate.within("share", share, 0, 1)
    path = run(problem, reg, lam, constant(share * largest_step(problem, beta), count), beta)
    sharp = _sharp(reg, lam, (1.5,) * 20)
    statement = "sum |grad Phi|^2 <= (1 + beta)^2 Phi_0 / [eta (1 - beta - L eta / 2)]"
    control = ("L half as large", [_over_sum(sharp, 0.5)]) if path.gradient.any() else STILL
    return check("gradients are summable", statement, "T8",
                 [_over_sum(path, _curvature(problem)), _over_sum(sharp, 1.0)], control)  # fmt: skip


def _over_energy(path: MomentumPath, curvature: float) -> np.ndarray:
    """The excess of the energy after each step over its bound, relative to max(1, energy)."""
    drops = [bounds.energy_drop(step, curvature, path.beta, norm**2)
             for step, norm in zip(path.steps, path.momentum[1:], strict=True)]  # fmt: skip
    return (np.diff(path.energy) + drops) / np.maximum(1, path.energy[:-1])


def _over_sum(path: MomentumPath, curvature: float) -> float:
    """The excess of the sum of squared gradients over its bound."""
    allowed = bounds.gradient_sum(float(path.objective[0]), float(path.steps[0]), curvature, path.beta)
    return float((path.gradient[:-1] ** 2).sum()) - allowed


@cache
def _sharp(reg: Regularizer | str, lam: float, steps: tuple[float, ...]) -> MomentumPath:
    """Steps without momentum on one small quadratic loss, cached because every problem is checked beside it."""
    return run(attained.parabola(), reg, lam, steps, 0.0)


@cache
def _swing(step: float) -> MomentumPath:
    """The run of 60 steps on l = theta^2 / 2 (L = 1) from 1, at lambda = 2 and beta = 0.9."""
    return run(points(0.0, start=1.0), Logistic(), 2.0, constant(step, 60))


def schedule_jump(beta: float = 0.9, step: float = 0.1, drop: float = 10.0) -> Check:
    """T8 when eta drops by the factor `drop` half way: the energy falls. The control, its displacement form, jumps.

    The problem is the loss theta^2 / 2 with log at lambda = 2.
    """
    validate.at_least("drop", drop, 1)
    steps = constant(step, 5) + constant(step / drop, 5)
    path = run(points(0.0, start=1.0), Logistic(), 2.0, steps, beta)
    control = ("beta / (2 eta) |dtheta|^2 in place of beta eta / 2 |m|^2", np.diff(path.displacement_energy))
    statement = "the energy does not rise when eta drops"
    return check("energy under a schedule", statement, "T8", np.diff(path.energy), control)


def _curvature(problem: Problem) -> float:
    solved = solvable(problem)
    return solved.curvature(torch.ones_like(solved.losses(solved.start)))
