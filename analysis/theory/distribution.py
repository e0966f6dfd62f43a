"""T9: the curriculum as a distribution. Pi_lambda gives each sample the probability v*(l; lambda) P / alpha(lambda).

alpha = sum P v* is the mean weight (the activity of the curriculum is 1 - alpha). By the definition of Bengio et al.
(2009), the weights and the entropy of a curriculum grow. Let lambda grow at fixed theta and P, and let v* be TP2,

    v(l_2; lambda) v(l_1; lambda') <= v(l_1; lambda) v(l_2; lambda')    for losses l_1 < l_2 and paces lambda < lambda'

Weights may be 0; where they are positive, ln v* has increasing differences. Then alpha grows, the mean loss under Pi
grows, and every f-divergence div_f(Pi || P) falls. The entropy grows for a uniform P; for another P it may fall.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analysis.checks import validate
from analysis.theory.toys.problems import Losses
from cudfkd.base.errors import ConfigError
from cudfkd.regularizers import Regularizer

Convex = Callable[[Tensor], Tensor]  # a convex f with f(1) = 0; div_f(Pi || P) = sum P f(Pi / P)

DIVERGENCES: dict[str, Convex] = {
    "KL": lambda r: torch.xlogy(r, r) - r + 1,
    "chi2": lambda r: (r - 1).square(),
    "TV": lambda r: (r - 1).abs() / 2,
    "Hellinger": lambda r: (r.sqrt() - 1).square(),
    "Jensen-Shannon": lambda r: (torch.xlogy(r, r) - torch.xlogy(r + 1, (r + 1) / 2)) / 2,
    "cubic": lambda r: r**3 - 3 * r + 2,
    "kinked": lambda r: (r - 1.5).clamp(min=0),
}


@dataclass(frozen=True, eq=False)
class Curriculum:
    """The distribution Pi_lambda.

    q: the probabilities Pi_lambda, (n,).
    prior: the probabilities P, (n,).
    losses: l_i, (n,).
    alpha: the mean weight, sum P v*.
    """

    q: Float[Tensor, " n"]
    prior: Float[Tensor, " n"]
    losses: Losses
    alpha: float

    @property
    def mean_loss(self) -> float:
        """The mean loss under Pi, E_Pi l."""
        return float((self.q * self.losses).sum())

    @property
    def entropy(self) -> float:
        """Shannon's entropy of Pi, in nats."""
        return float(-torch.xlogy(self.q, self.q).sum())

    @property
    def ess(self) -> float:
        """The effective sample fraction (sum P v)^2 / sum P v^2 = 1 / (1 + chi^2), in (0, 1]."""
        return 1 / (1 + self.divergence("chi2"))

    def divergence(self, phi: str | Convex) -> float:
        """The divergence div_f(Pi || P) = sum P f(Pi / P).

        Arguments:
            phi: a convex f with f(1) = 0, or a name of `DIVERGENCES`.

        Raises:
            ConfigError: an unknown name; a function that is not convex on (0, max(1 / alpha, 2)], or not 0 at 1.
        """
        if isinstance(phi, str):
            if phi not in DIVERGENCES:
                validate.refuse("divergence", phi, f"one of {', '.join(DIVERGENCES)}, or a function")
            phi = DIVERGENCES[phi]
        else:
            _generates(phi, 1 / self.alpha)
        return float((self.prior * phi(self.q / self.prior)).sum())


def curriculum(
    reg: Regularizer | str, lam: float, losses: Losses | Sequence[float], prior: Losses | Sequence[float] | None = None
) -> Curriculum:
    """The distribution Pi_lambda for losses (n,) and a prior P (n,); the prior is uniform if None.

    Raises:
        ConfigError: losses that are negative, not finite or not float64; a prior of another shape or dtype than the
            losses, not positive, or without sum 1; lambda outside its domain; a dead curriculum, in which every weight
            is 0.
    """
    reg, losses = validate.known(reg), validate.vector(losses)
    lam = validate.pace(reg, lam)
    validate.resolves(1e-10, losses=losses)
    p = torch.full_like(losses, 1 / len(losses)) if prior is None else validate.vector(prior, "prior")
    validate.alike(losses=losses, prior=p)
    validate.distribution(p)
    if float(p.min()) <= 0:
        validate.refuse(f"prior[{int(p.argmin())}]", float(p.min()), "greater than 0")
    weighted = p * reg.weight(losses, lam)
    alpha = float(weighted.sum())
    if alpha == 0:
        smallest = f"the smallest loss is {float(losses.min()):g}, lam = {lam:g}"
        raise ConfigError(f"the curriculum is dead: every weight of {reg.name} is 0 ({smallest})")
    return Curriculum(weighted / alpha, p, losses, alpha)


def sweep(
    reg: Regularizer | str, lams: Sequence[float], losses: Losses | Sequence[float],
    prior: Losses | Sequence[float] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """One row per lambda: alpha, mean loss, entropy, KL, chi2, TV, ess. It raises the errors of `curriculum`."""
    rows = []
    for lam in lams:
        q = curriculum(reg, lam, losses, prior)
        divergences = {name: q.divergence(name) for name in ("KL", "chi2", "TV")}
        rows.append({"lam": lam, "alpha": q.alpha, "mean loss": q.mean_loss, "entropy": q.entropy, **divergences,
                     "ess": q.ess})  # fmt: skip
    return pd.DataFrame(rows).set_index("lam")


def probabilities(
    reg: Regularizer | str, lams: Sequence[float], losses: Losses | Sequence[float],
    prior: Losses | Sequence[float] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """The probabilities Pi_lambda for a figure: a row a lambda, a column a sample in the order of the losses."""
    rows = {lam: curriculum(reg, lam, losses, prior).q.numpy() for lam in lams}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("lam").rename_axis("sample", axis=1)


def random_problem(seed: int, n: int = 12, uniform: bool = False) -> tuple[Losses, Losses]:
    """Losses (n,) drawn from an exponential of mean 2, and a prior: uniform, or uneven (Dirichlet of 0.5).

    The losses of a seed are the same for both priors: they are drawn first, and the uneven prior is always drawn.
    """
    validate.count("n", n, 2)
    rng = np.random.default_rng(validate.seed(seed))
    losses = torch.from_numpy(rng.exponential(2.0, n))
    uneven = rng.dirichlet(np.full(n, 0.5)) + 1e-6
    p = np.full(n, 1 / n) if uniform else uneven / uneven.sum()
    return losses, torch.from_numpy(p)


def _generates(phi: Convex, most: float) -> None:
    """Refuses a function that generates no divergence: phi(1) is not 0, or phi lies above a chord.

    The chords join points of a grid on (0, max(most, 2)].
    """
    grid = torch.linspace(0, max(most, 2.0), 2001, dtype=torch.float64)[1:]  # at 0 phi may be infinite
    value, at_one = phi(grid), float(phi(torch.ones(1, dtype=torch.float64)))
    if not abs(at_one) <= 1e-12:
        validate.refuse("phi(1)", at_one, "0")
    bulge = float((value[1:-1] - (value[:-2] + value[2:]) / 2).max())
    if not bulge <= 1e-12 * max(1.0, float(value.abs().max())):
        validate.refuse("the bulge of phi above a chord", bulge, "0: a divergence needs a convex phi")
