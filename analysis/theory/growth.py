"""T5: lambda grows while the student descends. Phi may rise; the sum of its rises is bounded.

Order of one step: theta_k -> theta_{k+1} at lambda_k, then lambda_k -> lambda_{k+1}. These equations are exact:

    Phi_{lambda_K}(theta_K) = Phi_{lambda_0}(theta_0) - sum of descents + sum of Lambda_k,
    Lambda_k = Phi_{lambda_{k+1}}(theta_{k+1}) - Phi_{lambda_k}(theta_{k+1}) >= 0,
    sum of Lambda_k <= F_{lambda_K}(M) - F_{lambda_0}(M) <= M

The last line holds for losses <= M on the path. With the raw, un-normalised penalty of the public code the latent
loss is E = F - offset(lambda). It falls by itself as lambda grows, so its fall proves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import exp, log

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import STILL, Check, check, validate
from analysis.theory import attained, bounds
from analysis.theory.toys.descent import Armijo, Gradient, Inner
from analysis.theory.toys.objective import Objective, objective
from analysis.theory.toys.problems import Problem, points
from cudfkd.regularizers import Hard, JiangLog, Linear, Logistic, Mixture, Polynomial, Regularizer, Welsch

C = 0.1  # the constant c of Armijo's rule


@dataclass(frozen=True, eq=False)
class GrowthPath:
    """The record of K steps.

    table: one row per step, with the columns below.
    final: the objective at the end.
    last: lambda at the end.
    reg: the regularizer.

    Columns of the table:
        lam: lambda of the step.
        objective: the objective before the step, at lam.
        gradient: the norm of its gradient before the step, at lam.
        step: the step length.
        descent: the fall of the objective by the step, at lam.
        growth: Lambda_k, the rise of the objective by the growth of lambda.
        largest, smallest: the largest and the smallest loss after the step.
        raw: the un-normalised objective before the step; NaN where the penalty is printed normalised.
    """

    table: pd.DataFrame
    final: float
    last: float
    reg: Regularizer

    def column(self, name: str) -> Float[np.ndarray, " k"]:
        """One column of the table."""
        return self.table[name].to_numpy(dtype=np.float64)

    @property
    def budget(self) -> float:
        """The budget F_{lambda_K}(M) - F_{lambda_0}(M) for M = the largest loss after a step."""
        most = float(self.column("largest").max())
        return bounds.growth_budget(self.reg, float(self.column("lam")[0]), self.last, most)

    @property
    def residual(self) -> float:
        """The final objective minus the value predicted by telescoping; only rounding."""
        predicted = self.column("objective")[0] - self.column("descent").sum() + self.column("growth").sum()
        return float(self.final - predicted)

    @property
    def rises(self) -> int:
        """The number of steps in which the objective rose, each objective at the lambda of its own step."""
        return int((np.diff(np.append(self.column("objective"), self.final)) > 0).sum())


def growing_run(
    problem: Problem, reg: Regularizer | str, lams: Sequence[float], inner: Inner | None = None
) -> GrowthPath:
    """Runs one inner step at each of lams[0] ... lams[K-1]; after each step lambda grows. `lams` has K + 1 entries.

    Arguments:
        inner: the inner solver; None takes Armijo().

    Raises:
        ConfigError: fewer than 2 lambdas, or one outside its domain.
        NotConvergedError: the inner solver failed.
    """
    validate.count("number of lambdas", len(lams), 2)
    solver, phis = Armijo(C) if inner is None else inner, [objective(problem, reg, lam) for lam in lams]
    before, rows = phis[0].point(problem.start), []
    for phi, following in zip(phis[:-1], phis[1:], strict=True):
        move = solver(phi, before)
        after, grown = phi.point(move.theta), following.point(move.theta)
        rows.append({
            "lam": phi.lam, "objective": before.value, "gradient": float(before.gradient.norm()), "step": move.step,
            "descent": before.value - after.value, "growth": _growth(phi, following, after.losses),
            "largest": float(after.losses.max()), "smallest": float(after.losses.min()),
            "raw": before.value - raw_offset(phi.reg, phi.lam),
        })  # fmt: skip
        before = grown
    return GrowthPath(pd.DataFrame(rows).rename_axis("k"), before.value, phis[-1].lam, phis[-1].reg)


def raw_offset(reg: Regularizer | str, lam: float) -> float:
    """The offset F - E that normalising adds to E = min over v of v l + g(v), with the penalty g as usually printed.

    E falls as lambda grows, at every loss, for hard, linear, log, polynomial, welsch, and mixture with ratio >= 1/2.
    For mixture with a smaller ratio E rises at large losses. The offset is NaN for cauchy, l1-l2 and huber: their
    penalties are printed normalised.
    """
    reg = validate.known(reg)
    lam = validate.pace(reg, lam)
    match reg:
        case Hard() | Welsch():
            return lam
        case Linear():
            return lam / 2
        case Logistic():
            return lam * (1 + exp(-lam))
        case Polynomial(t=t):
            return lam * (t - 1) / t
        case Mixture(ratio=ratio):
            return lam * ratio / (1 - ratio) * log(1 / (1 - ratio))
        case JiangLog():
            return (1 - lam) * (1 / log(1 - lam) - 1)
    return float("nan")


def falls_for_free(reg: Regularizer | str, lams: Sequence[float]) -> Check:
    """The raw E falls as lambda grows, at every loss from 0 to 50, without a student. The control: the normalised F.

    Raises:
        ConfigError: a regularizer that is printed normalised (cauchy, l1-l2, huber), because it has no raw form;
            lambdas that fall.
    """
    regularizer, paces = validate.known(reg), validate.growing(lams)
    offsets = [raw_offset(regularizer, lam) for lam in paces]
    if np.isnan(offsets).any():
        validate.refuse("regularizer", regularizer.name, "one whose penalty is printed un-normalised")
    losses = torch.linspace(0, 50, 501, dtype=torch.float64)
    latent = torch.stack([regularizer.latent(losses, lam) for lam in paces])
    raw = latent - torch.tensor(offsets, dtype=torch.float64)[:, None]
    return check("the raw objective falls for free", "E_{lambda'}(l) <= E_lambda(l) for lambda' >= lambda", "T5",
                 raw.diff(dim=0), ("normalised", latent.diff(dim=0)))  # fmt: skip


def grows(problem: Problem, reg: Regularizer | str, lams: Sequence[float]) -> Check:
    """T5: Lambda_k >= 0 at every step. The control lets lambda fall."""
    path, back = _run(problem, validate.known(reg), validate.growing(lams)), growing_run(problem, reg, lams[::-1])
    control = ("lambda falls", -back.column("growth")) if path.column("growth").any() else STILL
    return check("growth is not negative", "Phi_{k+1}(theta) >= Phi_k(theta) for lambda_{k+1} >= lambda_k", "T5",
                 -path.column("growth"), control)  # fmt: skip


def telescopes(problem: Problem, reg: Regularizer | str, lams: Sequence[float]) -> Check:
    """T5: the final objective is the first objective - descents + growths.

    The check holds by construction and tests the bookkeeping. The control leaves the growths out.
    """
    path = _run(problem, validate.known(reg), validate.growing(lams))
    without = abs(path.residual + float(path.column("growth").sum()))
    return check("telescoping", "Phi_K = Phi_0 - sum descent + sum Lambda", "T5", [abs(path.residual)],
                 ("growth left out", [without]), by_construction=True)  # fmt: skip


def within_budget(problem: Problem, reg: Regularizer | str, lams: Sequence[float]) -> Check:
    """T5: sum Lambda <= F_{lambda_K}(M) - F_{lambda_0}(M) <= M, relative to max(1, M).

    Two equal losses that stay attain the first bound. They nearly attain the second: lambda grows from far below them
    to far above them. The control uses the smallest loss as M.
    """
    regularizer = validate.known(reg)
    path = _run(problem, regularizer, validate.growing(lams))
    slack = [excess for one in (path, _sharp_runs(regularizer)[0]) for excess in _over_budget(one)]
    total, least = float(path.column("growth").sum()), float(path.column("smallest").min())
    small = bounds.growth_budget(regularizer, float(lams[0]), float(lams[-1]), least)
    control = ("M the smallest loss", [total - small]) if path.column("growth").any() else STILL
    return check("growth has a budget", "sum Lambda <= F_K(M) - F_0(M) <= M", "T5", slack, control)


def rate(problem: Problem, reg: Regularizer | str, lams: Sequence[float]) -> Check:
    """T5 with Armijo steps: mean |grad Phi_k|^2, weighted by eta, <= (Phi_0 + budget) / (c sum eta).

    Two cases attain the bound: one small quadratic loss, for every regularizer, and for hard a loss that lambda
    overtakes, where the budget pays for the step. The control takes steps of 2.5 / L.
    """
    regularizer = validate.known(reg)
    path = _run(problem, regularizer, validate.growing(lams))
    slack = [_over_rate(path, C), *(_over_rate(one, 0.5) for one in _sharp_runs(regularizer)[1:])]
    control = ("eta = 2.5 / L", [_over_rate(_cycling(), C)]) if path.column("gradient").any() else STILL
    return check("rate while lambda grows", "mean |grad|^2 <= (Phi_0 + budget) / (c sum eta)", "T5", slack, control)


@lru_cache(maxsize=16)
def _run(problem: Problem, reg: Regularizer, lams: tuple[float, ...]) -> GrowthPath:
    """The `growing_run` with Armijo steps, cached because several checks read the same run."""
    return growing_run(problem, reg, lams)


@cache
def _cycling() -> GrowthPath:
    return growing_run(points(0.0, start=0.1), "log", np.linspace(2.0, 2.5, 121).tolist(), Gradient(2.5))


@cache
def _sharp_runs(reg: Regularizer) -> tuple[GrowthPath, GrowthPath, GrowthPath]:
    """Three runs with Armijo's c = 1/2 and steps of 1: at rest, near the minimum, and overtaken by lambda."""
    loss, *far = attained.growing_far(reg)
    low = min(1.0, 0.5 * reg.lam_below)
    overtaken = [low, 1.5 * low, 1.8 * low]
    return (
        growing_run(attained.at_rest(loss), reg, far),
        growing_run(attained.parabola(), reg, overtaken[:2], Armijo(0.5)),
        growing_run(attained.one_sample(1.2 * low), reg, overtaken, Armijo(0.5)),
    )


def _over_budget(path: GrowthPath) -> tuple[float, float]:
    """The excess of the growth over the budget, and of the budget over M, relative to max(1, M)."""
    most = float(path.column("largest").max())
    scale = max(1.0, most)
    return (float(path.column("growth").sum()) - path.budget) / scale, (path.budget - bounds.largest_loss(most)) / scale


def _over_rate(path: GrowthPath, c: float) -> float:
    steps, squared = path.column("step"), path.column("gradient") ** 2
    allowed = bounds.mean_squared(path.column("objective")[0] + path.budget, c, float(steps.sum()))
    return float((steps * squared).sum() / steps.sum() - allowed)


def _growth(phi: Objective, grown: Objective, losses: Tensor) -> float:
    return float((grown.reg.latent(losses, grown.lam) - phi.reg.latent(losses, phi.lam)).mean())
