"""T5': as lambda grows, the gradient of Phi tends to the gradient of plain distillation, mean l + R.

The gradient of Phi is computed through the latent loss F, not from the weights: the checks would notice an F that does
not belong to them.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from analysis.checks import Check, check, validate
from analysis.theory import attained, bounds
from analysis.theory.toys.objective import Objective, objective
from analysis.theory.toys.problems import Problem, Theta
from cudfkd.regularizers import Logistic, Regularizer


def bounded(problem: Problem, reg: Regularizer | str, lams: Sequence[float], seed: int = 0, trials: int = 5) -> Check:
    """T5' at random theta: |grad Phi - grad(mean l + R)| <= mean (1 - v) |grad l| <= (1 - v*(M)) C at each lambda.

    One sample with weight decay attains both, below lambda and above it. For log 1 - v*(M) is at most
    e^-lambda (e^M - 1), nearly attained at lambda = M + 5. The control uses the smallest loss as M.
    """
    validate.count("number of lambdas", len(lams))
    phis = [objective(problem, reg, lam) for lam in lams]
    cases = [_bounds(phi, theta) for phi in phis for theta in _thetas(problem, seed, trials)]
    slack = [excess for case in cases for excess in case[:2]]
    sizes = [(phi, share * phi.lam) for phi in phis for share in (0.5, 1.5)]
    singles = [objective(attained.one_sample(loss, decay=0.5), phi.reg, phi.lam) for phi, loss in sizes]
    slack += [excess for single in singles for excess in _bounds(single, single.problem.start)[:2]]
    if isinstance(phis[0].reg, Logistic):
        slack += [_over_tail(phis[0].reg, most, most + ahead) for most in (1.0, 4.0) for ahead in (-1.0, 0.0, 5.0)]
    statement = "|grad Phi - grad(mean l + R)| <= mean (1 - v) |grad l| <= (1 - v*(M)) C"
    return check("gradient of plain distillation", statement, "T5'", slack,
                 ("M the smallest loss", [case[2] for case in cases]))  # fmt: skip


def reached(problem: Problem, reg: Regularizer | str, seed: int = 0, trials: int = 5) -> Check:
    """T5': at the end of lambda's domain grad Phi equals the gradient of mean l + R.

    The end is 1e13, or 1 - 1e-13 where lambda must stay below 1. The control is lambda = 0.5.
    """
    regularizer = validate.known(reg)
    end = 1e13 if np.isinf(regularizer.lam_below) else regularizer.lam_below - 1e-13
    thetas = _thetas(problem, seed, trials)
    far, near = ([distance(objective(problem, regularizer, lam), theta) for theta in thetas] for lam in (end, 0.5))
    return check("plain distillation in the limit", "grad Phi_lambda -> grad(mean l + R) as lambda grows", "T5'", far,
                 ("lambda = 0.5", near))  # fmt: skip


def distance(phi: Objective, theta: Theta, slopes: Tensor | None = None) -> float:
    """The distance |grad Phi - grad(mean l + R)|; `slopes` are the gradients grad l_i, if they are known already."""
    variable = theta.detach().requires_grad_()
    (through,) = torch.autograd.grad(phi.value(variable), variable)
    each = phi.problem.jacobian(theta) if slopes is None else slopes
    return float((through - each.mean(0) - phi.problem.decay * theta).norm())


def _bounds(phi: Objective, theta: Theta) -> tuple[float, float, float]:
    """The excess of the left side over the middle, of the middle over the right side, and the control's excess.

    All three are relative to the largest |grad l_i|, if that exceeds 1.
    """
    losses, slopes = phi.problem.losses(theta), phi.problem.jacobian(theta)
    norms, missing = slopes.norm(dim=1), 1 - phi.reg.weight(losses, phi.lam)
    steepest, middle = float(norms.max()), bounds.missing_gradient(missing, norms)
    most, least = (bounds.missing_at_most(float(end), steepest) for end in (missing.max(), missing.min()))
    scale = max(1.0, steepest)
    return (distance(phi, theta, slopes) - middle) / scale, (middle - most) / scale, (middle - least) / scale


def _over_tail(reg: Regularizer, most: float, lam: float) -> float:
    weight = float(reg.weight(torch.tensor([most], dtype=torch.float64), lam))
    return (1 - weight) - bounds.log_tail(most, lam)


def _thetas(problem: Problem, seed: int, trials: int) -> Tensor:
    rng = torch.Generator().manual_seed(validate.seed(seed))
    count = validate.count("trials", trials)
    return problem.start + torch.randn(count, len(problem.start), generator=rng, dtype=torch.float64)
