"""Measures of a student on held-out images: accuracy, agreement with the teacher, probability loyalty.

Each measure has a 95 % interval. Loyalty has two definitions:

    name                source                                         formula
    loyalty             Xu et al., 2021                                1 - JS**(1/2), JS in bits
    loyalty_published   public code and published tables of CuDFKD     1 - JS**(1/4), JS in nats: a second square root
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from torch.utils.data import Dataset

from cudfkd.base import devices
from cudfkd.base.errors import ConfigError
from cudfkd.base.out_of_memory import is_out_of_memory
from cudfkd.boundary.images import as_tensors, check_labels
from cudfkd.data.images import unit
from cudfkd.losses import js
from cudfkd.models.normalize import Normalize

Z95 = 1.959963984540054


class Estimate(NamedTuple):
    """A mean or share over n observations (images, seeds, trials) with its 95 % interval [low, high].

    value: the mean or share.
    low: lower end of the interval.
    high: upper end of the interval.
    n: number of observations.
    """

    value: float
    low: float
    high: float
    n: int

    def covers(self, value: float) -> bool:
        """Whether the value lies in the interval."""
        return self.outside(value) <= 0

    def outside(self, value: float) -> float:
        """Distance of a value from the interval: 0 at its ends, negative inside."""
        return float(max(self.low - value, value - self.high))

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}], n = {self.n}"


class Evaluation(NamedTuple):
    """The four measures that `evaluate` returns.

    accuracy: share of images that the student gives the class of their label.
    agreement: share of images to which student and teacher give the same class.
    loyalty: mean over images, see function `loyalty`.
    loyalty_published: mean over images, see function `loyalty_published`.
    """

    accuracy: Estimate
    agreement: Estimate
    loyalty: Estimate
    loyalty_published: Estimate


def evaluate(
    student: nn.Module,
    teacher: nn.Module,
    dataset: Dataset,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: str | torch.device = "cpu",
) -> Evaluation:
    """Compares the student with labels and teacher on held-out images, both networks in eval mode.

    Afterwards both networks have their modes and devices back.

    Arguments:
        student: network that maps normalised images to logits.
        teacher: network that maps normalised images to logits.
        dataset: pairs of an image in [0, 1], (channels, size, size), and a label.
        mean: mean of each channel, for normalisation; None: 0.
        std: standard deviation of each channel, for normalisation; None: 1.
        device: device that computes.

    Raises:
        ConfigError: the data set is empty or does not fit; mean, std or the device is not possible; or student and
            teacher have different numbers of classes.
    """
    target = devices.check(str(device))
    images, labels = as_tensors(dataset)
    refuse_normalisation(mean, std, images.shape[1])
    normalize, logits = Normalize(mean, std), []
    for name, network in (("student", student), ("teacher", teacher)):
        try:
            logits.append(predict(nn.Sequential(normalize, network), images, target).cpu())
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"the {name} does not take images of shape {tuple(images.shape[1:])}: {reason}"
            ) from error
    if logits[0].shape != logits[1].shape:
        raise ConfigError(f"student has {logits[0].shape[1]} classes, teacher {logits[1].shape[1]}: they must agree")
    check_labels(labels, logits[1].shape[1])
    return compare(logits[0], logits[1], labels)


def compare(
    student: Float[Tensor, "n classes"], teacher: Float[Tensor, "n classes"], labels: Int[Tensor, " n"]
) -> Evaluation:
    """Computes the four measures from logits."""
    divergence = jensen_shannon(student, teacher)
    return Evaluation(
        accuracy=proportion(student.argmax(1) == labels),
        agreement=proportion(student.argmax(1) == teacher.argmax(1)),
        loyalty=average(loyalty(divergence)),
        loyalty_published=average(loyalty_published(divergence)),
    )


def refuse_normalisation(mean: Sequence[float] | None, std: Sequence[float] | None, channels: int) -> None:
    """Raises ConfigError if mean or std cannot normalise images of `channels` channels."""
    for name, numbers in (("mean", mean), ("std", std)):
        if numbers is not None and len(numbers) not in (1, channels):
            raise ConfigError(f"{name} = {numbers} has {len(numbers)} numbers: it must have {channels}, one a channel")
    if std is not None and not all(number > 0 for number in std):
        raise ConfigError(f"std = {std} is not allowed: its numbers must be greater than 0")


def jensen_shannon(a: Float[Tensor, "n classes"], b: Float[Tensor, "n classes"]) -> Float[Tensor, " n"]:
    """Jensen-Shannon divergence of softmax(a) and softmax(b) in nats, in [0, ln 2], computed in float64.

    In float32, two rows that nearly agree have a divergence below 0, and its square root is NaN.
    """
    return js(a.double(), b.double())


def loyalty(divergence: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Probability loyalty 1 - sqrt(JS) in [0, 1], JS in bits (Xu et al., 2021, "Beyond Preserved Accuracy")."""
    return 1 - (divergence / torch.log(divergence.new_tensor(2.0))).clamp(max=1.0).sqrt()


def loyalty_published(divergence: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """1 - JS**(1/4), JS in nats: the formula of CuDFKD's public code, and so of all its published loyalties.

    scipy's jensenshannon already takes a square root, and the code takes a second root. For p = (.9, .1) and
    q = (.6, .4) the result is 0.498; a single root gives 0.748 in nats and 0.698 in bits. Values lie in [0.088, 1].
    A mean of one loyalty cannot be converted into a mean of the second.
    """
    return 1 - divergence**0.25


def proportion(hits: Bool[Tensor, " n"]) -> Estimate:
    """Share of True values, with its Wilson score interval."""
    return wilson(int(hits.sum()), len(hits))


def wilson(successes: int, n: int) -> Estimate:
    """Share of successes in n independent trials, with its Wilson score interval."""
    p = successes / n
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n)


def average(values: Float[Tensor, " n"]) -> Estimate:
    """Mean with the interval of a normal distribution, which suits the thousands of images that n counts."""
    n, mean = len(values), float(values.mean())
    half = Z95 * float(values.std()) / sqrt(n) if n > 1 else float("nan")
    return Estimate(mean, mean - half, mean + half, n)


@torch.no_grad()
def predict(
    network: nn.Module,
    images: Float[Tensor, "n channels height width"] | UInt8[Tensor, "n channels height width"],
    device: str | torch.device = "cpu",
) -> Float[Tensor, "n classes"]:
    """Computes the logits of all images in eval mode, in chunks; then restores modes and device of the network.

    Arguments:
        network: network that maps the images to logits.
        images: images in [0, 1], or bytes, which take a quarter of the memory.
        device: device that computes.
    """
    modes = {module: module.training for module in network.modules()}
    original = next((p.device for p in network.parameters()), torch.device(device))
    try:
        network.to(device).eval()
        chunks = (chunk.to(device) for chunk in images.split(1000))
        return torch.cat([network(x if x.is_floating_point() else unit(x)) for x in chunks]).float()
    finally:
        network.to(original)
        for module, mode in modes.items():
            module.training = mode
