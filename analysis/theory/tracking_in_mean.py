"""T10 with mini-batches and momentum together: the bound holds in the mean, over all sequences of batches.

    sum eta_k / kappa_k E |grad Phi_k|^2
        <= E [energy_0 - energy_K + sum Lambda_k + sum Gamma_k] + sum eta_k / 2 (L eta_k + beta) sigma_k^2 / B

Without momentum a short step removes the last term. With momentum it leaves kappa beta sigma^2 / (2 B) of the mean
squared gradient, for every step length.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import Check, check, validate
from analysis.theory import bounds
from analysis.theory.toys.objective import Objective, objective
from analysis.theory.toys.problems import Ridge, points
from analysis.theory.tracking import WIDE, steepest
from cudfkd.regularizers import Hard, Regularizer


class Mean(NamedTuple):
    """The three terms of T10 in the mean.

    left: sum eta / kappa E |grad Phi_k|^2.
    moved: E [energy_0 - energy_K + sum Lambda_k + sum Gamma_k].
    noise: sum eta / 2 (L eta + beta) sigma_k^2.
    """

    left: float
    moved: float
    noise: float


def expected(reg: Regularizer | str, lams: Sequence[float], seed: int = 0) -> Check:
    """T10 for three samples and batches of a single sample, over all sequences of batches, with momentum 0 and 0.9.

    Both sides are equal where all weights are 1: in every step without momentum, and in the first step with momentum
    and eta = (1 - beta) / L. The control leaves the noise out there.
    """
    reg = validate.known(reg)
    drifted = drifting(seed, validate.count("number of lambdas", len(lams), 2))
    curved = [mean(drifted, reg, lams, step, beta) for step, beta in ((0.5, 0.0), (0.05, 0.9))]
    equal = [mean(drifted, Hard(), [WIDE] * len(lams), 0.5), mean(drifted[:2], Hard(), [WIDE] * 2, 0.1, 0.9)]
    return check("the student tracks in the mean", "as T10, plus sum eta / 2 (L eta + beta) sigma_k^2", "T10",
                 [*(case.left - case.moved - case.noise for case in curved),
                  *(abs(case.left - case.moved - case.noise) for case in equal)],
                 ("noise left out", [case.left - case.moved for case in equal]), claims=("C3", "C4"))  # fmt: skip


def drifting(seed: int, count: int) -> list[Ridge]:
    """Three samples on a line, and `count` - 1 copies in which they have drifted by 0.1 a step."""
    rng = torch.Generator().manual_seed(validate.seed(seed))
    targets = 2 * torch.rand(3, generator=rng, dtype=torch.float64)
    return [points(*(targets + 0.1 * k).tolist()) for k in range(count)]


def mean(problems: Sequence[Ridge], reg: Regularizer, lams: Sequence[float], step: float, beta: float = 0.0) -> Mean:
    """The terms of T10 over all sequences of batches of one sample. Both sequences have K + 1 entries."""
    curvature = max(map(steepest, problems))
    phis = [objective(problem, reg, lam) for problem, lam in zip(problems, lams, strict=True)]
    thetas = problems[0].start[None]
    momenta, left, noise, moved = torch.zeros_like(thetas), 0.0, 0.0, float(phis[0].value(thetas[0]))
    for phi, following in zip(phis[:-1], phis[1:], strict=True):
        each = torch.vmap(partial(_sample_gradients, phi))(thetas)  # (paths, samples, parameters)
        true = each.mean(1)
        left += float(true.square().sum(1).mean())
        noise += float((each - true[:, None]).square().sum(2).mean())
        branches = beta * momenta[:, None] + each
        thetas = (thetas[:, None] - step * branches).flatten(0, 1)
        momenta = branches.flatten(0, 1)
        moved += float((following.values(thetas) - phi.values(thetas)).mean())
    moved -= float(phis[-1].values(thetas).mean() + beta * step / 2 * momenta.square().sum(1).mean())
    weight = step / bounds.kappa(step * curvature, beta)
    return Mean(weight * left, moved, bounds.batch_noise(step, curvature, beta, noise))


def _sample_gradients(phi: Objective, theta: Tensor) -> Float[Tensor, "n d"]:
    """The gradients v_i grad l_i, one row per sample."""
    weights = phi.reg.weight(phi.problem.losses(theta), phi.lam)
    return weights[:, None] * torch.func.jacrev(phi.problem.losses)(theta)
