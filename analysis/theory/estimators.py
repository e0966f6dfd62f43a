"""T12: the meaning of the weights. The penalty g is a divergence for all ten, and MM is EM for four of them.

Robust optimisation. Let v P be P with its masses cut down by the weights v in [0, 1]. Then

    Phi = min over v of  [ E_P v l + div_g(v P || P) ],   div_g(v P || P) = E_P g(v),

and the minimiser v* P is, once it has mass 1, the Pi_lambda of T9. For Welsch div_g is lambda times the KL divergence
of measures, and with the total mass minimised out

    -lambda ln(1 - Phi / lambda) = -lambda ln E_P e^(-l / lambda) = min over Pi of [ E_Pi l + lambda KL(Pi || P) ].

EM. Let a random weight omega >= 0 be behind each sample, with a prior, and with the likelihood e^(-omega l). Its
posterior mean at the loss l is F'(l) / zeta where e^(-F(l) / zeta) = E e^(-omega l), the mean over the prior. So MM is
EM for the objective Phi / zeta exactly when e^(-F / zeta) is a Laplace transform, that is, completely monotone
(Bernstein).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, pi

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.special import gammaln
from torch import Tensor

from analysis.checks import Check, check, validate
from analysis.theory.distribution import curriculum, random_problem
from cudfkd.regularizers import Regularizer

Values = Float[np.ndarray, " n"]
TEMPERATURES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0)
ORDER = 8  # the largest order of difference that is looked at


@dataclass(frozen=True)
class Prior:
    """A random weight behind each sample.

    name: the distribution of omega.
    temperature: zeta, by which Phi is divided.
    nodes, masses: omega and its probabilities; a quadrature where omega is continuous.
    """

    name: str
    temperature: float
    nodes: Values
    masses: Values

    def evidence(self, losses: Values) -> Values:
        """E e^(-omega l), the likelihood of a sample with its weight integrated out."""
        return np.exp(-np.outer(losses, self.nodes)) @ self.masses

    def posterior_mean(self, losses: Values) -> Values:
        """E [omega | l], the weight that the E-step of EM gives to a sample, times the temperature."""
        likelihood = np.exp(-np.outer(losses, self.nodes)) * self.masses
        return self.temperature * (likelihood @ self.nodes) / likelihood.sum(1)


def prior(reg: Regularizer | str, lam: float) -> Prior | None:
    """The prior of the random weight behind each sample; None where no prior gives the regularizer.

    The prior of log has a weight of 0 or 1: a sample is contaminated or clean. The prior of Welsch is a count divided
    by lambda.
    """
    reg = validate.known(reg)
    lam = validate.pace(reg, lam)
    match reg.name:
        case "log":
            odds = exp(-lam)
            return Prior("Bernoulli", 1 + odds, np.array([0.0, 1.0]), np.array([odds, 1.0]) / (1 + odds))
        case "welsch":
            count = np.arange(int(lam + 12 * lam**0.5) + 40)
            return Prior("Poisson / λ", 1.0, count / lam, np.exp(count * log(lam) - lam - gammaln(count + 1)))
        case "cauchy":
            return _continuous("Gamma", lambda w: lam * np.log(lam * w) - lam * w - gammaln(lam))
        case "l1-l2":
            return _continuous("inverse Gaussian", lambda w: -lam * (w - 1) ** 2 / w + np.log(lam / (pi * w)) / 2)
    return None


def is_em(reg: Regularizer | str, lam: float) -> Check:
    """T12: the prior's posterior mean is the weight, and its evidence is e^(-F / zeta). Control: a prior at 1.1 lambda.

    Raises:
        ConfigError: no prior gives this regularizer.
    """
    reg = validate.known(reg)
    right, wrong = prior(reg, lam), prior(reg, 1.1 * lam)
    if right is None or wrong is None:
        raise validate.refuse("regularizer", reg.name, "one whose weight is a posterior mean")
    return check("MM is EM", "v* = zeta E[omega | l], e^(-F / zeta) = E e^(-omega l)", "T12", _em_gaps(reg, lam, right),
                 ("the prior of a pace a tenth larger", _em_gaps(reg, lam, wrong)))  # fmt: skip


def laplace(reg: Regularizer | str, lam: float) -> Check:
    """T12: e^(-F / zeta) is completely monotone for some zeta. It can hold for log, Welsch, Cauchy and L1-L2 only.

    The violation is the largest difference of the wrong sign, up to order 8, at the best of several zeta. The control
    is hard: e^(-F / zeta) has a kink, and a Laplace transform has none.
    """
    reg = validate.known(reg)
    return check("a prior of the weights exists", "(-1)^j Delta^j e^(-F / zeta) >= 0 for all j", "T12",
                 [roughest(reg, lam)], ("hard", [roughest(validate.known("hard"), lam)]))  # fmt: skip


def robust(reg: Regularizer | str, lam: float, seed: int = 0, trials: int = 20) -> Check:
    """T12: no masses v P give less than Phi, and v* P gives Phi. The control takes nine tenths of div_g."""
    reg, rng = validate.known(reg), torch.Generator().manual_seed(validate.seed(seed))
    lam = validate.pace(reg, lam)
    losses, uneven = random_problem(seed)
    best, phi = reg.weight(losses, lam), float((uneven * reg.latent(losses, lam)).sum())
    tried = torch.rand(validate.count("trials", trials), len(losses), generator=rng, dtype=torch.float64)
    costs = ((tried * losses + reg.penalty(tried, lam)) * uneven).sum(1)
    at_best = float(((best * losses + reg.penalty(best, lam)) * uneven).sum())
    cheap = float(((best * losses + 0.9 * reg.penalty(best, lam)) * uneven).sum())
    return check("Phi is a robust mean", "Phi = min over v of E_P v l + div_g(v P || P)", "T12",
                 [*(phi - costs).tolist(), abs(at_best - phi)],
                 ("nine tenths of the divergence", [phi - cheap]))  # fmt: skip


def welsch_dual(lam: float = 1.5, seed: int = 0, trials: int = 20) -> Check:
    """T12 for Welsch: the tilted mean is the least E_Pi l + lambda KL(Pi || P), attained by T9's Pi_lambda.

    The control takes nine tenths of the divergence.
    """
    (losses, uneven), rng = random_problem(seed), torch.Generator().manual_seed(validate.seed(seed))
    optimum = curriculum("welsch", lam, losses, uneven)
    tilted = -lam * float(torch.log((uneven * torch.exp(-losses / lam)).sum()))
    drawn = -torch.rand(validate.count("trials", trials), len(losses), generator=rng, dtype=torch.float64).log()
    others = [_divergent(each / each.sum(), uneven, losses, lam) for each in drawn]
    reached = optimum.mean_loss + lam * optimum.divergence("KL")
    return check("Welsch is optimistic robust optimisation", "-lambda ln E e^(-l / lambda) = min E_Pi l + lambda KL",
                 "T12", [*(tilted - other for other in others), abs(reached - tilted)],
                 ("nine tenths of the divergence",
                  [tilted - reached + 0.1 * lam * optimum.divergence("KL")]))  # fmt: skip


def table() -> pd.DataFrame:
    """One row per regularizer: the estimator for squared residuals, the divergence div_g, the prior of the weight."""
    return pd.DataFrame(ROWS, columns=["regularizer", "for ℓ = ε²/2", "divergence", "prior of ω (EM)"]).set_index(
        "regularizer"
    )


ROWS = (
    ("hard", "truncated least squares", "λ · mass left out (total variation)", "none"),
    ("linear", "truncated parabola in ℓ", "λ/2 · Pearson's χ²", "none"),
    ("log", "location of a contaminated sample", "ζ · KL of two coins, v/ζ against 1/ζ", "Bernoulli, ζ = 1 + e^(−λ)"),
    ("polynomial", "Tukey's biweight at ν = 3/2", "λ · power divergence of order ν", "none"),
    ("mixture", "no name known to us", "no name known to us", "none"),
    ("jiang-log", "no name known to us", "no name known to us", "none"),
    ("welsch", "Welsch's (Leclerc's)", "λ · KL", "Poisson of mean λ, over λ"),
    ("cauchy", "Cauchy's: Student's t", "λ · reverse KL", "Gamma of shape λ and mean 1"),
    ("l1-l2", "pseudo-Huber", "λ · Neyman's χ²", "inverse Gaussian, mean 1, shape 2λ"),
    ("huber", "Huber's", "λ · (Neyman's χ² + mass left out)", "none"),
)


def _continuous(name: str, log_density: Callable[[Values], Values]) -> Prior:
    """A quadrature of a density on omega > 0: the trapezoid rule in ln omega, which converges exponentially here.

    Arguments:
        log_density: the logarithm of omega times its density, that is, of the density of ln omega.
    """
    logs = np.linspace(-100, 6, 8001)
    nodes = np.exp(logs)
    return Prior(name, 1.0, nodes, np.exp(log_density(nodes)) * (logs[1] - logs[0]))


def _em_gaps(reg: Regularizer, lam: float, model: Prior) -> Values:
    losses = torch.linspace(0, 4 * lam, 41, dtype=torch.float64)
    weight, evidence = reg.weight(losses, lam).numpy(), torch.exp(-reg.latent(losses, lam) / model.temperature).numpy()
    return np.abs([model.posterior_mean(losses.numpy()) - weight, model.evidence(losses.numpy()) - evidence]).ravel()


def roughest(reg: Regularizer, lam: float) -> float:
    """The largest difference of the wrong sign, at the temperature at which it is smallest."""
    axis = torch.linspace(0, 4 * lam, 4 * 16 + 1, dtype=torch.float64)
    latent = reg.latent(axis, lam).numpy()
    return min(_wrong_sign(np.exp(-latent / c)) for c in (1 + exp(-lam), *TEMPERATURES))


def _wrong_sign(values: Values) -> float:
    """The largest violation of (-1)^j Delta^j >= 0, over the orders up to 8 and over three distances of the points."""
    worst = [-(-1.0) ** k * np.diff(values[::gap], k).min() if k % 2 == 0 else np.diff(values[::gap], k).max()
             for k in range(1, ORDER + 1) for gap in (1, 3, 7)]  # fmt: skip
    return float(max(worst))


def _divergent(q: Tensor, prior: Tensor, losses: Tensor, lam: float) -> float:
    return float((q * losses).sum() + lam * torch.xlogy(q, q / prior).sum())
