"""Small cases in which the bounds of T3 to T8 are equalities, or nearly: each check of a bound contains its case.

Near its minimum a quadratic loss has the weight 1 to within its size, for every regularizer, so that nothing is lost
between Phi and its surrogate. A loss far above lambda loses everything.
"""

import torch
from torch import Tensor

from analysis.theory.toys.problems import Ridge, points
from cudfkd.regularizers import Regularizer

SMALL = 0.01  # theta of a student that is close to its target: the loss is 5e-5
FAR = 1e6  # a loss so large that its weight is gone, in units of lambda
BELOW, ABOVE = 0.999, 1.001  # factors that put a step on either side of its limit


def parabola() -> Ridge:
    """One loss theta^2 / 2 near its minimum: L = 1, and Phi = theta^2 / 2 up to a share of 1e-4."""
    return points(0.0, start=SMALL)


def scattered() -> Ridge:
    """Four losses (theta - a)^2 / 2 at the minimum 0 of their mean: no gradient, only variance."""
    return points(-SMALL, 0.0, 0.0, SMALL)


def at_rest(loss: float) -> Ridge:
    """Two samples that pull to both sides with equal force; both losses are `loss` and stay."""
    distance = (2 * loss) ** 0.5
    return points(distance, -distance)


def one_sample(loss: float, decay: float = 0.0) -> Ridge:
    """One loss (theta - a)^2 / 2, of the given size at the start."""
    return points((2 * loss) ** 0.5, decay=decay)


def jump(lam: float) -> tuple[Tensor, Tensor]:
    """The losses before and after a move from 0 to far above lambda, the extreme case of T2."""
    before = torch.zeros(1, dtype=torch.float64)
    return before, before + FAR * lam


def growing_far(reg: Regularizer) -> tuple[float, float, float]:
    """A loss and two lambdas, the first far below the loss and the last far above it, as far as the domain goes."""
    return 1e3, 1e-3, min(1e6, 0.99 * reg.lam_below)


def ramp(n: int = 8) -> tuple[Tensor, Tensor]:
    """Samples x (n, 1) before and after a common move of SMALL; the loss is x, so its slope is 1 along the move."""
    start = SMALL * torch.arange(n, dtype=torch.float64)[:, None] / n
    return start, start + SMALL
