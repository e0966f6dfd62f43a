"""How a curve of accuracy over epochs is told in numbers, and what each way of telling hides.

Accuracies are shares in [0, 1], an epoch each. mu and sigma^2 of the published tables are in percent and percent^2;
their window and divisor are not stated, so both are arguments here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor
from torch.nn.functional import one_hot

from analysis.checks import Check, check, validate
from analysis.checks.statistics import mean_over_seeds
from cudfkd.evaluation import Estimate

Curve = Sequence[float] | Float[np.ndarray, " epochs"]


class Stability(NamedTuple):
    """mu in percent, variance in percent^2, sigma its root; over `n` epochs."""

    mu: float
    variance: float
    sigma: float
    n: int


class Reach(NamedTuple):
    """The epoch (from 1) in which a level was reached, or the last epoch and censored = True: later, or never."""

    epoch: int
    censored: bool


def stability(accuracies: Curve, skip: int = 0, ddof: int = 0, detrend: bool = False) -> Stability:
    """mu and sigma^2 over the epochs after the first `skip`.

    Arguments:
        ddof: 0 divides by n, 1 by n - 1.
        detrend: leave out a straight line first, so that learning does not count as instability (mu stays).

    Raises:
        ConfigError: an accuracy outside [0, 1]; fewer than 2 epochs left, or no more than ddof.
    """
    values = 100 * _curve(accuracies)[validate.count("skip", skip, 0) :]
    validate.count("number of epochs in the window", len(values), max(2, ddof + 1))
    epochs, mean = np.arange(len(values)), float(values.mean())
    rest = values - np.polyval(np.polyfit(epochs, values, 1), epochs) if detrend else values - mean
    variance = float((rest**2).sum() / (len(values) - ddof))
    return Stability(mean, variance, variance**0.5, len(values))


def drawdown(accuracies: Curve) -> float:
    """The largest fall from the best so far: max over t of (max over s <= t of acc_s) - acc_t."""
    values = _curve(accuracies)
    return float((np.maximum.accumulate(values) - values).max())


def reaches(accuracies: Curve, level: float, stay: int = 1) -> Reach:
    """The first epoch of `stay` in a row at or above `level`.

    Raises:
        ConfigError: a level outside [0, 1], stay < 1.
    """
    validate.within("level", level, 0, 1 + 1e-12)
    above = _curve(accuracies) >= level
    run = 0
    for epoch, hit in enumerate(above, start=1):
        run = run + 1 if hit else 0
        if run == validate.count("stay", stay):
            return Reach(epoch - stay + 1, censored=False)
    return Reach(len(above), censored=True)


def reaches_own(accuracies: Curve, share: float) -> Reach:
    """The first epoch at `share` of the curve's own best: never censored, and early for a curve that stops early."""
    return reaches(accuracies, validate.within("share", share, 0, 1 + 1e-12) * float(_curve(accuracies).max()))


def restricted_mean(found: Sequence[Reach], horizon: int) -> Estimate:
    """Mean of min(epoch, horizon) over runs, a run that never got there counting as `horizon`, with its interval.

    Raises:
        ConfigError: fewer than 2 runs; a run that was given up before the horizon, of which nothing is known then.
    """
    for one in found:
        if one.censored and one.epoch < horizon:
            validate.refuse("horizon", horizon, f"at most {one.epoch}: a run ended there without reaching the level")
    return mean_over_seeds(
        np.array([horizon if one.censored else min(one.epoch, horizon) for one in found], dtype=float)
    )


def median_epoch(found: Sequence[Reach]) -> float:
    """The median over runs; infinite where half of them or more never got there."""
    epochs = sorted(np.inf if one.censored else one.epoch for one in found)
    validate.count("number of runs", len(epochs))
    middle = len(epochs) // 2
    return float(epochs[middle] if len(epochs) % 2 else (epochs[middle - 1] + epochs[middle]) / 2)


def area(accuracies: Curve) -> float:
    """Mean accuracy over all epochs: the area under the curve in units of its length."""
    return float(_curve(accuracies).mean())


def best_bias(epochs: int) -> float:
    """E of the largest of `epochs` independent standard normals: by how many sd "best" exceeds a constant accuracy."""
    validate.count("epochs", epochs)
    value, _ = quad(lambda x: x * epochs * norm.pdf(x) * norm.cdf(x) ** (epochs - 1), -12, 12, epsabs=1e-12)
    return float(value)


def most_deviant(epochs: int) -> float:
    """Samuelson's bound: no one of n values is further from their mean than sqrt(n - 1) sd (divisor n)."""
    return float(validate.count("epochs", epochs) - 1) ** 0.5


def excess_of_best(accuracies: Curve, last: int) -> tuple[int, float]:
    """(n, (best - mean) / sd) of the last `last` epochs, with the divisor n - 1. Raises ConfigError for last < 2."""
    values = _curve(accuracies)[-validate.count("last", last, 2) :]
    spread = float(values.std(ddof=1))
    return len(values), float(values.max() - values.mean()) / spread if spread else 0.0


def last_is_unbiased(seed: int = 0, epochs: int = 250, images: int = 2000, runs: int = 400) -> Check:
    """The accuracy of the last of many evaluations of one unchanging student estimates its accuracy without bias.

    Statistical: the violation is how far the true value lies outside the 95 % interval of the mean over runs. The
    control is the best evaluation.
    """
    truth, rng = 0.8, np.random.default_rng(seed)
    seen = (
        rng.binomial(images, truth, size=(validate.count("runs", runs, 2), validate.count("epochs", epochs))) / images
    )
    last, best = (mean_over_seeds(values) for values in (seen[:, -1], seen.max(1)))
    return check("the last epoch is unbiased", "mean accuracy of the last evaluation = the student's", "metrics",
                 [_outside(last, truth)], (f"best of {epochs}", [_outside(best, truth)]), tolerance=0.0, exact=False,
                 claims=())  # fmt: skip


def students(images: int, seed: int = 0, classes: int = 10) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Labels, and logits of a teacher that is right on 70 %, of a student that copies it, of one that knows more."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (validate.count("images", images),), generator=rng)
    wrong = torch.rand(images, generator=rng) < 0.3
    named = torch.where(wrong, (labels + 1) % classes, labels)
    noise = torch.randn(3, images, classes, generator=rng) / 2
    teacher = 6 * one_hot(named, classes) + noise[0]
    return labels, teacher, teacher + noise[1], 6 * one_hot(labels, classes) + noise[2]


def plateau_and_climber(epochs: int = 40) -> tuple[Float[np.ndarray, " epochs"], Float[np.ndarray, " epochs"]]:
    """A student that is at 60 % within a few epochs and stays there, and one that climbs to 84 % slowly."""
    at = np.arange(1, validate.count("epochs", epochs) + 1)
    return 0.6 * (1 - np.exp(-at / 1.5)), 0.85 * (1 - np.exp(-at / 9.0))


def _outside(found: Estimate, value: float) -> float:
    return max(found.low - value, value - found.high)


def _curve(accuracies: Curve) -> Float[np.ndarray, " epochs"]:
    values = np.asarray(accuracies, dtype=np.float64)
    validate.count("number of epochs", values.size)
    bad = values[~((values >= 0) & (values <= 1))]
    if bad.size:
        validate.refuse("accuracy", float(bad[0]), "a share in [0, 1]")
    return values
