"""T14: the price of a curriculum. How far is the student that minimises Phi from the best mean loss?

F is concave and F(0) = 0, so F lies above its chord: F(M) / M l <= F(l) <= l for 0 <= l <= M. With J = mean l + R,

    J(theta_Phi) <= M / F(M) inf J,     M the largest loss at theta_Phi, the global minimiser of Phi

The factor needs no knowledge but M. It is 1 where nothing is weighed down, and tends to 1 as lambda grows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import Check, check, validate
from analysis.theory import bounds
from analysis.theory.toys.objective import objective
from analysis.theory.toys.problems import Losses, points
from cudfkd.regularizers import Regularizer

GRID = 4001  # points of the search for a global minimiser on a line


@dataclass(frozen=True)
class Price:
    """The price of minimising Phi in place of the mean loss.

    paid: J at the minimiser of Phi.
    least: inf J.
    largest: M, the largest loss at the minimiser of Phi.
    bound: M / F(M).
    """

    paid: float
    least: float
    largest: float
    bound: float

    @property
    def ratio(self) -> float:
        """J(theta_Phi) / inf J; 1 if both are 0."""
        return 1.0 if self.paid == self.least else float(np.divide(self.paid, self.least))

    @property
    def excess(self) -> float:
        """J(theta_Phi) - M / F(M) inf J: positive where T14 is violated."""
        return self.paid - self.bound * self.least


def factor(reg: Regularizer | str, lam: float, largest: float) -> float:
    """M / F(M), the bound of T14; 1 for M = 0.

    Raises:
        ConfigError: a negative loss; lambda outside its domain.
    """
    reg = validate.known(reg)
    loss = torch.tensor([validate.at_least("largest", largest, 0)], dtype=torch.float64)
    return bounds.price(largest, float(reg.latent(loss, validate.pace(reg, lam)))) if largest else 1.0


def among(reg: Regularizer | str, lam: float, candidates: Float[Tensor, "m n"]) -> Price:
    """The price where the student can choose among m vectors of losses, one vector a row."""
    reg = validate.known(reg)
    return _price(reg, lam, candidates, candidates.mean(1), reg.latent(candidates, lam).mean(1))


def on_line(reg: Regularizer | str, lam: float, targets: Sequence[float], decay: float = 0.0) -> Price:
    """The price for losses (theta - y_i)^2 / 2 with one parameter, by a search over a fine grid between the targets."""
    problem = points(*targets, decay=decay)
    phi, thetas = objective(problem, reg, lam), torch.linspace(min(0.0, *targets), max(targets), GRID).double()[:, None]
    losses = torch.vmap(problem.losses)(thetas)
    plain = losses.mean(1) + torch.vmap(phi.ridge)(thetas)
    return _price(phi.reg, lam, losses, plain, phi.values(thetas))


def one_lost(reg: Regularizer | str, lam: float, largest: float, n: int) -> Losses:
    """The choice that attains T14 as n grows: one sample of n is lost, or all n are equally a little wrong.

    Returns:
        A matrix (2, n) of losses. The first row is (M, 0, ..., 0). The second row has equal losses with a Phi that is
        larger by one part in 10^9, so that the first row is the minimiser.
    """
    reg = validate.known(reg)
    cost = float(reg.latent(torch.tensor([largest], dtype=torch.float64), lam)) / validate.count("n", n, 2)
    choices = torch.zeros(2, n, dtype=torch.float64)
    choices[0, 0] = largest
    choices[1] = inverse(reg, lam, cost * (1 + 1e-9))
    return choices


def inverse(reg: Regularizer, lam: float, value: float) -> float:
    """The loss l with F(l) = value, for 0 <= value < F(infinity), by bisection."""
    low, high = 0.0, 1.0
    while _latent(reg, lam, high) < value:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _latent(reg, lam, middle) < value else (low, middle)
    return high


def priced(reg: Regularizer | str, lam: float, seed: int = 0, problems: int = 3) -> Check:
    """T14 for random candidates, with and without a perfect candidate, and for points on a line with outliers.

    The attained case is among them. The control takes a local minimiser.
    """
    reg, rng = validate.known(reg), torch.Generator().manual_seed(validate.seed(seed))
    prices_paid = [among(reg, lam, one_lost(reg, lam, 2.0, 10_000))]
    for _ in range(validate.count("problems", problems)):
        candidates = -2 * torch.rand(200, 6, generator=rng, dtype=torch.float64).log()
        near, far = (torch.randn(count, generator=rng, dtype=torch.float64) for count in (7, 3))
        prices_paid.append(among(reg, lam, candidates))
        prices_paid.append(among(reg, lam, torch.cat([candidates, torch.zeros_like(candidates[:1])])))
        prices_paid.append(on_line(reg, lam, torch.cat([near, far + 3]).tolist(), decay=0.01))
    return check("the price of a curriculum", "J(argmin Phi) <= M / F(M) inf J", "T14",
                 [price.excess for price in prices_paid],
                 ("a local minimiser", [local_minimiser().excess]))  # fmt: skip


@cache
def local_minimiser() -> Price:
    """The price at a local minimiser of Phi: hard at lambda = 1, nine points at 0 and one point at 3, theta = 3."""
    best = on_line("hard", 1.0, [0.0] * 9 + [3.0])
    return Price(paid=0.9 * 4.5, least=best.least, largest=4.5, bound=factor("hard", 1.0, 4.5))


def attained(reg: Regularizer | str, lam: float, largest: float = 2.0, n: int = 1_000_000) -> Check:
    """T14 is attained as n grows: the ratio comes to 1 part in 1000 of the factor. Control: nine tenths of it."""
    price = among(reg, lam, one_lost(reg, lam, largest, n))
    return check("the price is attained", "J(argmin Phi) / inf J -> M / F(M) as n grows", "T14",
                 [abs(price.ratio / price.bound - 1)], ("nine tenths of the factor", [price.ratio / price.bound - 0.9]),
                 tolerance=1e-3)  # fmt: skip


def vanishes(reg: Regularizer | str, largest: float = 5.0) -> Check:
    """T14: the factor falls as lambda grows, to 1 at the end of its domain. The control is jiang-log, v* -> 0.

    The end is 1e13, or 1 - 1e-13 where lambda must stay below 1.
    """
    factors, wrong = (_growing_factors(validate.known(kind), largest) for kind in (reg, "jiang-log"))
    return check("the price vanishes", "M / F_lambda(M) falls to 1 as lambda grows", "T14",
                 [*np.diff(factors), factors[-1] - 1], ("jiang-log", [*np.diff(wrong), wrong[-1] - 1]))  # fmt: skip


def prices(reg: Regularizer | str, lams: Sequence[float], targets: Sequence[float]) -> pd.DataFrame:
    """One row per lambda for points on a line: the ratio J(theta_Phi) / inf J, its bound, and the largest loss M."""
    by_pace = {lam: on_line(reg, lam, targets) for lam in lams}
    rows = [{"lam": lam, "ratio": price.ratio, "bound": price.bound, "largest": price.largest}
            for lam, price in by_pace.items()]  # fmt: skip
    return pd.DataFrame(rows).set_index("lam")


def approach(reg: Regularizer | str, lam: float, largest: float, counts: Sequence[int]) -> dict[int, float]:
    """The price over its bound, by number of samples, where one sample of n is lost (`one_lost`)."""
    by_count = {count: among(reg, lam, one_lost(reg, lam, largest, count)) for count in counts}
    return {count: price.ratio / price.bound for count, price in by_count.items()}


def _price(reg: Regularizer, lam: float, losses: Tensor, plain: Tensor, phi: Tensor) -> Price:
    chosen = int(phi.argmin())
    largest = float(losses[chosen].max())
    return Price(float(plain[chosen]), float(plain.min()), largest, factor(reg, lam, largest))


def _growing_factors(reg: Regularizer, largest: float) -> list[float]:
    unbounded = np.isinf(reg.lam_below)
    lams = [*np.geomspace(0.3, 300, 12), 1e13] if unbounded else [*np.linspace(0.1, 0.99, 12), reg.lam_below - 1e-13]
    return [factor(reg, float(lam), largest) for lam in lams]


def _latent(reg: Regularizer, lam: float, loss: float) -> float:
    return float(reg.latent(torch.tensor([loss], dtype=torch.float64), lam))
