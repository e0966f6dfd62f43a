"""T7: mini-batches. One step may raise the objective. Its expected change obeys a bound, computed over all batches:

    E Phi(theta - eta grad Phi_B) <= Phi - eta (1 - L eta / 2) |grad Phi|^2 + L eta^2 / 2 sigma^2 / B (n - B) / (n - 1)

The batches of B are drawn from n samples without replacement (for fresh samples the last factor is 1). Sources, from
memory: Ghadimi and Lan (2013); Bottou, Curtis and Nocedal (2018).
"""

from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import STILL, Check, check, validate
from analysis.checks.statistics import bootstrap_mean
from analysis.theory import attained, bounds
from analysis.theory.toys.descent import run
from analysis.theory.toys.objective import Objective, objective
from analysis.theory.toys.problems import Problem, StudentProblem, Theta, solvable, student
from cudfkd.evaluation import Estimate
from cudfkd.regularizers import Regularizer

Gradients = Float[Tensor, "n d"]
MANY = 20_000  # the largest number of batches that is enumerated


class Expectation(NamedTuple):
    """The expected change of Phi by one step, over all batches.

    change: E Phi(theta') - Phi.
    bound: the bound of `change` by T7.
    drop: the bound without its variance term.
    """

    change: float
    bound: float
    drop: float


class Regression(NamedTuple):
    """The fit of mean dPhi = -eta slope + eta^2 bend over batches.

    slope: estimates |grad Phi|^2.
    bend: the quadratic coefficient.
    squared: the true |grad Phi|^2.
    """

    slope: Estimate
    bend: Estimate
    squared: float


def sample_gradients(phi: Objective, theta: Theta) -> Gradients:
    """The gradients v_i grad l_i + grad R, one row per sample; their mean is grad Phi."""
    weights = phi.reg.weight(phi.problem.losses(theta), phi.lam)
    return weights[:, None] * phi.problem.jacobian(theta) + phi.problem.decay * theta


def expectation(
    problem: Problem, reg: Regularizer | str, lam: float, theta: Theta, step: float, batch: int = 1
) -> Expectation:
    """The expected change of Phi by one step, over all batches of `batch` of the n samples (without replacement).

    Raises:
        ConfigError: fewer than 2 samples, more than 20,000 batches, a step <= 0, or a network (no curvature bound).
    """
    validate.positive("step", step)
    phi = objective(problem, reg, lam)
    point, gradients = phi.point(theta), sample_gradients(phi, theta)
    n, chosen = validate.count("number of samples", len(gradients), 2), _batches(len(gradients), batch)
    after = phi.values(theta - step * gradients[chosen].mean(1)).mean()
    bound = solvable(problem).curvature(point.weights)
    steepness = float(point.gradient.square().sum())
    spread = float((gradients - gradients.mean(0)).square().sum(1).mean())
    drop = -bounds.step_drop(step, bound, steepness)
    noise = bounds.noise_rise(step, bound, bounds.batch_variance(spread, batch, n))
    return Expectation(float(after) - point.value, drop + noise, drop)


def expected(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, batch: int = 1) -> Check:
    """T7 over all batches, at random theta and close to a critical point, for steps of 0.2, 1 and 3 in units of 1 / L.

    Four quadratic losses attain the bound, at their common minimum and beside it. The control leaves out the variance
    close to the critical point, where expected descent is impossible.
    """
    rng = torch.Generator().manual_seed(validate.seed(seed))
    shift = 0.5 * torch.randn(len(problem.start), generator=rng, dtype=torch.float64)
    close = run(problem, reg, lam, "exact", 15, tolerance=1e-4).thetas[-1]
    sharp = attained.scattered()
    away, near = (_cases(problem, reg, lam, theta, batch) for theta in (problem.start + shift, close))
    cases = [*away, *near, *_cases(sharp, reg, lam, sharp.start, 1)]
    cases += _cases(sharp, reg, lam, sharp.start + attained.SMALL, 2)
    statement = "E Phi(theta') <= Phi - eta (1 - L eta / 2) |grad|^2 + L eta^2 / 2 Var(grad Phi_B)"
    control = ("variance left out, near a critical point", [case.change - case.drop for case in near])
    moved = any(case.change for case in (*away, *near))
    return check("expected descent", statement, "T7", [case.change - case.bound for case in cases],
                 control if moved else STILL)  # fmt: skip


def unbiased(problem: Problem, reg: Regularizer | str, lam: float, batch: int = 2) -> Check:
    """T7: the mean of grad Phi_B over all batches is grad Phi. The control divides by the batch's sum of weights."""
    phi = objective(problem, reg, lam)
    point = phi.point(problem.start)
    gradients = sample_gradients(phi, problem.start) - problem.decay * problem.start
    chosen = _batches(len(gradients), batch)
    drawn = gradients[chosen].mean(1).mean(0)
    divided = _divided(gradients[chosen].mean(1), point.weights[chosen].mean(1)).mean(0) * point.weights.mean()
    true = point.gradient - problem.decay * problem.start
    return check("batch gradient is unbiased", "E grad Phi_B = grad Phi", "T7", [float((drawn - true).norm())],
                 ("divided by the batch's sum of v", [float((divided - true).norm())]))  # fmt: skip


def batch_statistics(reg: Regularizer | str, lam: float, seed: int = 0, batch: int = 8) -> Check:
    """T7 needs per-sample losses: the mean of Phi_B over batches is Phi without batch statistics, and not with them.

    The check uses a student without BatchNorm. The control uses a student with BatchNorm in train mode on changing
    batches.
    """
    gaps = [_gap_of_batches(student(seed, batch_norm=norm), reg, lam, batch) for norm in (False, True)]
    return check("losses are per sample", "mean over batches of Phi_B = Phi", "T7", [gaps[0]],
                 ("BN in train mode on changing batches", [gaps[1]]))  # fmt: skip


def regression(
    problem: Problem, reg: Regularizer | str, lam: float, theta: Theta | None = None, batch: int = 8, draws: int = 400,
    seed: int = 0, longest: float = 0.2, divide: bool = False,
) -> Regression:  # fmt: skip
    """Fits -eta slope + eta^2 bend to mean dPhi over random batches at frozen theta. Every eta sees the same batches.

    Arguments:
        theta: None takes the problem's start.
        batch: the batch size.
        draws: the number of batches, drawn with replacement and therefore independent.
        longest: the largest of 8 step lengths, which go down to longest / 8.
        divide: divide by the batch's mean weight: the biased form, for the control.

    Raises:
        ConfigError: draws < 2, batch < 1, longest <= 0.
    """
    validate.count("draws", draws, 2)
    validate.count("batch", batch)
    phi = objective(problem, reg, lam)
    point = phi.point(problem.start if theta is None else theta)
    gradients, rng = sample_gradients(phi, point.theta), torch.Generator().manual_seed(validate.seed(seed))
    rows = torch.randint(len(gradients), (draws, batch), generator=rng)
    chosen = gradients[rows].mean(1)
    if divide:
        chosen = _divided(chosen, point.weights[rows].mean(1))
    steps = validate.positive("longest", longest) * torch.arange(1, 9, dtype=torch.float64) / 8
    changes = torch.stack([phi.values(point.theta - step * chosen) - point.value for step in steps], dim=1)
    design = torch.stack([-steps, steps.square()], dim=1)
    fits = torch.linalg.lstsq(design, changes.T).solution.numpy()  # (2, draws); the fit is linear in dPhi
    return Regression(
        bootstrap_mean(fits[0], seed), bootstrap_mean(fits[1], seed), float(point.gradient.square().sum())
    )


def slope_covers(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, longest: float = 0.02) -> Check:
    """T7, statistical: the slope's interval covers |grad Phi|^2. The control divides by the batch's mean weight."""
    right, wrong = (
        regression(problem, reg, lam, seed=seed, longest=longest, divide=divide) for divide in (False, True)
    )
    outside, control = ([fit.slope.outside(fit.squared)] for fit in (right, wrong))
    return check("slope of the mean change", "mean dPhi = -eta |grad Phi|^2 + O(eta^2)", "T7", outside,
                 ("divided by the batch's mean v", control), tolerance=0.0, exact=False)  # fmt: skip


def _cases(problem: Problem, reg: Regularizer | str, lam: float, theta: Theta, batch: int) -> list[Expectation]:
    """The expected changes for three step lengths in units of 1 / L, or of 1 where no sample has weight."""
    curvature = solvable(problem).curvature(objective(problem, reg, lam).point(theta).weights) or 1.0
    return [expectation(problem, reg, lam, theta, share / curvature, batch) for share in (0.2, 1.0, 3.0)]


def _divided(gradients: Gradients, weights: Float[Tensor, " n"]) -> Gradients:
    """The gradient of each batch divided by its mean weight; a batch without any weight makes no step."""
    return torch.where(weights[:, None] > 0, gradients / weights[:, None], 0.0)


def _batches(n: int, batch: int) -> Tensor:
    validate.within("batch", validate.count("batch", batch), 1, n + 1)
    chosen = []
    for rows in combinations(range(n), batch):
        chosen.append(rows)
        if len(chosen) > MANY:
            validate.refuse("batch", batch, f"so small that there are at most {MANY} batches of {n} samples")
    return torch.tensor(chosen)


def _gap_of_batches(problem: StudentProblem, reg: Regularizer | str, lam: float, batch: int) -> float:
    phi = objective(problem, reg, lam)
    splits = torch.arange(len(problem.inputs)).split(validate.count("batch", batch, 2))
    values = torch.cat([phi.reg.latent(problem.losses_on(problem.start, batch_rows), phi.lam) for batch_rows in splits])
    return abs(float(values.mean() - phi.value(problem.start)))
