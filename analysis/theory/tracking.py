"""T10: the student follows an objective that moves, because lambda grows and the samples drift.

Order of one step: the student moves, then lambda, then the samples. With

    Lambda_k = Phi(theta_{k+1}; lambda_{k+1}, P_k) - Phi(theta_{k+1}; lambda_k, P_k)
    Gamma_k  = Phi(theta_{k+1}; lambda_{k+1}, P_{k+1}) - Phi(theta_{k+1}; lambda_{k+1}, P_k)

the squared gradients obey, for momentum beta, step lengths that do not grow, and the energy of T8,

    sum eta_k / kappa_k |grad Phi_k|^2 <= energy_0 - energy_K + sum Lambda_k + sum Gamma_k,
    kappa_k = (1 - beta)^2 / (1 - beta - L eta_k / 2) + 2 beta

Without momentum the energy is Phi, and kappa = 1 / (1 - L eta / 2). Both moves enter with their sign.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis.checks import STILL, Check, check, validate
from analysis.theory import bounds
from analysis.theory.momentum import constant, cosine
from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import Logistic, Problem, Ridge, Solvable, points, solvable
from cudfkd.regularizers import Hard, Regularizer

WIDE = 1e6  # a lambda so large that hard gives every sample the weight 1


@dataclass(frozen=True, eq=False)
class Track:
    """The record of K steps of a student that follows a moving objective.

    table: one row per step.
        squared: |grad Phi_k|^2 before the step.
        step: eta_k.
        objective: Phi before the step.
        student: the change of Phi by the student.
        growth: Lambda_k.
        drift: Gamma_k.
    final: the energy at the end.
    curvature: L.
    beta: the momentum factor.
    """

    table: pd.DataFrame
    final: float
    curvature: float
    beta: float

    @property
    def left(self) -> float:
        """The left side of T10: the weighted sum of squared gradients."""
        pairs = zip(self.table["step"], self.table["squared"], strict=True)
        return float(sum(step / bounds.kappa(step * self.curvature, self.beta) * squared for step, squared in pairs))

    @property
    def bound(self) -> float:
        """The right side of T10. At the start the momentum is 0, so the energy is Phi_0."""
        return float(self.table["objective"].to_numpy()[0]) - self.final + self.moved

    @property
    def moved(self) -> float:
        """The sum of lambda's and the samples' parts."""
        return self._sum("growth") + self._sum("drift")

    def _sum(self, column: str) -> float:
        return float(self.table[column].to_numpy().sum())


def follow(
    problems: Sequence[Problem],
    reg: Regularizer | str,
    lams: Sequence[float],
    steps: Sequence[float],
    beta: float = 0.0,
) -> Track:
    """Makes one step of each length, on problems[0] ... problems[K-1]. Problems and lambdas have K + 1 entries.

    Raises:
        ConfigError: no step, another number of problems or lambdas; a beta outside [0, 1); step lengths that grow, or
            for which T10 gives no bound.
    """
    count = validate.count("number of steps", len(steps)) + 1
    for name, sequence in (("problems", problems), ("lambdas", lams)):
        if len(sequence) != count:
            validate.refuse(f"the number of {name}", len(sequence), f"{count}, one more than steps")
    validate.within("beta", beta, 0, 1)
    curvature = max(map(steepest, problems))
    longest = 2 * (1 - beta) / curvature
    theta, m, rows = problems[0].start, torch.zeros_like(problems[0].start), []
    for k, step in enumerate(steps):
        longest = validate.within(f"steps[{k}]", validate.positive(f"steps[{k}]", step), 0, longest * (1 + 1e-12))
        present, grown = (objective(problems[k], reg, lam) for lam in lams[k : k + 2])
        before = present.point(theta)
        m = beta * m + before.gradient
        theta = theta - step * m
        after, lifted = float(present.value(theta)), float(grown.value(theta))
        drifted = float(objective(problems[k + 1], reg, lams[k + 1]).value(theta))
        squared = float(before.gradient.square().sum())
        rows.append({"squared": squared, "step": step, "objective": before.value,
                     "student": after - before.value, "growth": lifted - after,
                     "drift": drifted - lifted})  # fmt: skip
    energy = drifted + beta * steps[-1] / 2 * float(m.square().sum())
    return Track(pd.DataFrame(rows).rename_axis("k"), energy, curvature, beta)


def tracked(problem: Problem, reg: Regularizer | str, lams: Sequence[float], seed: int = 0) -> Check:
    """T10 on drifting samples under a growing lambda, with momentum 0, 0.5 and 0.9, and in the attained cases.

    The step lengths fall along half a cosine. The control leaves the samples' part out, for a target that moves.
    """
    moving = list(drifting(problem, validate.count("number of lambdas", len(lams), 2), seed))
    longest, count = 2 / max(map(steepest, moving)), len(lams) - 1
    tracks = [follow(moving, reg, lams, cosine(share * (1 - beta) * longest, count), beta)
              for beta, share in ((0.0, 0.9), (0.5, 0.5), (0.9, 0.5))]  # fmt: skip
    even = chase(0.3)
    control = ("the samples' part left out", [even.left - even.bound + even.moved])
    statement = "sum eta / kappa |grad Phi_k|^2 <= energy_0 - energy_K + sum (Lambda_k + Gamma_k)"
    return check("the student tracks", statement, "T10",
                 [_excess(track) for track in (*tracks, even, run_away())],
                 control if any(track.left for track in tracks) else STILL,
                 claims=("C3", "C4"))  # fmt: skip


def attained() -> Check:
    """T10 is attained by a target that moves evenly, and nearly with momentum. The control takes 0.9 of the bound."""
    ratios = np.array([track.left / track.bound for track in (chase(0.3), chase(0.3, steps=3), run_away())])
    return check("the tracking bound is attained", "sum eta / kappa |grad Phi_k|^2 = the bound", "T10",
                 np.abs(ratios - 1), ("nine tenths of the bound", ratios - 0.9), claims=("C3", "C4"))  # fmt: skip


def floor(speeds: Sequence[float], counts: Sequence[int]) -> pd.DataFrame:
    """T10's bound 2L (Phi_0 / K + mean Gamma) of the mean squared gradient for a target that moves evenly.

    Returns:
        A row a number of steps K, a column a speed. The mean squared gradient itself is speed^2 for every K.
    """
    tables = {(count, speed): chase(speed, count).table for count in counts for speed in speeds}
    bounds = {key: 2 * float(table["objective"].to_numpy()[0] / key[0] + table["drift"].mean())
              for key, table in tables.items()}  # fmt: skip
    return pd.Series(bounds).unstack().rename_axis("K")


@cache
def chase(speed: float, steps: int = 50) -> Track:
    """A student of the loss (theta - y)^2 / 2 with weight 1 takes steps of 1 / L after a target that moves evenly."""
    moving = [points(speed * (k + 1)) for k in range(validate.count("steps", steps) + 1)]
    return follow(moving, Hard(), [WIDE] * (steps + 1), constant(1.0, steps))


@cache
def run_away(beta: float = 0.9, steps: int = 40) -> Track:
    """The case that nearly attains T10 with momentum: each momentum is minus twice the momentum before it.

    The loss is (theta - y)^2 / 2 with weight 1, and L eta = (1 - beta) / 2. The target y is placed so that the momenta
    are m_{k+1} = (-2)^k. Then the Cauchy-Schwarz inequality of the proof is an equality in every step but the first.
    """
    step, theta, m, moving = (1 - beta) / 2, 0.0, 0.0, []
    for k in range(steps + 1):
        following = (-2.0) ** k / 2.0**steps
        moving.append(points(theta - (following - beta * m)))
        m, theta = following, theta - step * following
    return follow(moving, Hard(), [WIDE] * (steps + 1), constant(step, steps), beta)


def drifting(problem: Problem, count: int, seed: int = 0) -> Iterator[Solvable]:
    """The problem and its copies, in which the samples move by a random amount from one copy to the next.

    Raises:
        ConfigError: a network. Its curvature has no bound.
    """
    rng, present = torch.Generator().manual_seed(validate.seed(seed)), solvable(problem)
    for _ in range(count):
        yield present
        match present:
            case Ridge(targets=targets):
                present = replace(present, targets=targets + 0.2 * _like(targets, rng))
            case Logistic(inputs=inputs):
                present = replace(present, inputs=inputs + 0.1 * _like(inputs, rng))


def _excess(track: Track) -> float:
    return (track.left - track.bound) / max(1.0, abs(track.bound))


def steepest(problem: Problem) -> float:
    """L for all weights: they are at most 1."""
    solved = solvable(problem)
    return solved.curvature(torch.ones_like(solved.losses(solved.start)))


def _like(tensor: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(tensor.shape, generator=rng, dtype=tensor.dtype)
