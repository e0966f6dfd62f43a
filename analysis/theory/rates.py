"""Checks of T2 along a run, of T3 and of T4: monotone descent, the bound of a step, the rate at every K, the lemmas."""

from functools import cache

import numpy as np
import pandas as pd
import torch

from analysis.checks import STILL, Check, check, validate
from analysis.theory import attained, bounds
from analysis.theory.toys.controls import ConvexLoss
from analysis.theory.toys.descent import Armijo, Exact, Gradient, Inner, Path, run
from analysis.theory.toys.objective import Objective, Point, objective
from analysis.theory.toys.problems import Problem, Solvable, points, solvable
from cudfkd.regularizers import Logistic, Regularizer

TOO_LONG = 2.5  # a step in units of 1 / L; 2 is the limit of T3
SHARES = (0.1, 1.0, 1.5, 1.99)  # lengths of steps in units of 1 / L


def monotone(
    problem: Problem, reg: Regularizer | str, lam: float, inner: Inner | str = "armijo", steps: int = 60
) -> Check:
    """T2 along a run: every step descends and splits exactly, and its Bregman part is >= 0.

    The control runs the same solver on a convex F.
    """
    path = run(problem, reg, lam, inner, steps)
    control = ("convex F", _losses(run(problem, ConvexLoss(), lam, inner, steps))) if path.balances else STILL
    return check("every step descends", "Phi_k - Phi_{k+1} = surrogate + Bregman part, all >= 0", "T2", _losses(path),
                 control)  # fmt: skip


def step_bound(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, trials: int = 5) -> Check:
    """T3 at random theta: Phi(theta - eta grad) <= Phi - eta (1 - L eta / 2) |grad|^2.

    The step lengths eta are 0.1, 1, 1.5 and 1.99 in units of 1 / L. L is the curvature of Q at the weights of theta.
    One small quadratic loss attains the bound. The control claims the bound for it with half of L.
    """
    solved, phi = solvable(problem), objective(problem, reg, lam)
    rng = torch.Generator().manual_seed(validate.seed(seed))
    shifts = torch.randn(validate.count("trials", trials), len(problem.start), generator=rng, dtype=torch.float64)
    starts = [phi.point(problem.start + shift) for shift in shifts]
    slack = [_excess(phi, start, solved.curvature(start.weights), share) for start in starts for share in SHARES]
    sharp = objective(attained.parabola(), reg, lam)
    slack += [_excess(sharp, sharp.point(sharp.problem.start), 1.0, share) for share in SHARES]
    control = ("L half as large", [_excess(sharp, sharp.point(sharp.problem.start), 0.5, share) for share in SHARES])
    moved = any(float(start.gradient.norm()) > 0 for start in starts)
    return check("step bound", "Phi(theta - eta grad) <= Phi - eta (1 - L eta / 2) |grad|^2", "T3", slack,
                 control if moved else STILL)  # fmt: skip


def rate(
    problem: Problem, reg: Regularizer | str, lam: float, steps: int = 60, c: float = 0.1, first: float = 1.0
) -> Check:
    """T4 at every K of an Armijo run: mean over k < K of |grad|^2 <= (Phi_0 - Phi_K) / (c sum eta).

    The mean is weighted by the step lengths. Armijo's rule demands that Q falls; the theorem says that Phi obeys the
    bound, too. (If the rule demanded a fall of Phi, the bound would hold by construction.) One small quadratic loss
    with Armijo's longest step attains the bound. The control takes steps of 2.5 / L, which end in a cycle.
    """
    path = run(problem, reg, lam, Armijo(c, first), steps)
    sharp = _sharp(reg, lam, Armijo(c, attained.BELOW * 2 * (1 - c)))
    tables, wrong = [rate_table(one, c) for one in (path, sharp)], rate_table(_cycle(), c)
    slack = pd.concat([table["mean"] - table["bound"] for table in tables])
    control = (f"eta = {TOO_LONG} / L", (wrong["mean"] - wrong["bound"]).to_numpy())
    return check("rate", "mean |grad|^2 <= (Phi_0 - Phi_K) / (c sum eta) at every K", "T4", slack.to_numpy(),
                 control if len(path.steps) else STILL)  # fmt: skip


def armijo_steps(
    problem: Problem, reg: Regularizer | str, lam: float, steps: int = 15, c: float = 0.1, first: float = 8.0
) -> Check:
    """T4's lemma: every step of an Armijo run is at least min(first, (1 - c) / L). L serves all weights <= 1.

    A first step just above 2 (1 - c) / L, on one small quadratic loss, is halved to the bound. The control claims the
    lemma for it with half of L.
    """
    path = run(problem, reg, lam, Armijo(c, first), steps)
    too_long = attained.ABOVE * 2 * (1 - c)  # above 2 (1 - c) / L, though the weight is a little below 1
    sharp = _sharp(reg, lam, Armijo(c, too_long)).steps
    curvature = solvable(problem).curvature(torch.ones_like(problem.losses(problem.start)))
    slack = [*(bounds.armijo_step(first, c, curvature) - path.steps), *(bounds.armijo_step(too_long, c, 1.0) - sharp)]
    control = ("L half as large", bounds.armijo_step(too_long, c, 0.5) - sharp)
    return check("Armijo's steps are bounded below", "eta_k >= min(first, (1 - c) / L)", "T4", slack,
                 control if len(path.steps) else STILL)  # fmt: skip


def exact_step(problem: Problem, reg: Regularizer | str, lam: float, steps: int = 15) -> Check:
    """T4's lemma: every exact inner step lowers Phi by |grad|^2 / (2 L) at least. L is Q's curvature at the weights.

    One small quadratic loss attains the bound. The control claims the lemma for it with half of L.
    """
    path = run(problem, reg, lam, Exact(), steps)
    sharp = _sharp(reg, lam, Exact())
    slack = [*_over_exact(problem, reg, lam, path), *_over_exact(attained.parabola(), reg, lam, sharp)]
    control = ("L half as large", _over_exact(attained.parabola(), reg, lam, sharp, 0.5))
    return check("exact steps descend", "Phi_{k+1} <= Phi_k - |grad|^2 / (2 L)", "T4", slack,
                 control if len(path.steps) else STILL)  # fmt: skip


def critical(problem: Problem, reg: Regularizer | str, lam: float, steps: int = 1000, tolerance: float = 1e-8) -> Check:
    """T4: a run of exact steps ends with |grad Phi| <= `tolerance`. The control's steps of 2.5 / L never do."""
    path = run(problem, reg, lam, Exact(), steps, tolerance)
    control = (f"eta = {TOO_LONG} / L", [_cycle().gradient[-1]])
    return check("critical limit", "|grad Phi| <= 1e-8 at the end of the run", "T4", [path.gradient[-1]],
                 control if len(path.steps) else STILL, tolerance=tolerance)  # fmt: skip


def rate_table(path: Path, c: float = 0.1) -> pd.DataFrame:
    """One row for each K >= 1, with four columns.

    best: min over k < K of |grad|^2.
    mean: the mean of |grad|^2 over k < K, weighted by the step lengths.
    bound: (Phi_0 - Phi_K) / (c sum eta).
    ratio: best / bound.

    Raises:
        ConfigError: the path has exact steps, which have no length.
    """
    if np.isnan(path.steps).any():
        validate.refuse("path", "a run of exact steps", "a run of gradient steps: T4's bound needs their lengths")
    squared, lengths = path.gradient[:-1] ** 2, np.cumsum(path.steps)
    bound = [bounds.mean_squared(fallen, c, length)
             for fallen, length in zip(path.objective[0] - path.objective[1:], lengths, strict=True)]  # fmt: skip
    columns = {"K": np.arange(1, len(squared) + 1), "best": np.minimum.accumulate(squared),
               "mean": np.cumsum(path.steps * squared) / lengths, "bound": np.array(bound)}  # fmt: skip
    table = pd.DataFrame(columns).set_index("K")
    return table.assign(ratio=table["best"] / table["bound"])


def _losses(path: Path) -> np.ndarray:
    """The violations of T2 for every step: -descent, -Bregman part and |residual|, relative to max(1, |Phi|).

    A path without steps has no violation.
    """
    if not path.balances:
        return np.zeros(1)
    parts = np.array(path.balances)
    scale = np.maximum(1, np.abs(path.objective[:-1, None]))
    return np.stack([-parts[:, 0], -parts[:, 2], np.abs(parts[:, 3])], axis=1) / scale


def _excess(phi: Objective, point: Point, curvature: float, share: float) -> float:
    """The excess of Phi after a step of share / L over T3's bound; 0 where no sample has weight."""
    if not curvature:
        return 0.0
    eta, squared = share / curvature, float(point.gradient.square().sum())
    after = float(phi.value(point.theta - eta * point.gradient))
    return (after - point.value + bounds.step_drop(eta, curvature, squared)) / max(1.0, abs(point.value))


def _over_exact(problem: Problem, reg: Regularizer | str, lam: float, path: Path, share: float = 1.0) -> list[float]:
    """The excess of Phi after each exact step over the lemma's bound, with `share` of the curvature."""
    solved: Solvable = solvable(problem)
    points_ = [objective(problem, reg, lam).point(theta) for theta in path.thetas[:-1]]
    least = [bounds.exact_drop(share * solved.curvature(point.weights), float(point.gradient.square().sum()))
             for point in points_]  # fmt: skip
    return [float(rise + drop) for rise, drop in zip(np.diff(path.objective), least, strict=True)]


@cache
def _sharp(reg: Regularizer | str, lam: float, inner: Inner) -> Path:
    """One step on one small quadratic loss, cached because every problem is checked beside it."""
    return run(attained.parabola(), reg, lam, inner, 1)


@cache
def _cycle() -> Path:
    """The run of steps 2.5 / L on l = theta^2 / 2 from 0.1 at lambda = 2: Phi rises, then a cycle of period 2."""
    return run(points(0.0, start=0.1), Logistic(), 2.0, Gradient(TOO_LONG), 60)
