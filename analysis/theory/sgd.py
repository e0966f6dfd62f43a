"""Mini-batches on a small student: what one step does to Phi, on the way and not at one frozen place (T7).

At each step of a walk two step lengths are tried with the same batch, eta and eta / 2. If dPhi = -a eta + b eta^2, then
a = (dPhi(eta) - 4 dPhi(eta / 2)) / eta, and T7 says that the mean of a is |grad Phi|^2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from analysis.checks import Check, check, validate
from analysis.checks.statistics import block_bootstrap_mean, bootstrap_mean, share
from analysis.theory.minibatch import expectation, sample_gradients
from analysis.theory.toys.descent import run
from analysis.theory.toys.objective import Objective, objective
from analysis.theory.toys.problems import Problem, Theta
from cudfkd.evaluation import Estimate
from cudfkd.regularizers import Regularizer

Series = Float[np.ndarray, " steps"]


@dataclass(frozen=True, eq=False)
class Walk:
    """K steps of one student.

    objective: Phi before each step; change: dPhi of the step; slope: a, which estimates squared; squared: |grad Phi|^2
    before the step; noise: |g_B - grad Phi|^2 of the batch.
    """

    objective: Series
    change: Series
    slope: Series
    squared: Series
    noise: Series

    def window(self, first: int, last: int) -> "Walk":
        """Steps first <= k < last."""
        return Walk(*(series[first:last] for series in vars(self).values()))

    def falls(self) -> Estimate:
        """Share of the steps after which Phi is lower, with Wilson's interval, which takes steps for independent."""
        return share(int((self.change < 0).sum()), len(self.change))

    def mean_change(self, block: int, seed: int = 0) -> Estimate:
        """Mean dPhi a step, with a block bootstrap."""
        return block_bootstrap_mean(self.change, block, seed)

    def slope_gap(self, block: int, seed: int = 0) -> Estimate:
        """Mean of a - |grad Phi|^2, which T7 puts at 0, with a block bootstrap."""
        return block_bootstrap_mean(self.slope - self.squared, block, seed)


def walk(
    problem: Problem, reg: Regularizer | str, lam: float, step: float, batch: int, steps: int, seed: int = 0,
    divide: bool = False,
) -> Walk:  # fmt: skip
    """SGD from the problem's start, batches drawn with replacement (so that they are independent).

    Arguments:
        divide: divide by the batch's mean weight, which is biased: the control.

    Raises:
        ConfigError: a step <= 0, batch or steps < 1, lambda outside its domain.
    """
    validate.positive("step", step)
    phi, rng = objective(problem, reg, lam), torch.Generator().manual_seed(seed)
    theta, n = problem.start, len(problem.losses(problem.start))
    rows = torch.randint(n, (validate.count("steps", steps), validate.count("batch", batch)), generator=rng)
    found = []
    for chosen in rows:
        here = phi.point(theta)
        g = _gradient(phi, theta, chosen, divide)
        halfway, after = (float(phi.value(theta - share * step * g)) for share in (0.5, 1.0))
        slope = (after - here.value - 4 * (halfway - here.value)) / step
        found.append((here.value, after - here.value, slope, float(here.gradient.square().sum()),
                      float((g - here.gradient).square().sum())))  # fmt: skip
        theta = theta - step * g
    return Walk(*np.array(found).T)


class Curve(NamedTuple):
    """Over step lengths: mean dPhi with intervals, -eta |grad|^2, and T7's bound."""

    changes: list[Estimate]
    drops: list[float]
    bounds: list[float]


def mean_changes(
    problem: Problem, reg: Regularizer | str, lam: float, lengths: Sequence[float], batch: int = 2, seed: int = 0,
    draws: int = 400,
) -> Curve:  # fmt: skip
    """Mean change of Phi close to a critical point, the same random batches at every step length.

    Raises:
        ConfigError: as `minibatch.expectation`.
    """
    near = run(problem, reg, lam, "exact", 15, tolerance=1e-4).thetas[-1] + 0.05
    phi, rng = objective(problem, reg, lam), torch.Generator().manual_seed(seed)
    here, gradients = phi.point(near), sample_gradients(phi, near)
    rows = torch.rand(validate.count("draws", draws, 2), len(gradients), generator=rng).argsort(1)[:, :batch]
    means = gradients[rows].mean(1)
    changes = [bootstrap_mean((phi.values(near - step * means) - here.value).numpy(), seed) for step in lengths]
    steepness = float(here.gradient.square().sum())
    bounds = [expectation(problem, reg, lam, near, step, batch).bound for step in lengths]
    return Curve(changes, [-step * steepness for step in lengths], bounds)


def slope_on_the_way(walked: Walk, divided: Walk, block: int, seed: int = 0) -> Check:
    """T7, statistical: the interval of mean (a - |grad Phi|^2) covers 0. The control divides by the batch's weight."""
    right, wrong = (one.slope_gap(block, seed) for one in (walked, divided))
    return check("slope on the way", "mean of the slope of dPhi in -eta = mean |grad Phi|^2", "T7", [_outside(right)],
                 ("divided by the batch's mean v", [_outside(wrong)]), tolerance=0.0, exact=False)  # fmt: skip


def _gradient(phi: Objective, theta: Theta, chosen: torch.Tensor, divide: bool) -> Theta:
    variable = theta.detach().requires_grad_()
    losses = phi.problem.losses_on(variable, chosen)
    weights = phi.reg.weight(losses.detach(), phi.lam)
    scale = weights.mean().clamp(min=1e-12) if divide else 1.0
    (slope,) = torch.autograd.grad((weights * losses).mean() / scale, variable)
    return slope + phi.problem.decay * theta


def _outside(found: Estimate) -> float:
    """How far 0 lies outside the interval."""
    return max(found.low, -found.high)
