"""Numbers that describe a curve of accuracy over epochs, and the information that each number hides.

A curve has one accuracy an epoch, as a share in [0, 1]. The published tables give the mean in percent and the
variance in percent^2. They do not state the window and the divisor, so both are arguments in this module.
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
    """Mean and spread of a curve.

    mu: mean accuracy in percent.
    variance: variance of the accuracy in percent^2.
    sigma: square root of the variance, in percent.
    n: number of epochs.
    """

    mu: float
    variance: float
    sigma: float
    n: int


class Reach(NamedTuple):
    """The time at which a curve reaches a level.

    epoch: the first epoch at the level, counted from 1; the last epoch of the curve where it never gets there.
    censored: True if the curve never gets there: a longer run may reach the level later, or never.
    """

    epoch: int
    censored: bool


def stability(accuracies: Curve, skip: int = 0, ddof: int = 0, detrend: bool = False) -> Stability:
    """Mean and variance over the epochs after the first `skip` epochs.

    Arguments:
        ddof: 0 divides by n, 1 divides by n - 1.
        detrend: first subtract a straight line, so that learning does not count as instability (the mean stays).

    Raises:
        ConfigError: an accuracy is outside [0, 1]; fewer than 2 epochs are left, or no more than ddof.
    """
    values = 100 * _curve(accuracies)[validate.count("skip", skip, 0) :]
    validate.count("number of epochs in the window", len(values), max(2, ddof + 1))
    epochs, mean = np.arange(len(values)), float(values.mean())
    deviations = values - np.polyval(np.polyfit(epochs, values, 1), epochs) if detrend else values - mean
    variance = float((deviations**2).sum() / (len(values) - ddof))
    return Stability(mean, variance, variance**0.5, len(values))


def drawdown(accuracies: Curve) -> float:
    """The largest fall below the best accuracy so far: the largest distance of an epoch from the best before it."""
    values = _curve(accuracies)
    return float((np.maximum.accumulate(values) - values).max())


def reaches(accuracies: Curve, level: float, stay: int = 1) -> Reach:
    """The first epoch of the first `stay` epochs in a row with an accuracy >= `level`.

    Raises:
        ConfigError: the level is outside [0, 1], or stay < 1.
    """
    validate.within("level", level, 0, 1 + 1e-12)
    above = _curve(accuracies) >= level
    length = 0
    for epoch, reached in enumerate(above, start=1):
        length = length + 1 if reached else 0
        if length == validate.count("stay", stay):
            return Reach(epoch - stay + 1, censored=False)
    return Reach(len(above), censored=True)


def reaches_own(accuracies: Curve, share: float) -> Reach:
    """The first epoch at `share` of the curve's own best accuracy.

    The result is never censored. A curve that stops early gets an early epoch.
    """
    return reaches(accuracies, validate.within("share", share, 0, 1 + 1e-12) * float(_curve(accuracies).max()))


def restricted_mean(found: Sequence[Reach], horizon: int) -> Estimate:
    """Mean of min(epoch, horizon) over runs, with its interval. A run that never got there counts as `horizon`.

    Such means compare methods of which some runs never get there (Royston and Parmar, 2013).

    Raises:
        ConfigError: fewer than 2 runs; or a run ended before the horizon without reaching the level, so that its epoch
            up to the horizon is unknown.
    """
    for run in found:
        if run.censored and run.epoch < horizon:
            validate.refuse("horizon", horizon, f"at most {run.epoch}: a run ended there without reaching the level")
    epochs = [horizon if run.censored else min(run.epoch, horizon) for run in found]
    return mean_over_seeds(np.array(epochs, dtype=float))


def median_epoch(found: Sequence[Reach]) -> float:
    """The median epoch over runs; infinite where half of the runs or more never got there."""
    epochs = sorted(np.inf if run.censored else run.epoch for run in found)
    validate.count("number of runs", len(epochs))
    middle = len(epochs) // 2
    return float(epochs[middle] if len(epochs) % 2 else (epochs[middle - 1] + epochs[middle]) / 2)


def area(accuracies: Curve) -> float:
    """Mean accuracy over all epochs: the area under the curve in units of its length."""
    return float(_curve(accuracies).mean())


def best_bias(epochs: int) -> float:
    """Expected maximum of `epochs` independent standard normals.

    It tells by how many standard deviations the best accuracy exceeds a constant true accuracy.
    """
    validate.count("epochs", epochs)
    value, _ = quad(lambda x: x * epochs * norm.pdf(x) * norm.cdf(x) ** (epochs - 1), -12, 12, epsabs=1e-12)
    return float(value)


def most_deviant(epochs: int) -> float:
    """Samuelson's bound: each of n values lies within sqrt(n - 1) sd (divisor n) of their mean; n is `epochs`."""
    return float(validate.count("epochs", epochs) - 1) ** 0.5


def excess_of_best(accuracies: Curve, last: int) -> tuple[int, float]:
    """The pair (n, (best - mean) / sd) over the last `last` epochs; sd has the divisor n - 1.

    Raises:
        ConfigError: last < 2.
    """
    values = _curve(accuracies)[-validate.count("last", last, 2) :]
    spread = float(values.std(ddof=1))
    return len(values), float(values.max() - values.mean()) / spread if spread else 0.0


def last_is_unbiased(seed: int = 0, epochs: int = 250, images: int = 2000, runs: int = 400) -> Check:
    """The check that the last of many evaluations of a constant student estimates its accuracy without bias.

    The check is statistical. The violation is the distance of the true value from the 95 % interval of the mean over
    runs. The control takes the best evaluation.
    """
    truth, rng = 0.8, np.random.default_rng(validate.seed(seed))
    accuracies = (
        rng.binomial(images, truth, size=(validate.count("runs", runs, 2), validate.count("epochs", epochs))) / images
    )
    last, best = (mean_over_seeds(values) for values in (accuracies[:, -1], accuracies.max(1)))
    return check("the last epoch is unbiased", "mean accuracy of the last evaluation = the student's", "metrics",
                 [last.outside(truth)], (f"best of {epochs}", [best.outside(truth)]), tolerance=0.0, exact=False,
                 claims=())  # fmt: skip


def students(images: int, seed: int = 0, classes: int = 10) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Labels (images,), and logits (images, classes) of three networks, in this order.

    teacher: right on 70 % of the images.
    first student: a copy of the teacher, plus noise.
    second student: right on every image, plus noise.
    """
    rng = torch.Generator().manual_seed(validate.seed(seed))
    labels = torch.randint(classes, (validate.count("images", images),), generator=rng)
    wrong = torch.rand(images, generator=rng) < 0.3
    teacher_classes = torch.where(wrong, (labels + 1) % classes, labels)
    noise = torch.randn(3, images, classes, generator=rng) / 2
    teacher = 6 * one_hot(teacher_classes, classes) + noise[0]
    return labels, teacher, teacher + noise[1], 6 * one_hot(labels, classes) + noise[2]


def plateau_and_climber(epochs: int = 40) -> tuple[Float[np.ndarray, " epochs"], Float[np.ndarray, " epochs"]]:
    """Curves of two students. One reaches 60 % within a few epochs and stays there; one climbs slowly to 84 %."""
    numbers = np.arange(1, validate.count("epochs", epochs) + 1)
    return 0.6 * (1 - np.exp(-numbers / 1.5)), 0.85 * (1 - np.exp(-numbers / 9.0))


def _curve(accuracies: Curve) -> Float[np.ndarray, " epochs"]:
    values = np.asarray(accuracies, dtype=np.float64)
    validate.count("number of epochs", values.size)
    bad = values[~((values >= 0) & (values <= 1))]
    if bad.size:
        validate.refuse("accuracy", float(bad[0]), "a share in [0, 1]")
    return values
