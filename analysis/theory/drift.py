"""T6: the samples move under the student. The bounds say by how much this can change the objective.

The change is Gamma = mean F(l') - mean F(l). Here l and l' are the losses of the same codes z before and after the
generator moved.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from analysis.checks import Check, check, validate
from analysis.theory import attained, bounds
from analysis.theory.toys.descent import Gradient
from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import Losses, points
from cudfkd.regularizers import Regularizer


@dataclass(frozen=True)
class Drift:
    """The drift Gamma and three bounds of |Gamma|, with coupled <= plain.

    gamma: mean F(l') - mean F(l).
    coupled: mean v*(min(l, l')) |l' - l|.
    plain: mean |l' - l|.
    total_variation: F(infinity) TV with TV = 1; infinite where F is unbounded.
    """

    gamma: float
    coupled: float
    plain: float
    total_variation: float


def drift(reg: Regularizer | str, lam: float, before: Losses, after: Float[Tensor, "..."]) -> Drift:
    """Gamma and its bounds for the losses (n,) of the same codes before and after the move.

    Raises:
        ConfigError: losses that are negative, not finite or not float64; losses of different shape or dtype; lambda
            outside its domain.
    """
    reg = validate.known(reg)
    lam = validate.pace(reg, lam)
    validate.alike(before=before, after=after)
    validate.resolves(1e-10, before=before, after=after)
    validate.losses(before, "before")
    validate.losses(after, "after")
    change = (after - before).abs()
    gamma = (reg.latent(after, lam) - reg.latent(before, lam)).mean()
    coupled = bounds.coupled(reg.weight(torch.minimum(before, after), lam), change)
    limit = bounds.moved_mass(float(reg.latent_limit(lam)), 1.0)
    return Drift(float(gamma), coupled, bounds.plain_change(change), limit)


def bounded(reg: Regularizer | str, lam: float, seed: int = 0, n: int = 50, trials: int = 20) -> Check:
    """T6: |Gamma| <= mean v*(min) |dl| <= mean |dl| for random losses, and for a small move of small losses.

    The small move attains both bounds. The control takes the weight of the larger loss.
    """
    reg, rng = validate.known(reg), torch.Generator().manual_seed(validate.seed(seed))
    lam, slack, wrong = validate.pace(reg, lam), [], []
    small = tuple(ends[:, 0] for ends in attained.ramp(n))
    for _ in range(trials):
        before, after = (-2 * torch.rand(n, generator=rng, dtype=torch.float64).log() for _ in range(2))
        rising = torch.maximum(before, after)  # all losses rise: no signs cancel, so the control must fail
        for start, end in ((before, after), (before, rising), small):
            parts = drift(reg, lam, start, end)
            slack.append(max(abs(parts.gamma) - parts.coupled, parts.coupled - parts.plain))
        late = (reg.weight(rising, lam) * (rising - before)).mean()
        wrong.append(abs(drift(reg, lam, before, rising).gamma) - float(late))
    return check("drift is bounded", "|Gamma| <= E v*(min(l, l')) |l' - l| <= E |l' - l|", "T6", slack,
                 ("v*(max(l, l'))", wrong), claims=("C1", "C3", "C4"))  # fmt: skip


def transported(reg: Regularizer | str, lam: float, seed: int = 0, n: int = 24, trials: int = 5) -> Check:
    """T6: |Gamma| <= Lip_x(l) W1(P, P'), for logistic losses ln(1 + e^(-x theta)) with the Lipschitz constant |theta|.

    W1 of two samples of n points is an assignment problem, solved exactly. Small losses l = x, moved in common, attain
    the bound. The control uses W1 of another pair.
    """
    reg, rng = validate.known(reg), torch.Generator().manual_seed(validate.seed(seed))
    near, moved = attained.ramp(n)
    small = drift(reg, lam, near[:, 0], moved[:, 0]).gamma
    slack, wrong = [abs(small) - bounds.transport(1.0, wasserstein(near, moved))], []
    for _ in range(trials):
        theta, first, noise = (_normal(rng, *shape) for shape in ((3,), (n, 3), (n, 3)))
        second = first - 1.5 * theta + 0.3 * noise
        losses = [torch.nn.functional.softplus(-(x @ theta)) for x in (first, second)]
        gamma, lipschitz = abs(drift(reg, lam, losses[0], losses[1]).gamma), float(theta.norm())
        slack.append(gamma - bounds.transport(lipschitz, wasserstein(first, second)))
        wrong.append(gamma - bounds.transport(lipschitz, wasserstein(first, first + 0.01 * noise)))
    return check("drift by transport", "|Gamma| <= Lip(l) W1(P, P')", "T6", slack, ("W1 of another pair", wrong),
                 claims=("C1", "C3", "C4"))  # fmt: skip


def mass_moved(reg: Regularizer | str, lam: float, seed: int = 0, n: int = 50, trials: int = 20) -> Check:
    """T6: |Gamma| <= F(infinity) TV(P, P') for two distributions on the same losses.

    All mass that moves from loss 0 to far above lambda attains the bound. The control halves TV.

    Raises:
        ConfigError: F is unbounded (cauchy, l1-l2, huber): the bound is void.
    """
    reg, rng = validate.known(reg), np.random.default_rng(validate.seed(seed))
    lam = validate.pace(reg, lam)
    most = float(reg.latent_limit(lam))
    if np.isinf(most):
        validate.refuse("F(infinity)", most, f"finite: for {reg.name} the bound by total variation is void")
    near, far = (float(reg.latent(loss, lam)) for loss in attained.jump(lam))
    slack, wrong = [far - near - bounds.moved_mass(most, 1.0)], [far - near - bounds.moved_mass(most, 0.5)]
    for _ in range(trials):
        cost = reg.latent(torch.from_numpy(rng.exponential(3, n)), lam).numpy()
        p, q = rng.dirichlet(np.full(n, 0.1), 2)
        slack.append(abs(float((q - p) @ cost)) - bounds.moved_mass(most, float(np.abs(q - p).sum()) / 2))
    return check("drift by total variation", "|Gamma| <= F(inf) TV(P, P')", "T6", slack, ("half of TV", wrong),
                 claims=("C1", "C3", "C4"))  # fmt: skip


def chase(
    reg: Regularizer | str = "log", lam: float = 2.0, speed: float = 0.2, step: float = 0.5, steps: int = 200
) -> pd.DataFrame:
    """A student of one parameter follows a target that moves by `speed` per step. One row per step.

    Each row is one step of the student, then one move of the target. Every step of the student descends, yet Phi does
    not end at 0: under constant drift the student only tracks the target (T6). Beyond some speed the sample escapes and
    its weight goes to 0.

    Columns:
        target: the target after its move.
        theta: the student after its step.
        student: the change of Phi by the student's step.
        drift: the change of Phi by the target's move.
        objective: Phi after both.
        weight: the weight of the sample after both.

    Raises:
        ConfigError: steps < 1, a negative speed, a step length <= 0, lambda outside its domain.
    """
    validate.count("steps", steps)
    validate.at_least("speed", speed, 0)
    solver, rows, theta = Gradient(step), [], torch.zeros(1, dtype=torch.float64)
    for k in range(steps):
        present, moved = (objective(points(speed * at), reg, lam) for at in (k, k + 1))
        before = present.point(theta)
        theta = solver(present, before).theta
        after, drifted = present.point(theta), moved.point(theta)
        rows.append({
            "target": speed * (k + 1), "theta": float(theta), "student": after.value - before.value,
            "drift": drifted.value - after.value, "objective": drifted.value, "weight": float(drifted.weights[0]),
        })  # fmt: skip
    return pd.DataFrame(rows).rename_axis("k")


def wasserstein(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> float:
    """The Wasserstein distance W1 between two samples of n points each, Euclidean, computed as an assignment.

    Raises:
        ConfigError: samples of different shape or dtype, or not finite.
    """
    validate.alike(first=first, second=second)
    validate.shape("first", first, None, None)
    for name, points_ in (("first", first), ("second", second)):
        if not bool(points_.isfinite().all()):
            validate.refuse(name, float(points_[~points_.isfinite()][0]), "finite")
    cost = torch.cdist(first, second).numpy()
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())


def _normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64)
