"""Checks of T2 along a run, of T3 and of T4: monotone descent, the bound of a step, the rate inequality at every K."""

from functools import cache

import numpy as np
import pandas as pd
import torch

from analysis.checks import Check, check, validate
from analysis.theory.toys.controls import ConvexLoss
from analysis.theory.toys.descent import Armijo, Exact, Gradient, Inner, Path, run
from analysis.theory.toys.objective import Objective, Point, objective
from analysis.theory.toys.problems import Problem, Solvable, points, solvable
from cudfkd.regularizers import Logistic, Regularizer

TOO_LONG = 2.5  # a step in units of 1 / L; 2 is the limit of T3


def monotone(
    problem: Problem, reg: Regularizer | str, lam: float, inner: Inner | str = "armijo", steps: int = 60
) -> Check:
    """T2 along a run: every step descends and splits exactly, and its Bregman part is >= 0.

    The control runs the same solver on a convex F.
    """
    wrong = run(problem, ConvexLoss(), lam, inner, steps)
    path = run(problem, reg, lam, inner, steps)
    return check("every step descends", "Phi_k - Phi_{k+1} = surrogate + Bregman part, all >= 0", "T2", _losses(path),
                 ("convex F", _losses(wrong)))  # fmt: skip


def step_bound(problem: Problem, reg: Regularizer | str, lam: float, seed: int = 0, trials: int = 5) -> Check:
    """T3 at random theta: Phi(theta - eta grad) <= Phi - eta (1 - L eta / 2) |grad|^2.

    The step lengths eta are 0.1, 1, 1.5 and 1.99 in units of 1 / L. L is the curvature of Q at the weights of theta.
    The control claims descent at eta = 2.5 / L for one quadratic loss.
    """
    solved, phi = solvable(problem), objective(problem, reg, lam)
    rng = torch.Generator().manual_seed(seed)
    shifts = torch.randn(validate.count("trials", trials), len(problem.start), generator=rng, dtype=torch.float64)
    slack = [
        _excess(phi, solved, phi.point(problem.start + shift), share)
        for shift in shifts
        for share in (0.1, 1, 1.5, 1.99)
    ]
    return check("step bound", "Phi(theta - eta grad) <= Phi - eta (1 - L eta / 2) |grad|^2", "T3", slack,
                 (f"eta = {TOO_LONG} / L", np.diff(_cycle().objective)))  # fmt: skip


def rate(
    problem: Problem, reg: Regularizer | str, lam: float, steps: int = 60, c: float = 0.1, first: float = 1.0
) -> Check:
    """T4 at every K of an Armijo run: min over k < K of |grad|^2 <= (Phi_0 - Phi_K) / (c sum of eta).

    Armijo's rule demands that Q falls; the theorem says that Phi obeys the bound, too. (If the rule demanded a fall of
    Phi, the bound would hold by construction.) The control takes steps of 2.5 / L, which end in a cycle.
    """
    slack = rate_table(run(problem, reg, lam, Armijo(c, first), steps), c)
    wrong = rate_table(_cycle(), c)
    return check("rate", "min |grad|^2 <= (Phi_0 - Phi_K) / (c sum eta) at every K", "T4",
                 slack["best"] - slack["bound"], (f"eta = {TOO_LONG} / L", wrong["best"] - wrong["bound"]))  # fmt: skip


def critical(problem: Problem, reg: Regularizer | str, lam: float, steps: int = 1000, tolerance: float = 1e-8) -> Check:
    """T4: a run of exact steps ends with |grad Phi| <= `tolerance`. The control's steps of 2.5 / L never do."""
    ended = run(problem, reg, lam, Exact(), steps, tolerance).gradient[-1]
    return check("critical limit", "|grad Phi| <= 1e-8 at the end of the run", "T4", [ended],
                 (f"eta = {TOO_LONG} / L", [_cycle().gradient[-1]]), tolerance=tolerance)  # fmt: skip


def rate_table(path: Path, c: float = 0.1) -> pd.DataFrame:
    """One row for each K >= 1, with three columns.

    best: min over k < K of |grad|^2.
    bound: (Phi_0 - Phi_K) / (c sum eta).
    ratio: best / bound.

    Raises:
        ConfigError: the path has exact steps, which have no length.
    """
    if np.isnan(path.steps).any():
        validate.refuse("path", "a run of exact steps", "a run of gradient steps: T4's bound needs their lengths")
    best = np.minimum.accumulate(path.gradient[:-1] ** 2)
    bound = (path.objective[0] - path.objective[1:]) / (c * np.cumsum(path.steps))
    with np.errstate(divide="ignore"):
        columns = {"K": np.arange(1, len(best) + 1), "best": best, "bound": bound, "ratio": best / bound}
    return pd.DataFrame(columns).set_index("K")


def _losses(path: Path) -> np.ndarray:
    """The violations of T2 for every step: -descent, -Bregman part and |residual|, relative to max(1, |Phi|)."""
    parts = np.array(path.balances)
    scale = np.maximum(1, np.abs(path.objective[:-1, None]))
    return np.stack([-parts[:, 0], -parts[:, 2], np.abs(parts[:, 3])], axis=1) / scale


def _excess(phi: Objective, problem: Solvable, point: Point, share: float) -> float:
    bound = problem.curvature(point.weights)
    steepness = float(point.gradient.square().sum())
    after = float(phi.value(point.theta - share / bound * point.gradient))
    return (after - point.value + share / bound * (1 - share / 2) * steepness) / max(1.0, abs(point.value))


@cache
def _cycle() -> Path:
    """The run of steps 2.5 / L on l = theta^2 / 2 from 0.1 at lambda = 2: Phi rises, then a cycle of period 2."""
    return run(points(0.0, start=0.1), Logistic(), 2.0, Gradient(TOO_LONG), 60)
