"""Mini-batches on a small student: the change of Phi by each step of a run, not only at one frozen theta (T7).

Each step of a walk measures dPhi for two step lengths with the same batch, eta and eta / 2. If
dPhi = -slope eta + bend eta^2, then slope = (dPhi(eta) - 4 dPhi(eta / 2)) / eta. T7 says that the mean of the slope is
|grad Phi|^2.
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
    """The record of K steps of one student, one number per step in each series.

    objective: Phi before the step.
    change: dPhi of the step.
    slope: minus the slope of dPhi in eta at 0, which estimates `squared`.
    squared: |grad Phi|^2 before the step.
    noise: |grad Phi_B - grad Phi|^2 of the batch.
    """

    objective: Series
    change: Series
    slope: Series
    squared: Series
    noise: Series

    def window(self, first: int, last: int) -> "Walk":
        """The part of the walk with the steps first <= k < last."""
        return Walk(*(series[first:last] for series in vars(self).values()))

    def falls(self) -> Estimate:
        """The share of steps that lower Phi, with Wilson's interval, which treats the steps as independent."""
        return share(int((self.change < 0).sum()), len(self.change))

    def mean_change(self, block: int, seed: int = 0) -> Estimate:
        """The mean dPhi per step, with a block bootstrap interval."""
        return block_bootstrap_mean(self.change, block, seed)

    def slope_gap(self, block: int, seed: int = 0) -> Estimate:
        """The mean of slope - |grad Phi|^2, which is 0 by T7, with a block bootstrap interval."""
        return block_bootstrap_mean(self.slope - self.squared, block, seed)


def walk(
    problem: Problem, reg: Regularizer | str, lam: float, step: float, batch: int, steps: int, seed: int = 0,
    divide: bool = False,
) -> Walk:  # fmt: skip
    """A walk of SGD from the problem's start. The batches are drawn with replacement, so they are independent.

    Arguments:
        divide: divide the gradient by the batch's mean weight: the biased form, for the control.

    Raises:
        ConfigError: a step <= 0, batch or steps < 1, lambda outside its domain.
    """
    validate.positive("step", step)
    phi, rng = objective(problem, reg, lam), torch.Generator().manual_seed(validate.seed(seed))
    theta, n = problem.start, len(problem.losses(problem.start))
    batches = torch.randint(n, (validate.count("steps", steps), validate.count("batch", batch)), generator=rng)
    rows = []
    for chosen in batches:
        point = phi.point(theta)
        g = _gradient(phi, theta, chosen, divide)
        halfway, after = (float(phi.value(theta - fraction * step * g)) for fraction in (0.5, 1.0))
        slope = (after - point.value - 4 * (halfway - point.value)) / step
        rows.append((point.value, after - point.value, slope, float(point.gradient.square().sum()),
                      float((g - point.gradient).square().sum())))  # fmt: skip
        theta = theta - step * g
    return Walk(*np.array(rows).T)


class Curve(NamedTuple):
    """Three series over step lengths.

    changes: mean dPhi with intervals.
    drops: -eta |grad Phi|^2.
    bounds: the bounds of mean dPhi by T7.
    """

    changes: list[Estimate]
    drops: list[float]
    bounds: list[float]


def mean_changes(
    problem: Problem, reg: Regularizer | str, lam: float, lengths: Sequence[float], batch: int = 2, seed: int = 0,
    draws: int = 400,
) -> Curve:  # fmt: skip
    """The mean change of Phi close to a critical point, with the same random batches at every step length.

    Raises:
        ConfigError: for the same arguments as `minibatch.expectation`.
    """
    near = run(problem, reg, lam, "exact", 15, tolerance=1e-4).thetas[-1] + 0.05
    phi, rng = objective(problem, reg, lam), torch.Generator().manual_seed(validate.seed(seed))
    point, gradients = phi.point(near), sample_gradients(phi, near)
    rows = torch.rand(validate.count("draws", draws, 2), len(gradients), generator=rng).argsort(1)[:, :batch]
    means = gradients[rows].mean(1)
    changes = [bootstrap_mean((phi.values(near - step * means) - point.value).numpy(), seed) for step in lengths]
    steepness = float(point.gradient.square().sum())
    bounds = [expectation(problem, reg, lam, near, step, batch).bound for step in lengths]
    return Curve(changes, [-step * steepness for step in lengths], bounds)


def slope_on_the_way(walked: Walk, divided: Walk, block: int, seed: int = 0) -> Check:
    """T7, statistical: the interval of mean (slope - |grad Phi|^2) covers 0.

    The control is the walk `divided`, with gradients divided by the batch's mean weight.
    """
    right, wrong = (series.slope_gap(block, seed) for series in (walked, divided))
    return check("slope on the way", "mean of the slope of dPhi in -eta = mean |grad Phi|^2", "T7",
                 [right.outside(0.0)], ("divided by the batch's mean v", [wrong.outside(0.0)]),
                 tolerance=0.0, exact=False)  # fmt: skip


def _gradient(phi: Objective, theta: Theta, chosen: torch.Tensor, divide: bool) -> Theta:
    variable = theta.detach().requires_grad_()
    losses = phi.problem.losses_on(variable, chosen)
    weights = phi.reg.weight(losses.detach(), phi.lam)
    scale = weights.mean().clamp(min=1e-12) if divide else 1.0
    (slope,) = torch.autograd.grad((weights * losses).mean() / scale, variable)
    return slope + phi.problem.decay * theta
